"""Buckets: ranges of a risk score, and what the loss does with the tokens in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Action(str, Enum):
    """What happens to the tokens of a bucket."""

    TRAIN = "train"
    """Ordinary cross-entropy."""
    MASK = "mask"
    """In the context, without loss (masked SLUNG, paper section 3)."""
    UNLIKELIHOOD = "unlikelihood"
    """`-log(1 - p)` (unlikelihood SLUNG, paper section 3)."""
    SOFT = "soft"
    """Cross-entropy and unlikelihood mixed by the score."""
    HINGE = "hinge"
    """`max(0, log p - log threshold)`: pushed down while it is more likely than the threshold."""
    CUSTOM = "custom"
    """An objective of the user's."""
    GOLDFISH = "goldfish"
    """Trained, but for one token in k, which is masked (Hans et al. 2024)."""
    DROP_SPAN = "drop_span"
    """The characters are removed before tokenising (the paper's low-risk baseline)."""
    DROP_DOCUMENT = "drop_document"
    """The document is removed (the paper's control)."""
    CONTROL_TOKEN = "control_token"
    """A control token is put in front of the span, which is trained as usual (Korbak et al. 2023)."""


CODED_ACTIONS = (Action.UNLIKELIHOOD, Action.SOFT, Action.HINGE, Action.CUSTOM)
"""Actions that an ordinary loss cannot express, so that they always travel as codes below -100."""

LOSS_ACTIONS = (Action.TRAIN, Action.GOLDFISH, *CODED_ACTIONS)
"""Actions whose tokens carry a loss (all but a few of them, for `goldfish`)."""

TEXT_ACTIONS = (Action.DROP_SPAN, Action.DROP_DOCUMENT, Action.CONTROL_TOKEN)
"""Actions that change the text before it is tokenised."""


@dataclass(frozen=True)
class Bucket:
    """The scores in `[the bucket before's below, below)`, and their action.

    Attributes:
        name: as in the YAML.
        below: exclusive upper bound of the score; None for the last bucket.
        action: what the loss does.
        weight: factor of the action's own objective (`unlikelihood`, `soft`, `hinge`, `custom`).
        token: the control token's text (`control_token`).
        threshold: a probability (`hinge`).
        objective: `package.module:function` (`custom`).
        k: one token in how many is masked (`goldfish`).
    """

    name: str
    below: float | None
    action: Action
    weight: float = 1.0
    token: str | None = None
    threshold: float | None = None
    objective: str | None = None
    k: int | None = None


_T, _M, _U = Action.TRAIN, Action.MASK, Action.UNLIKELIHOOD

_PRESETS = {
    # Table 1 of the paper: what each arm does with not, possibly and definitely toxic tokens.
    "masked": (_T, _M, _M),
    "unlikelihood": (_T, _T, _U),
    "toxic_baseline": (_T, _T, _T),
    "low_risk": (_T, Action.DROP_SPAN, Action.DROP_SPAN),
    "control": (_T, Action.DROP_DOCUMENT, Action.DROP_DOCUMENT),
}

METHODS = tuple(_PRESETS)


def preset(method: str) -> tuple[Bucket, ...]:
    """The three buckets of one of the paper's arms (section 4.1: cuts at 1e-4 and 0.99)."""
    low, middle, high = _PRESETS[method]
    return (
        Bucket("not_toxic", 1.0e-4, low),
        Bucket("possibly_toxic", 0.99, middle),
        Bucket("definitely_toxic", None, high),
    )
