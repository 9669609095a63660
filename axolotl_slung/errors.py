"""The base class of errors about settings and data, and error texts that are safe to print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class SlungError(ValueError):
    """An error that the user can fix.

    The message names the YAML key, option or file, the value and the fix. It never quotes texts that are labeled.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def validation_lines(error: ValidationError, prefix: str = "") -> list[str]:
    """`key: what is wrong` per problem. pydantic's own message would quote the values.

    Args:
        error: the error of any model.
        prefix: goes before each key, such as `slung.`.
    """
    found = error.errors(include_input=False, include_url=False)
    return [f"{prefix}{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in found]
