"""Sentences, documents or tokens scored by a Hugging Face classifier."""

from .labeler import ClassifierLabeler

__all__ = ["ClassifierLabeler"]
