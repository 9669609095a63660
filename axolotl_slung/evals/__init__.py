"""Measures a model: request types, scorers of texts, judges of answers."""
