"""Scores words with a small model that `slung distill` makes from texts with spans."""

from .labeler import StudentLabeler, ToxicSpansLabeler

__all__ = ["StudentLabeler", "ToxicSpansLabeler"]
