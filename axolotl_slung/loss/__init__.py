"""The selective loss: per-token objectives over logits, their gradients, and what is measured on the way."""

from .objectives import log_odds_losses
from .selective import selective_loss

__all__ = ["log_odds_losses", "selective_loss"]
