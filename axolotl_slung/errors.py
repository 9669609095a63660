"""Errors that the user can fix, and messages that are safe to print.

Messages leave the package in four places: the text of a `SlungError`, what a command prints, the log, and the lists of
bad lines. Each of them calls `visible`. What a message is made of must be safe too: it describes data by `kind_of` and
`few`, and never quotes a value.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from .visible import visible


class SlungError(ValueError):
    """An error that the user can fix.

    The message names the YAML key, option or file, the value and the fix. It never quotes texts that are labeled. It
    has no control characters and no characters that reorder others.

    Args:
        lines: the lines of the message. A line break inside one is shown as a sign.
    """

    def __str__(self) -> str:
        return "\n".join(visible(str(line)) for line in self.args)


class FileError(SlungError):
    """A file cannot be read, written or downloaded, or its content is not the expected one."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


# ---- what messages say of data


def kind_of(value) -> str:
    """What JSON calls the value's type, such as "a string". Messages say it in place of the value."""
    names = {str: "a string", bool: "true or false", int: "a number", float: "a number", dict: "an object"}
    names |= {list: "a list", tuple: "a list", bytes: "bytes", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


_MOST, _LONGEST = 5, 40


def few(names: Iterable) -> str:
    """At most five names, none longer than 40 characters, and how many more there are. For columns and keys of data."""
    names = [str(name) for name in names]
    shown = [visible(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…") for name in names[:_MOST]]
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return (", ".join(shown) or "none") + more


def closest(word: object, choices: Iterable[str]) -> str | None:
    """The choice that a mistyped word most likely meant, or None."""
    if not isinstance(word, str) or not word:
        return None
    by_lower = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower().replace("-", "_"), by_lower, n=1, cutoff=0.7)
    return by_lower[found[0]] if found else None


def meant(word: object, choices: Iterable[str]) -> str:
    """`; did you mean X?` with the closest choice, or nothing."""
    found = closest(word, choices)
    return f"; did you mean {found!r}?" if found else ""


def yaml_problem(error: Exception) -> str:
    """Where a YAML file is broken, and how. It quotes nothing of the file."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or type(error).__name__
    # "could not find expected ':'" and "expected '<document start>'", but not "found undefined alias 'Jane'"
    problem = re.sub(r" *'(?!<)[^']{2,}'.*", "", problem, flags=re.DOTALL)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"not valid YAML: {problem}{where}"


# ---- the operating system

_FIXES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "change its permissions, or choose another path",
    errno.EPERM: "change its permissions, or choose another path",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another path",
    errno.EEXIST: "a file has the name of the folder; choose another path",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`) and run the same command again",
    errno.ENOMEM: "free some memory and run the same command again",
}


def os_problem(error: OSError, path: str | Path | None = None) -> str:
    """`file: reason; what to do` for an error of the operating system.

    Args:
        error: the error.
        path: the file, if the error does not name it.
    """
    place = path if path is not None else error.filename
    place = "the file system" if place is None else place
    if not error.errno or not error.strerror:
        # made by a library; its message may quote a file's content
        return f"{place}: {type(error).__name__}; check the file"
    fix = _FIXES.get(error.errno, "check the disk and run the same command again")
    return f"{place}: {error.strerror}; {fix}"


@contextmanager
def os_errors(path: str | Path | None = None, kind: type[SlungError] = FileError) -> Iterator[None]:
    """Raise errors of the operating system in the block as `kind`, with one line: file, reason and what to do.

    Args:
        path: the file, for calls that do not name it (writing, flushing). None: the file that the error names.
        kind: the class of the error.
    """
    try:
        yield
    except OSError as error:
        raise kind(os_problem(error, error.filename or path)) from None


# ---- the last output


def end_without_traceback() -> None:
    """From now on a `SlungError` that ends the process is printed as its message. All other errors are printed as before.

    For programs that are not ours: `axolotl` and `lm_eval`.
    """
    before = sys.excepthook
    if getattr(before, "slung", False):
        return

    def show(kind, error, trace):
        if not issubclass(kind, SlungError):
            before(kind, error, trace)
            return
        sys.stdout.flush()
        print(f"\nError: {error}", file=sys.stderr, flush=True)

    show.slung = True  # pyright: ignore[reportFunctionMemberAccess]
    sys.excepthook = show


# ---- the log


def get_logger(name: str) -> logging.Logger:
    """The package's logger of a module. Its messages go through `visible`."""
    logger = logging.getLogger(name)
    logger.addFilter(_shown)
    return logger


def _shown(record: logging.LogRecord) -> bool:
    record.msg, record.args = visible(record.getMessage()), ()
    return True
