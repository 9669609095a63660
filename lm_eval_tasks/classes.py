"""Imports the task classes. lm_eval loads the classes that a YAML file names from a Python file beside it."""

from axolotl_slung.evals.tasks import CivilComments, Perplexity, Tofu, Toxicity, ZeroShot

__all__ = ["CivilComments", "Perplexity", "Tofu", "Toxicity", "ZeroShot"]
