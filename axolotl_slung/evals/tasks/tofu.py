"""slung_tofu: what a model knows about invented authors, and whether it says their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ..documents import load
from ..kept_answers import kept
from ..measures import tofu
from ..measures.names import Names, find_authors, read_names
from ..services.opened import check_scored, described, judge_of
from .base import SlungTask


class Tofu(SlungTask):
    """Asks questions about the authors and measures the answers."""

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        self.judge = judge_of(self.options)
        if self.judge is not None:
            self.about["judge"] = described(self.judge)

    def documents(self):
        source = self.options.tofu
        rows = list(load("SLUNG_TOFU", source, ["question", "answer"], ["author"], splits=["train"]))
        found = "author" not in rows[0]
        authors = find_authors("SLUNG_TOFU", rows) if found else [row["author"] for row in rows]
        names = sorted({*authors})
        if self.options.tofu_names:
            names = read_names("SLUNG_TOFU_NAMES", self.options.tofu_names)
        self.names = Names(names, released=self.options.protocol == "released")
        self.about["names"] = {
            "from": "file" if self.options.tofu_names else "found in the questions" if found else "column author",
            "count": len(names),
            "digest": hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16],
        }
        return source, [{**row, "author": author} for row, author in zip(rows, authors)]

    def measure(self, docs, answers: Sequence[Sequence[str]]):
        completions = [texts[0] for texts in answers]
        rows = tofu.measure(docs, completions, self.names)
        if self.judge is None:
            return rows
        with kept(self, docs, answers, rows):
            verdicts = tofu.judged(docs, completions, self.judge)
            check_scored(self.options, self.judge, tofu.unjudged(verdicts), 2 * len(docs))
        return [{**row, **verdict} for row, verdict in zip(rows, verdicts)]

    def metrics(self):
        return tofu.metrics(with_judge=self.judge is not None)
