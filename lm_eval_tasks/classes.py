"""lm_eval loads what a YAML file names from the Python files beside it, so this one hands the classes on."""

from axolotl_slung.evals.tasks import CivilComments, Perplexity, Tofu, Toxicity

__all__ = ["CivilComments", "Perplexity", "Tofu", "Toxicity"]
