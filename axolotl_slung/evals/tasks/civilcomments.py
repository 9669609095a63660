"""slung_civilcomments: how well a linear probe on a model's hidden states separates toxic comments from others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from lm_eval.api.instance import Instance

from ...errors import SlungError, get_logger
from ..documents import load, splits_of
from ..measures import intervals, probe
from ..measures.metrics import Metric
from ..requests import HIDDEN_STATES
from .base import SlungTask

LOG = get_logger(__name__)


class Probed(NamedTuple):
    """A comment's place, its class and its hidden state."""

    place: int
    toxic: bool
    state: object


class CivilComments(SlungTask):
    """Probes the hidden states of comments. The model reads each comment once, even if several draws contain it."""

    REQUEST = HIDDEN_STATES

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        options = self.options
        self.about["probe"] = {
            "layer": options.probe_layer,
            "pooling": options.probe_pooling,
            "scaled": options.protocol == "paper",
            "draws": len(self.draws),
            "train": len(self.draws[0].train),
            "test": len(self.draws[0].test),
        }
        self._aurocs: dict[tuple, list[float]] = {}

    def documents(self):
        options, source = self.options, self.options.civilcomments
        columns = ["text", "toxicity"]
        train = load("SLUNG_CIVILCOMMENTS", source, columns, splits=["train"])
        test = None
        if "test" in splits_of("SLUNG_CIVILCOMMENTS", source):
            test = load("SLUNG_CIVILCOMMENTS", source, columns, splits=["test"])
        toxic, test_toxic = (
            None if rows is None else [score >= probe.TOXIC for score in rows["toxicity"]] for rows in (train, test)
        )
        try:
            drawn = probe.draws(toxic, test_toxic, options.probe_draws, options.probe_train, options.probe_test)
        except ValueError:
            raise SlungError(
                f"SLUNG_CIVILCOMMENTS: {source}: too few comments with a toxicity of {probe.TOXIC} or more, or too few "
                "below it; a probe needs both"
            ) from None
        if len(drawn[0].train) < options.probe_train // 2 * 2:
            LOG.warning(
                "SLUNG_CIVILCOMMENTS: %s: too few comments of a class; probes are trained on %d and tested on %d, "
                "expected %d and %d",
                source, len(drawn[0].train), len(drawn[0].test), options.probe_train, options.probe_test,
            )  # fmt: skip
        # in random order, so that --limit keeps some of each set
        places = (
            np.random.default_rng(0)
            .permutation(sorted({p for draw in drawn for p in (*draw.train, *draw.test)}))
            .tolist()
        )
        new = {place: index for index, place in enumerate(places)}
        self.draws = [probe.Draw([new[p] for p in draw.train], [new[p] for p in draw.test]) for draw in drawn]
        rows = [train[p] if p < len(train) else test[p - len(train)] for p in places]
        return source, [{"text": row["text"], "toxic": row["toxicity"] >= probe.TOXIC} for row in rows]

    def fewshot_context(self, doc, *args, **kwargs) -> str:
        # a comment is read as it is, without any chat template
        return doc["text"]

    def construct_requests(self, doc, ctx, **kwargs):
        options = self.options
        return Instance(
            HIDDEN_STATES,
            doc,
            (doc["text"], options.probe_layer, options.probe_pooling),
            0,
            metadata=kwargs["metadata"],
        )

    def measure(self, docs, answers: Sequence[Sequence]):
        return [{"state": Probed(doc["id"], doc["toxic"], states[0])} for doc, states in zip(docs, answers)]

    def metrics(self):
        def of_draws(aggregate):
            return lambda items: aggregate(self.aurocs(items))

        return {
            "auroc": Metric("state", of_draws(intervals.mean), True),
            "auroc_stderr": Metric("state", of_draws(intervals.stderr)),
            "auroc_ci_low": Metric("state", of_draws(intervals.share_low)),
            "auroc_ci_high": Metric("state", of_draws(intervals.share_high)),
        }

    def aurocs(self, items: Sequence[Probed]) -> list[float]:
        """The AUROC of each draw over all ranks' comments; NaN if `--limit` leaves a set fewer than two classes."""
        by_place = {item.place: item for item in items}
        key = tuple(sorted(by_place))
        if key not in self._aurocs:
            self._aurocs[key] = [self._auroc(by_place, draw) for draw in self.draws]
        return self._aurocs[key]

    def _auroc(self, by_place: Mapping[int, Probed], draw: probe.Draw) -> float:
        sets = [[by_place[p] for p in places if p in by_place] for places in draw]
        if any(len({item.toxic for item in items}) < 2 for items in sets):
            return math.nan
        states, toxic = zip(*((np.stack([i.state.vector for i in items]), [i.toxic for i in items]) for items in sets))
        return probe.auroc(states[0], toxic[0], states[1], toxic[1], scaled=self.options.protocol == "paper")
