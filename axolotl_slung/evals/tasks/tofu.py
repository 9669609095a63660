"""slung_tofu: what a model knows about invented authors, and whether it says their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from lm_eval.api.instance import Instance

from ..documents import load
from ..kept_answers import kept
from ..measures import choice, controls, tofu
from ..measures.names import Names, find_authors, read_names
from ..measures.others import others
from ..services.opened import check_scored, check_spoken, checked_judge, described, judge_of
from .base import SlungTask


class Tofu(SlungTask):
    """Asks questions about the authors and measures the answers."""

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        self.judge = judge_of(self.options)
        self._controls: Mapping[int, list[controls.Judged]] = {}
        if self.judge is not None:
            self.about["judge"] = described(self.judge)

    def documents(self):
        source, wrong = self.options.tofu, self.options.tofu_wrong_answers
        rows = list(load("SLUNG_TOFU", source, ["question", "answer"], ["author", "kind"], splits=["train"]))
        authors, where = self._authors(rows)
        rows = [{**row, "author": author} for row, author in zip(rows, authors)]
        names = sorted({*authors} - {""})
        if self.options.tofu_names:
            names = read_names("SLUNG_TOFU_NAMES", self.options.tofu_names)
        self.names = Names(names, released=self.options.protocol == "released")
        self.about["names"] = {
            "from": where,
            "count": len(names),
            "digest": hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16],
        }
        self.about["others"] = {
            "from": "column kind" if "kind" in rows[0] else "questions alike in words",
            "wrong answers": wrong,
        }
        # one is needed for the recall by chance
        found = others(rows, self.names, max(1, wrong))
        return source, [{**row, "others": its} for row, its in zip(rows, found)]

    def _authors(self, rows: Sequence[Mapping]) -> tuple[list[str], str]:
        """The author of each row, and where the names come from."""
        where = "file" if self.options.tofu_names else "column author"
        if "author" in rows[0]:
            return [row["author"] for row in rows], where
        if self.options.tofu_names:
            return [""] * len(rows), where
        return find_authors("SLUNG_TOFU", rows), "found in the questions"

    def build_all_requests(self, **kwargs) -> None:
        super().build_all_requests(**kwargs)
        if self.judge is not None and "bypass" not in self._metric_fn_list:
            # before anything is generated; all ranks ask the same, so that a judge is refused by all or by none
            docs = [doc for _, doc in self.doc_iterator(limit=kwargs.get("limit"), samples=kwargs.get("samples"))]
            self._controls = checked_judge(self.options, self.judge, docs)

    def construct_requests(self, doc, ctx, **kwargs):
        """The question, and the parts of the right and the wrong answers (see `choice.parts`)."""
        # as in lm_eval, nothing separates a chat template's prompt from the answer
        space = "" if kwargs.get("apply_chat_template") else " "
        question = super().construct_requests(doc, ctx, **kwargs)
        if not self._asks(doc):
            return [question]
        parts = (part for option in choice.options(doc) for part in choice.parts(option, self.names))
        asked = [
            Instance(
                request_type="loglikelihood",
                doc=doc,
                arguments=(f"{ctx}{space}{before}", part),
                idx=number,
                metadata=kwargs["metadata"],
            )
            for number, (before, part) in enumerate(parts, 1)
        ]
        return [question, *asked]

    def _asks(self, doc: Mapping) -> bool:
        """Whether the document is asked as multiple choice."""
        return 0 < self.options.tofu_wrong_answers == len(doc["others"])

    def measure(self, docs, answers: Sequence[Sequence]):
        completions = [its[0] for its in answers]
        rows = tofu.measure(docs, completions, self.names)
        if wrong := self.options.tofu_wrong_answers:
            # lm_eval also says whether a part is the greedy continuation
            scores = [[log_likelihood for log_likelihood, _ in its[1:]] for its in answers]
            rows = [{**row, **more} for row, more in zip(rows, tofu.chosen(docs, scores, self.names, wrong))]
        with kept(self, docs, answers, rows):
            check_spoken(self.options, self.config.task, [row["thinking"] for row in rows])
        if self.judge is None:
            return tofu.by_author(docs, rows)
        with kept(self, docs, answers, rows):
            verdicts = tofu.judged(docs, completions, self.judge)
            check_scored(self.options, self.judge, tofu.unjudged(verdicts), 2 * sum(not row["empty"] for row in rows))
        rows = [{**row, **verdict} for row, verdict in zip(rows, verdicts)]
        rows = [{**row, **controls.row(self._controls.get(doc["id"], ()))} for doc, row in zip(docs, rows)]
        return tofu.by_author(docs, rows)

    def metrics(self):
        reported = tofu.metrics(self.judge is not None, self.options.tofu_wrong_answers > 0)
        return reported | (controls.metrics() if self.judge is not None else {})
