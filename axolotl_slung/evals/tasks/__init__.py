"""The classes of slung's lm-evaluation-harness tasks. The YAML files in `lm_eval_tasks/` name them."""

from .civilcomments import CivilComments
from .perplexity import Perplexity
from .tofu import Tofu
from .toxicity import Toxicity
from .zeroshot import ZeroShot

__all__ = ["CivilComments", "Perplexity", "Tofu", "Toxicity", "ZeroShot"]
