"""The selective loss: per-token objectives over hidden states or logits, and their metrics."""

from .objectives import Hinge, cross_entropy, unlikelihood
from .on_hidden_states import linear_selective_loss
from .on_logits import selective_loss

__all__ = ["Hinge", "cross_entropy", "linear_selective_loss", "selective_loss", "unlikelihood"]
