"""Compilation of inner loops with numba."""

from __future__ import annotations

import numba


def jit(function, **options):
    """`numba.njit`: compile at the first call, and cache on disk for later processes if a folder is writable.

    numba only detects changes in the function's own file: keep functions that call each other in one file.

    Args:
        function: the function to compile.
        options: further options of `numba.njit`.
    """
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return numba.njit(nogil=True, **options)(function)
