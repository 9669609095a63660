"""Buckets: ranges of a risk score, each with the action that the loss takes on its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..labeling.scores import PAPER_CUTS, Pair


@dataclass(frozen=True)
class Paint:
    """Colors of a token on a page, in CSS. If `ink` is None, the text keeps the page's color."""

    fill: str
    edge: str
    ink: str | None = None


@dataclass(frozen=True)
class Look:
    """The look of an action's tokens. No two actions share a fill, a line or a style.

    Attributes:
        light, dark: colors on a light page and on a dark page. The fills use Okabe and Ito's hues.
        line: CSS `text-decoration` on the page, without its color; empty for none.
        terminal: two rich styles that alternate, to separate neighboring tokens. Both set foreground and background.
        chart: the CSS class of its bars in charts, `.k-...` in `render/report.css`.
    """

    light: Paint
    dark: Paint
    line: str
    terminal: tuple[str, str]
    chart: str = "kept"


@dataclass(frozen=True)
class Traits:
    """What the rest of the package needs to know about an action.

    Attributes:
        meaning: a description for the page, the terminal and docs/objectives.md.
        look: its colors.
        has_loss: its tokens have a loss (for `goldfish`, all but a few).
        coded: its labels are always codes below -100, because an ordinary loss cannot express it. It has an objective
            in `loss/objectives.py`, and its bucket accepts a `weight`.
        edits_text: it changes the text before tokenization.
        edits_ids: it changes the token ids after tokenization.
        needs: a key that its bucket requires; None for none. Only buckets of actions that name the key accept it.
        takes: a key that its bucket may have or require, as `needs`; None for none.
    """

    meaning: str
    look: Look
    has_loss: bool = False
    coded: bool = False
    edits_text: bool = False
    edits_ids: bool = False
    needs: str | None = None
    takes: str | None = None

    @property
    def changes_input(self) -> bool:
        """Whether the model reads something else than the original. Then it also applies to tokens that are not trained."""
        return self.edits_text or self.edits_ids

    @property
    def trains(self) -> bool:
        """Whether its tokens have cross-entropy as usual (for `goldfish`, all but a few)."""
        return self.has_loss and not self.coded


