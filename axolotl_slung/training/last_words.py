"""Ends a run that fails on an error of the user with that error, and without a traceback."""

from __future__ import annotations

import sys

from ..errors import SlungError


def install() -> None:
    """Print a `SlungError` that nobody catches as its message. All other errors are printed as before."""
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
