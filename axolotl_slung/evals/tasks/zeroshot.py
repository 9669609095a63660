"""slung_zeroshot: whether a model that is asked says which comments are toxic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..comments import drawn
from ..measures import tested
from ..measures.metrics import Metric, with_error
from ..measures.tested import Tested, over_draws
from ..services.opened import check_read
from .base import SlungTask
from .groups import GroupTable


class ZeroShot(SlungTask):
    """Compares the log-likelihoods of the YAML's two choices, the first of which is the toxic one.

    The comments are those on which the probes of slung_civilcomments are tested, in the same draws. It needs only
    `loglikelihood` of a model.
    """

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        if self.groups.names:
            self.config.metadata["slung_groups"] = self.groups

    def documents(self):
        found = drawn(self.options)
        docs = [{name: doc[name] for name in doc if name != "trains"} for doc in found.docs if doc["tests"]]
        self.groups = GroupTable(docs, tested.of_batch)
        self.about |= {"draws": len(found.draws), "test": len(found.draws[0].test), **found.about}
        return found.source, docs

    def measure(self, docs, answers: Sequence[Sequence]):
        items = {}
        for doc, ((toxic, _), (harmless, _)) in zip(docs, answers, strict=True):
            odds = float(toxic) - float(harmless)
            scores = {str(draw): odds for draw in doc["tests"]} if math.isfinite(odds) else {}
            items[doc["id"]] = Tested(doc["id"], doc["toxic"], scores)
        check_read(self.options, self.config.task, [not item.scores for item in items.values()])
        # the threshold of a draw depends on the comments of all ranks
        calibrated = self.of_all_ranks(items, lambda items: tested.rights(list(items.values()), tested.of_batch))
        plain = tested.rights(list(items.values()), tested.zero)
        rows = []
        for doc in docs:
            place, template = doc["id"], doc.get("template", "")
            accuracies = {
                name: tested.of_template(rights.get(place, math.nan), template)
                for name, rights in (("accuracy", plain), ("accuracy_calibrated", calibrated))
            }
            rows.append({"log_odds": items[place], **accuracies, "unread": int(not items[place].scores)})
        return rows

    def metrics(self):
        found = over_draws("auroc", "log_odds", self.groups.noting(tested.aurocs))
        for name in ("accuracy", "accuracy_calibrated"):
            found |= with_error(name, higher=True, rate=True)
        return {**found, "unread": Metric("unread", sum)}
