"""The file of a student: arrays, and a card in JSON that says how it was made. Nothing in it is run.

The same data, options and versions give the same bytes.
"""

from __future__ import annotations

import json
import math
import stat
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import SlungError, first_line, os_errors
from ...storage import replacing
from .context import MEASURES

FORMAT = 1

_LARGEST_CARD = 1 << 20
_BUCKETS = (1 << 8, 1 << 24)
_LARGEST_WEIGHT = 1e4


class Student(NamedTuple):
    """What a file holds.

    Attributes:
        card: how it was made. `cuts` are the scores at which a method's safe and doubtful spans end. Words that score below
            `floor` get no span.
        weights: float32 (a power of two,), the weight of each column of a word's features; see `words.columns_of`. The
            file has them in half precision.
        intercept: float32 (1,), added to a word's sum of weights.
        context: float32 (10,), the weights of the measures of `context.surroundings`, and an intercept.
    """

    card: dict[str, Any]
    weights: np.ndarray
    intercept: np.ndarray
    context: np.ndarray


_ARRAYS = {"weights": np.dtype("<f2"), "intercept": np.dtype("<f4"), "context": np.dtype("<f4")}


def write(path: Path, student: Student) -> None:
    """Write the file. It appears whole or not at all.

    Raises:
        FileError: it cannot be written.
    """
    card = np.frombuffer(json.dumps(student.card, indent=1).encode(), np.uint8)
    arrays = {name: getattr(student, name).astype(kind) for name, kind in _ARRAYS.items()}
    with os_errors(path), replacing(path) as part, open(part, "xb") as file:
        np.savez_compressed(file, card=card, **arrays)


def read(said: str, path: Path) -> Student:
    """Read a file. Every size in it is checked before memory is taken for it.

    Args:
        said: where `path` comes from, such as `slung.labelers[0].model`; errors begin with it.
        path: the file.

    Raises:
        SlungError: it cannot be read, is another kind of file, is damaged, or is of another version.
    """
    wrong = f"{said}: {path.name}: is not a usable student"
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for its other end
            raise _Wrong("it is not a file")
        with zipfile.ZipFile(path) as file:
            return _student(file)
    except OSError as error:
        raise SlungError(f"{said}: cannot read {path}: {error.strerror or first_line(error)}; check the path") from None
    except _Wrong as error:
        raise SlungError(f"{wrong}: {error}; make it with `slung distill`") from None
    except Exception as error:
        # zip, zlib, numpy and json have their own errors for a broken file, and some quote it
        raise SlungError(f"{wrong}: it is damaged ({type(error).__name__}); make it with `slung distill`") from None


class _Wrong(Exception):
    """What is wrong with a file."""


def _student(file: zipfile.ZipFile) -> Student:
    card = json.loads(_array(file, "card", np.dtype("u1"), 1, _LARGEST_CARD))
    if not isinstance(card, dict) or card.get("kind") != "student":
        raise _Wrong("it has no card of a student")
    if card.get("format") != FORMAT:
        raise _Wrong("it is of another version")
    _check_card(card)
    weights = _array(file, "weights", _ARRAYS["weights"], *_BUCKETS).astype(np.float32)
    if weights.size & (weights.size - 1):
        raise _Wrong("the number of its weights is not a power of two")
    intercept = _array(file, "intercept", _ARRAYS["intercept"], 1, 1)
    context = _array(file, "context", _ARRAYS["context"], MEASURES + 1, MEASURES + 1)
    for name, array in (("weights", weights), ("intercept", intercept), ("context", context)):
        if not np.abs(array).max() < _LARGEST_WEIGHT:  # a nan is not below it either
            raise _Wrong(f"its {name} are not finite, or too large")
    return Student(card, weights, intercept, context)


def _array(file: zipfile.ZipFile, name: str, kind: np.dtype, least: int, most: int) -> Any:
    """A flat array of `least` to `most` items of this kind."""
    with file.open(f"{name}.npy") as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise _Wrong(f"{name}: has an unknown form")
        shape, fortran, found = np.lib.format.read_array_header_1_0(member)
        if fortran or len(shape) != 1 or not least <= shape[0] <= most or found != kind:
            raise _Wrong(f"{name}: has another shape or type")
        content = member.read(shape[0] * kind.itemsize + 1)
    if len(content) != shape[0] * kind.itemsize:
        raise _Wrong(f"{name}: has another size than it says")
    return content if name == "card" else np.frombuffer(content, kind)


def _check_card(card: dict) -> None:
    cuts, floor = card.get("cuts"), card.get("floor")
    numbers = [*cuts, floor] if isinstance(cuts, list) and len(cuts) == 2 else [None]
    if not all(type(one) is float and math.isfinite(one) for one in numbers):
        raise _Wrong("its card has no `cuts` or no `floor`")
    if not 0 < floor <= cuts[0] < cuts[1] < 1:  # pyright: ignore[reportOperatorIssue, reportOptionalSubscript]
        raise _Wrong("its card has `cuts` and `floor` that do not ascend from 0 to 1")
