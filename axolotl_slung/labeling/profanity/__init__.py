"""Scores sentences with the linear model of alt-profanity-check, which comes with this package."""

from .labeler import ProfanityLabeler

__all__ = ["ProfanityLabeler"]
