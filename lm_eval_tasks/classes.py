"""Imports the task classes. lm_eval loads the classes that a YAML file names from a Python file beside it."""

from axolotl_slung.evals.tasks import (
    Answers,
    CivilComments,
    Extraction,
    Identity,
    Kept,
    Membership,
    Perplexity,
    Tofu,
    Toxicity,
    ZeroShot,
)

__all__ = [
    "Answers",
    "CivilComments",
    "Extraction",
    "Identity",
    "Kept",
    "Membership",
    "Perplexity",
    "Tofu",
    "Toxicity",
    "ZeroShot",
]
