"""How a run shows that the selective loss is in it, and that nothing else trains its labels."""

from __future__ import annotations


class LoopError(RuntimeError):
    """Training would go past the selective loss. The message says why, as far as can be told, and the mend."""
