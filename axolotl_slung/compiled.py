"""How inner loops are compiled for processors."""

from __future__ import annotations

import numba


def jit(function, **options):
    """numba's, at the first call; kept on disk for later processes where a folder for that can be written.

    numba sees changes of the function's own file only: keep functions that call each other in one file.

    Args:
        function: what to compile.
        options: more of `numba.njit`'s.
    """
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return numba.njit(nogil=True, **options)(function)
