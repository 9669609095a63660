"""Draws the questions of an audit from a config's data: risky spans, controls and decoys. See docs/audit.md."""

from .drawing import draw

__all__ = ["draw"]
