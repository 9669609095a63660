"""Checks during training that the selective loss is in the loop, and that nothing else trains its labels."""

from __future__ import annotations


class LoopError(RuntimeError):
    """Training would bypass the selective loss. The message gives the cause, as far as it is known, and the fix."""