class Action(str, Enum):
    """What happens to the tokens of a bucket."""

    traits: Traits

    def __new__(cls, value: str, traits: Traits) -> Action:
        action = str.__new__(cls, value)
        action._value_ = value
        action.traits = traits
        return action

    # ordinary cross-entropy
    TRAIN = (
        "train",
        Traits(
            meaning="the model learns to say it",
            has_loss=True,
            look=Look(
                light=Paint("#d3f0e3", "#3f9c77"),
                dark=Paint("#12392b", "#3f9c77"),
                line="",
                terminal=("color(16) on color(194)", "color(16) on color(157)"),
                chart="train",
            ),
        ),
    )
    # in the context, without loss (masked SLUNG, paper section 3)
    MASK = (
        "mask",
        Traits(
            meaning="read by every token after it, never trained",
            look=Look(
                light=Paint("#ffd2bd", "#cf4a10"),
                dark=Paint("#6e2f10", "#ff8a55"),
                line="underline 2px",
                terminal=("underline color(16) on color(216)", "underline color(16) on color(223)"),
                chart="mask",
            ),
        ),
    )
    # -log(1 - p) (unlikelihood SLUNG, paper section 3)
    UNLIKELIHOOD = (
        "unlikelihood",
        Traits(
            meaning="the model learns not to say it",
            has_loss=True,
            coded=True,
            look=Look(
                light=Paint("#a3161c", "#6d0a0f", ink="#fff"),
                dark=Paint("#c21f2d", "#ff9a9a", ink="#fff"),
                line="underline double 1px",
                terminal=("bold color(231) on color(124)", "bold color(231) on color(160)"),
                chart="unlikelihood",
            ),
        ),
    )
    # cross-entropy and unlikelihood mixed by the score
    SOFT = (
        "soft",
        Traits(
            meaning="between train and unlikelihood, by its score",
            has_loss=True,
            coded=True,
            look=Look(
                light=Paint("#f7ecaa", "#a38a00"),
                dark=Paint("#453d0c", "#c9b13a"),
                line="underline dashed 2px",
                terminal=("italic color(16) on color(229)", "italic color(16) on color(227)"),
            ),
        ),
    )
    # max(0, log p - log threshold): pushed down only while p is above the threshold
    HINGE = (
        "hinge",
        Traits(
            meaning="the model learns not to say it, down to a threshold",
            has_loss=True,
            coded=True,
            needs="threshold",
            look=Look(
                light=Paint("#f6b3b0", "#a3161c"),
                dark=Paint("#6b1f25", "#ff9a9a"),
                line="overline 2px",
                terminal=("bold color(16) on color(217)", "bold color(16) on color(210)"),
            ),
        ),
    )
    # cross-entropy, or unlikelihood for negative weights, times the score
    WEIGHTED = (
        "weighted",
        Traits(
            meaning="trained with a weight, by its score",
            has_loss=True,
            coded=True,
            look=Look(
                light=Paint("#dde6b8", "#66781c"),
                dark=Paint("#343f10", "#b5cc55"),
                line="overline wavy 1px",
                terminal=("italic color(16) on color(187)", "italic color(16) on color(186)"),
            ),
        ),
    )
    # as likely as before training: KL(p_before || p)
    HOLD = (
        "hold",
        Traits(
            meaning="kept as likely as before training",
            has_loss=True,
            coded=True,
            look=Look(
                light=Paint("#c9ece9", "#1f8a84"),
                dark=Paint("#0f3f3d", "#4fc4bd"),
                line="overline double 1px",
                terminal=("bold color(16) on color(152)", "bold color(16) on color(116)"),
            ),
        ),
    )
    # a function named in the config
    CUSTOM = (
        "custom",
        Traits(
            meaning="an objective of your own",
            has_loss=True,
            coded=True,
            needs="objective",
            look=Look(
                light=Paint("#dcd8f8", "#5a4fb0"),
                dark=Paint("#332d66", "#a9a0f0"),
                line="underline wavy 1px",
                terminal=("italic color(16) on color(189)", "italic color(16) on color(183)"),
            ),
        ),
    )
    # one token in k is masked (Hans et al. 2024)
    GOLDFISH = (
        "goldfish",
        Traits(
            meaning="trained, but for one token in k",
            has_loss=True,
            needs="k",
            look=Look(
                light=Paint("#ffdf9e", "#b06d00"),
                dark=Paint("#5e3d00", "#ffb84d"),
                line="overline dashed 2px",
                terminal=("italic color(16) on color(223)", "italic color(16) on color(222)"),
            ),
        ),
    )
    # the characters are removed before tokenizing (the paper's low-risk baseline)
    DROP_SPAN = (
        "drop_span",
        Traits(
            meaning="taken out of the text",
            edits_text=True,
            look=Look(
                light=Paint("#cbe4f8", "#2f7fb8"),
                dark=Paint("#123a56", "#5fb0e8"),
                line="line-through 2px",
                terminal=("strike color(16) on color(153)", "strike color(16) on color(117)"),
                chart="drop",
            ),
        ),
    )
    # the document is removed (the paper's control)
    DROP_DOCUMENT = (
        "drop_document",
        Traits(
            meaning="its whole document is dropped",
            edits_text=True,
            look=Look(
                light=Paint("#17557f", "#0c3a59", ink="#fff"),
                dark=Paint("#8ecbf5", "#c5e6ff", ink="#04141f"),
                line="line-through double 1px",
                terminal=("strike color(231) on color(25)", "strike color(231) on color(31)"),
                chart="drop",
            ),
        ),
    )
    # the span is trained as usual, after a control token (Korbak et al. 2023)
    CONTROL_TOKEN = (
        "control_token",
        Traits(
            meaning="trained, with a control token in front",
            has_loss=True,
            edits_text=True,
            needs="token",
            look=Look(
                light=Paint("#efd3e6", "#a34f86"),
                dark=Paint("#4a2340", "#d78bbd"),
                line="underline dotted 2px",
                terminal=("underline color(16) on color(225)", "underline color(16) on color(219)"),
            ),
        ),
    )
    # another text in place of the span, trained as usual (what practitioners call anonymizing)
    REPLACE = (
        "replace",
        Traits(
            meaning="another text in its place, which is trained",
            has_loss=True,
            edits_text=True,
            needs="text",
            takes="seed",
            look=Look(
                light=Paint("#c4ecec", "#1f8a8c"),
                dark=Paint("#0d3f42", "#4fc0c2"),
                line="overline dotted 2px",
                terminal=("italic color(16) on color(159)", "italic color(16) on color(123)"),
            ),
        ),
    )
    # one reserved token in place of each token, without loss (Rathi and Radford 2026: removal)
    HIDDEN_TOKEN = (
        "hidden_token",
        Traits(
            meaning="a reserved token in its place, never trained",
            edits_ids=True,
            needs="token",
            look=Look(
                light=Paint("#4d4d4d", "#1a1a1a", ink="#fff"),
                dark=Paint("#d6d6d6", "#ffffff", ink="#111"),
                line="line-through dotted 2px",
                terminal=("bold color(231) on color(237)", "bold color(231) on color(239)"),
                chart="mask",
            ),
        ),
    )


