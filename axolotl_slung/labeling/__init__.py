"""Labelers: what in a text is risky, as spans of characters with scores."""

from .base import Labeler, LabelerError, Span

__all__ = [
    "ClassifierLabeler",
    "CustomLabeler",
    "DolmaLabeler",
    "EntitiesLabeler",
    "FastTextLabeler",
    "Labeler",
    "LabelerError",
    "PatternsLabeler",
    "PresidioLabeler",
    "ProfanityLabeler",
    "Span",
    "SpansLabeler",
]

_HOMES = {
    "ClassifierLabeler": "classifier",
    "CustomLabeler": "custom",
    "DolmaLabeler": "dolma",
    "EntitiesLabeler": "entities",
    "FastTextLabeler": "fasttext",
    "PatternsLabeler": "patterns",
    "PresidioLabeler": "presidio",
    "ProfanityLabeler": "profanity",
    "SpansLabeler": "spans",
}


def __getattr__(name):
    # lazy: a run pays for the libraries of the labelers that it uses, and for no others
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
