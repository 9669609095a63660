"""Sentences scored by a fastText classifier, as Dolma's taggers do, several times as fast."""

from .labeler import FastTextLabeler

__all__ = ["FastTextLabeler"]
