"""Scores sentences, documents or tokens with a Hugging Face classifier."""

from .labeler import ClassifierLabeler

__all__ = ["ClassifierLabeler"]
