"""Labelers find what is risky in a text, as character spans with scores."""

from .base import Labeler, LabelerError, RowError, Span
from .registry import LABELERS

_BY_CLASS = {entry.class_name: entry for entry in LABELERS.values()}

__all__ = ["Labeler", "LabelerError", "RowError", "Span"]
__all__ += sorted(_BY_CLASS)


def __getattr__(name):
    if name in _BY_CLASS:
        return _BY_CLASS[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
