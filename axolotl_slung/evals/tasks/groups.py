"""The table of functional tests and target groups in a task's results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ..comments import GROUPS
from ..measures import tested


class GroupTable:
    """Accuracy and AUROC by group, as JSON text in the results, under `metadata.slung_groups` of the task's config.

    As metrics, HateCheck's 29 tests would fill lm_eval's table. The numbers are known only after the run, but lm_eval
    copies configs before that: copies are the same object.
    """

    def __init__(self, docs: Sequence[Mapping], threshold: tested.Threshold):
        self.names = {by: {p: doc[by] for p, doc in enumerate(docs) if doc.get(by)} for by in GROUPS}
        self.names = {by: names for by, names in self.names.items() if names}
        self._templates = {place: doc.get("template", "") for place, doc in enumerate(docs)}
        self._threshold = threshold
        self._rows: list[dict] = []

    def __deepcopy__(self, memo):
        return self

    def __str__(self):
        return json.dumps(self._rows, ensure_ascii=False)

    def noting(self, each: Callable[[Sequence[tested.Tested]], list[float]]):
        """`each`, which also fills the table from the test comments of all ranks."""

        def noted(items: Sequence[tested.Tested]) -> list[float]:
            self._rows = [
                {"by": by, **row}
                for by, names in self.names.items()
                for row in tested.groups(items, names, self._templates, self._threshold)
            ]
            return each(items)

        return noted
