"""The classes of slung's lm-evaluation-harness tasks. The YAML files in `lm_eval_tasks/` name them."""

from .answers import Answers
from .civilcomments import CivilComments
from .extraction import Extraction
from .identity import Identity
from .kept import Kept
from .membership import Membership
from .perplexity import Perplexity
from .tofu import Tofu
from .toxicity import Toxicity
from .zeroshot import ZeroShot

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
