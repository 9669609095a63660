"""The tasks of lm-evaluation-harness, as classes; `lm_eval_tasks/` has the YAML files that name them."""

from .civilcomments import CivilComments
from .perplexity import Perplexity
from .tofu import Tofu
from .toxicity import Toxicity

__all__ = ["CivilComments", "Perplexity", "Tofu", "Toxicity"]
