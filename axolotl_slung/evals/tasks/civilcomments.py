"""slung_civilcomments: how well a linear probe on a model's hidden states separates toxic comments from others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from lm_eval.api.instance import Instance

from ...errors import get_logger
from ..comments import drawn
from ..measures import intervals, probe, tested
from ..measures.metrics import Metric
from ..measures.tested import Tested, over_draws
from ..requests import HIDDEN_STATES, HiddenStates
from ..services.opened import check_read
from .base import SlungTask
from .groups import GroupTable

LOG = get_logger(__name__)

Scores = dict[str, dict[int, dict[str, float]]]
"""For each kind of score: for each comment's place, its score in each draw that tests it."""


class CivilComments(SlungTask):
    """Probes the hidden states of comments. The model reads each comment once, even if several draws contain it."""

    REQUEST = HIDDEN_STATES

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        options, layer = self.options, self.options.probe_layer
        self.about["probe"] = {
            "layer": list(layer) if isinstance(layer, tuple) else layer,
            "pooling": options.probe_pooling,
            "scaled": options.protocol == "paper",
            "draws": len(self.draws),
            "train": len(self.draws[0].train),
            "test": len(self.draws[0].test),
        }
        if self.groups.names:
            self.config.metadata["slung_groups"] = self.groups
        self._layers: tuple[int, ...] = ()

    def documents(self):
        found = drawn(self.options)
        self.docs, self.draws = found.docs, found.draws
        self.groups = GroupTable(self.docs, tested.zero)
        self.about |= found.about
        return found.source, self.docs

    def fewshot_context(self, doc, *args, **kwargs) -> str:
        # a comment is read as it is, without any chat template
        return doc["text"]

    def construct_requests(self, doc, ctx, **kwargs):
        layers = self.about["probe"]["layer"]
        layers = [layers] if isinstance(layers, int) else layers
        arguments = (doc["text"], layers, self.options.probe_pooling)
        return Instance(HIDDEN_STATES, doc, arguments, 0, metadata=kwargs["metadata"])

    def measure(self, docs, answers: Sequence[Sequence[HiddenStates]]):
        states = {doc["id"]: its[0] for doc, its in zip(docs, answers, strict=True)}
        self._layers = next((its.layers for its in states.values()), ())
        read = {p: its for p, its in states.items() if all(np.isfinite(vector).all() for vector in its.vectors)}
        check_read(self.options, self.config.task, [place not in read for place in states])
        scores = self.of_all_ranks(read, self._scores)
        return [
            {
                **{kind: Tested(doc["id"], doc["toxic"], its.get(doc["id"], {})) for kind, its in scores.items()},
                "unread": int(doc["id"] not in read),
            }
            for doc in docs
        ]

    def metrics(self):
        found = over_draws("auroc", "probe", self.groups.noting(tested.aurocs))
        found |= over_draws("auroc_bag_of_words", "words", tested.aurocs, higher=None)
        found |= over_draws("auroc_shuffled", "shuffled", tested.aurocs, higher=None)
        if self._several:
            found |= over_draws("chosen_layer", "chosen", _constants, higher=None, ci=False)
            for layer in self._layers:
                found |= over_draws(f"auroc_layer_{layer}", f"layer {layer}", tested.aurocs, ci=False)
        return {**found, "unread": Metric("unread", sum)}

    @property
    def _several(self) -> bool:
        """Whether several layers are probed."""
        return not isinstance(self.options.probe_layer, int)

    def _scores(self, states: Mapping[int, HiddenStates]) -> Scores:
        """The scores of the test comments of all draws, by what gave them; nothing of a draw that lacks a class."""
        kinds = ["probe", "words", "shuffled"]
        kinds += ["chosen", *(f"layer {layer}" for layer in self._layers)] if self._several else []
        found: Scores = {kind: defaultdict(dict) for kind in kinds}
        for number, draw in enumerate(self.draws):
            train, test = ([place for place in places if place in states] for places in draw)
            if any(len({self.docs[place]["toxic"] for place in places}) < 2 for places in (train, test)):
                continue
            for kind, scores in self._of_draw(states, number, train, test).items():
                for place, score in zip(test, scores, strict=True):
                    found[kind][place][str(number)] = float(score)
        self._say_if_words_do_better(found)
        return found

    def _of_draw(self, states, number: int, train: list[int], test: list[int]) -> dict[str, Sequence[float]]:
        toxic = [self.docs[place]["toxic"] for place in train]
        scaled = self.options.protocol == "paper"

        def vectors(index: int, places: list[int]) -> np.ndarray:
            return np.stack([states[place].vectors[index] for place in places])

        def probed(index: int, classes: Sequence[bool]) -> np.ndarray:
            return probe.scores(vectors(index, train), classes, vectors(index, test), scaled)

        found: dict[str, Sequence[float]] = {}
        best: int | None = 0
        if self._several:
            for index, layer in enumerate(self._layers):
                found[f"layer {layer}"] = probed(index, toxic)
            best = probe.best([vectors(index, train) for index in range(len(self._layers))], toxic, scaled)
            if best is None:
                return found  # --limit left too few comments to choose with
            found["chosen"] = [self._layers[best]] * len(test)
            found["probe"] = found[f"layer {self._layers[best]}"]
        else:
            found["probe"] = probed(best, toxic)
        shuffled = np.random.default_rng(number).permutation(toxic)
        found["shuffled"] = probed(best, shuffled)
        texts = [[self.docs[place]["text"] for place in places] for places in (train, test)]
        found["words"] = probe.scores_of_words(texts[0], toxic, texts[1])
        return found

    def _say_if_words_do_better(self, scores: Scores) -> None:
        ours, words = (
            intervals.mean(tested.aurocs([Tested(p, self.docs[p]["toxic"], its) for p, its in scores[kind].items()]))
            for kind in ("probe", "words")
        )
        if ours < words:
            others = ["SLUNG_PROBE_LAYER=all"] * (not self._several)
            others += ["SLUNG_PROBE_POOLING=mean"] * (self.options.probe_pooling != "mean")
            LOG.warning(
                "%s: the hidden states tell less than words do: AUROC %.3f, a bag of words %.3f%s",
                self.config.task, ours, words, f"; try {' or '.join(others)}" if others else "",
            )  # fmt: skip


def _constants(items: Sequence[Tested]) -> list[float]:
    """The value that all comments of a draw share, for each draw."""
    return [its[0].scores[draw] for draw, its in tested.by_draw(items).items()]
