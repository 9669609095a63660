"""Compares a scorer with frozen scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ..errors import SlungError
from .calibration import figures_of
from .fitted.file import digests_of
from .fitted.scorer import FittedScorer
from .frozen import Frozen
from .measures.scorer_agreement import Agreement, agreement

_BATCH = 500
"""Texts that are scored between two steps of the progress bar."""


class Scored(NamedTuple):
    """A scorer's scores of frozen texts.

    Attributes:
        scores, frozen: float64, one per scored text.
        prompts: the number of each one's prompt.
        groups: names of groups of texts, and which texts belong to each (bool).
        unscored: the texts that got no score; they are left out.
    """

    scores: np.ndarray
    frozen: np.ndarray
    prompts: list[int]
    groups: dict[str, np.ndarray]
    unscored: int


class Report(NamedTuple):
    """The result of a check.

    Attributes:
        scorer: its `name`, `version` and `served`.
        data: what is known of the file, with the number of `unscored` texts and of `seen` prompts.
        groups: the figures of each group of texts.
    """

    scorer: dict
    data: dict
    groups: dict[str, Agreement]

    def to_json(self) -> dict:
        """The report for JSON."""
        groups = {
            name: {**figures_of(figures), "chance": {"auroc": 0.5, "average_precision": figures.toxic}}
            for name, figures in self.groups.items()
        }
        return {"scorer": self.scorer, "data": self.data, "groups": groups}


def score(scorer, data: Frozen) -> Scored:
    """Score the texts, with a progress bar.

    Raises:
        SlungError: no text has got a score.
    """
    texts, found = data.texts, []
    with tqdm(total=len(texts), desc="texts scored", unit="texts") as bar:
        for first in range(0, len(texts), _BATCH):
            some = [one.text for one in texts[first : first + _BATCH]]
            found.append(scorer.score(some))
            bar.update(len(some))
    scores = np.concatenate(found)
    known = ~np.isnan(scores)
    if not known.any():
        reasons = ", ".join(f"{count} {reason}" for reason, count in scorer.failures.most_common())
        raise SlungError(f"{scorer.name}: no text has got a score ({reasons}); check the service and run again")
    texts = [one for one, scored in zip(texts, known) if scored]
    continuation = np.array([one.continuation for one in texts])
    toxic, harmless = (np.array([one.toxic_prompt is kind for one in texts]) for kind in (True, False))
    groups = {
        "all": np.ones(len(texts), bool),
        "prompts": ~continuation,
        "toxic prompts": ~continuation & toxic,
        "harmless prompts": ~continuation & harmless,
        "continuations": continuation,
        "after toxic prompts": continuation & toxic,
        "after harmless prompts": continuation & harmless,
    }
    frozen = np.array([one.score for one in texts])
    return Scored(scores[known], frozen, [one.row for one in texts], groups, int((~known).sum()))


def check(scorer, data: Frozen) -> Report:
    """Score the texts and compare.

    Raises:
        SlungError: see `score`.
    """
    scored = score(scorer, data)
    prompts = np.array(scored.prompts)
    groups = {
        name: agreement(scored.scores[some], scored.frozen[some], prompts[some])
        for name, some in scored.groups.items()
        if some.any()
    }
    about = {**data.about, "unscored": scored.unscored, "seen": seen(scorer, data)}
    return Report(described(scorer), about, groups)


def described(scorer) -> dict:
    """What results say of the scorer, after it has scored."""
    return {"name": scorer.name, "version": scorer.version, "served": scorer.served}


def seen(scorer, data: Frozen) -> int:
    """How many of the prompts a fitted scorer was fitted to."""
    fitted = getattr(scorer, "inner", scorer)
    if not isinstance(fitted, FittedScorer):
        return 0
    prompts = {one.text for one in data.texts if not one.continuation}
    return int(np.isin(digests_of(prompts), fitted.file.seen).sum())
