"""Documents from lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import kind_of


class BadLine(ValueError):
    """A line is not a document. The message says why, without the line's text."""


class Document(NamedTuple):
    """A document, its line and the line's number."""

    number: int
    row: Mapping
    raw: bytes


def read(content: bytes, number: int) -> Document | None:
    """The document of line `number`, which counts from 1; None for a blank line.

    Raises:
        BadLine: the line is not a JSON object.
    """
    raw = content.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else content.strip()
    if not raw:
        return None
    row = _parsed(raw)
    if not isinstance(row, Mapping):
        raise BadLine(f"expected an object, got {kind_of(row)}")
    return Document(number, row, raw)


def _parsed(raw: bytes):
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise BadLine(f"not valid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        over_lines = raw.lstrip().startswith(b"[") or raw.strip() == b"{"
        hint = "; write one object per line, and no array around them" if over_lines else ""
        raise BadLine(f"not valid JSON: {error.msg.removesuffix(' at')} at character {error.pos}{hint}") from None
    except BadLine:
        raise
    except RecursionError:
        raise BadLine("its lists and objects are nested too deeply") from None
    except MemoryError:
        raise BadLine("there is not enough memory for it") from None
    except ValueError:
        raise BadLine(f"a number has more than {sys.get_int_max_str_digits():,} digits") from None


def _no_constant(name):
    raise BadLine(f"not valid JSON: {name}")