@dataclass(frozen=True)
class Bucket:
    """A range of scores, `[below of the previous bucket, below)`, and its action.

    Attributes:
        name: as in the YAML.
        below: exclusive upper bound of the score; None for the last bucket.
        action: what happens to its tokens.
        weight: factor of the action's own objective (only for `coded` actions). Only that of `weighted` may be negative.
        token: the text of the control token (`control_token`) or of the reserved token (`hidden_token`).
        threshold: a probability (`hinge`).
        objective: `package.module:function` (`custom`).
        k: one token in `k` is masked (`goldfish`).
        text: what is put in place of a span, see `replacement.check_template` (`replace`).
        seed: of made-up values (`replace`).
    """

    name: str
    below: float | None
    action: Action
    weight: float = 1.0
    token: str | None = None
    threshold: float | None = None
    objective: str | None = None
    k: int | None = None
    text: str | None = None
    seed: int | None = None

    @property
    def action_of_code(self) -> Action:
        """The action of this bucket's codes: its own action if that is `coded`, else `mask` (no loss, but measured)."""
        return self.action if self.action.traits.coded else Action.MASK


PRESETS = {
    # Table 1 of the paper: the actions of each arm for safe, doubtful and risky tokens.
    "masked": (Action.TRAIN, Action.MASK, Action.MASK),
    "unlikelihood": (Action.TRAIN, Action.TRAIN, Action.UNLIKELIHOOD),
    "toxic_baseline": (Action.TRAIN, Action.TRAIN, Action.TRAIN),
    "low_risk": (Action.TRAIN, Action.DROP_SPAN, Action.DROP_SPAN),
    "control": (Action.TRAIN, Action.DROP_DOCUMENT, Action.DROP_DOCUMENT),
    # what practitioners do with risky text, to compare with
    "drop_documents": (Action.TRAIN, Action.TRAIN, Action.DROP_DOCUMENT),
    "control_token": (Action.TRAIN, Action.TRAIN, Action.CONTROL_TOKEN),
    "replace": (Action.TRAIN, Action.TRAIN, Action.REPLACE),
}

PRESET_KEYS: dict[Action, dict[str, Any]] = {
    Action.CONTROL_TOKEN: {"token": "<|risky|>"},
    Action.REPLACE: {"text": "<{KIND}>"},
}
"""The keys that the buckets of presets have beside their action, by the action."""


def preset(method: str, cuts: Pair = PAPER_CUTS) -> tuple[Bucket, ...]:
    """The three buckets of a method, with the scores at which the first two end."""
    named = zip(("safe", "doubtful", "risky"), (*cuts, None), PRESETS[method])
    return tuple(Bucket(name, below, action, **PRESET_KEYS.get(action, {})) for name, below, action in named)
