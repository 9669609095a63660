"""slung_tofu: what a model knows about invented authors, and whether it says their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from lm_eval.api.instance import Instance

from .. import answer_requests
from ..documents import load
from ..kept_answers import kept
from ..measures import choice, controls, likelihoods, tofu
from ..measures.names import Names, find_authors, read_names
from ..measures.others import others
from ..services.opened import check_scored, check_spoken, checked_judge, described, judge_of
from .base import SlungTask


class Tofu(SlungTask):
    """Asks questions about the authors and measures the answers."""

    def __init__(self, config: Mapping | None = None):
        answer_requests.attach()
        super().__init__(config)
        self.judge = judge_of(self.options)
        self._controls: Mapping[int, list[controls.Judged]] = {}
        if self.judge is not None:
            self.about["judge"] = described(self.judge)

    def documents(self):
        source, wrong = self.options.tofu, self.options.tofu_wrong_answers
        optional = ["author", "kind", "paraphrased_answer", "perturbed_answer"]
        rows = list(load("SLUNG_TOFU", source, ["question", "answer"], optional, splits=["train"]))
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
        self.with_truth_ratio = self.options.tofu_probabilities and "perturbed_answer" in rows[0]
        if self.options.tofu_probabilities:
            true = "paraphrased_answer" if "paraphrased_answer" in rows[0] else "answer"
            without = "left out: not every row has a column perturbed_answer"
            self.about["truth ratio"] = f"perturbed_answer over {true}" if self.with_truth_ratio else without
        # one is needed for the chance lines
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
        """The question, and the texts whose likelihoods are asked (see `_scored`)."""
        question = super().construct_requests(doc, ctx, **kwargs)
        parts, asked = self._scored(doc)
        texts = [*parts, *(text for its in asked.values() for text in its)]
        if not texts:
            return [question]
        if not isinstance(ctx, str):
            raise answer_requests.no_log_likelihoods("this model takes messages in place of a text")
        # as in lm_eval, nothing separates a chat template's prompt from the answer
        start = ctx if kwargs.get("apply_chat_template") else f"{ctx} "

        def request(kind: str, number: int, *arguments) -> Instance:
            return Instance(kind, doc, arguments, number, metadata=kwargs["metadata"])

        scored = [request("loglikelihood", n, f"{start}{before}", text) for n, (before, text) in enumerate(texts, 1)]
        # in the order in which lm_eval runs them: a model that cannot says so before it generates
        requests = [request(answer_requests.TOKENS, len(texts) + 1, start, tuple(texts)), *scored, question]
        if its := asked.get("name"):
            named = [name for key in ("name", "another") for _, name in asked.get(key, [])]
            requests.append(request(answer_requests.RANKS, len(texts) + 2, start + its[0][0], tuple(named)))
        return requests

    def _scored(self, doc: Mapping) -> tuple[list[likelihoods.Text], dict[str, list[likelihoods.Text]]]:
        """The parts of the right and the wrong answers (see `choice.parts`), and whole answers and names."""
        options = choice.options(doc) if self._asks(doc) else []
        parts = [part for option in options for part in choice.parts(option, self.names)]
        return parts, likelihoods.texts(doc, self.names) if self.options.tofu_probabilities else {}

    def _asks(self, doc: Mapping) -> bool:
        """Whether the document is asked as multiple choice."""
        return 0 < self.options.tofu_wrong_answers == len(doc["others"])

    def measure(self, docs, answers: Sequence[Sequence]):
        completions = [its[0] for its in answers]
        rows = tofu.measure(docs, completions, self.names)
        rows = [{**row, **more} for row, more in zip(rows, self._likelihoods(docs, answers))]
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

    def _likelihoods(self, docs, answers: Sequence[Sequence]) -> list[dict[str, float]]:
        """Multiple choice and probabilities of each document, from the answers to the requests after the first."""
        wrong = self.options.tofu_wrong_answers
        scores, rows = [], []
        for doc, its in zip(docs, answers, strict=True):
            parts, asked = self._scored(doc)
            number = len(parts) + sum(map(len, asked.values()))
            # lm_eval also says whether a text is the greedy continuation
            values = [log_likelihood for log_likelihood, _ in its[1 : number + 1]]
            tokens, ranks = [*its[number + 1 :], [], []][:2]
            scores.append(values[: len(parts)])
            later = values[len(parts) :], tokens[len(parts) :], ranks
            rows.append(likelihoods.measure(asked, *later) if self.options.tofu_probabilities else {})
        if wrong:
            rows = [{**row, **more} for row, more in zip(rows, tofu.chosen(docs, scores, self.names, wrong))]
        return rows

    def metrics(self):
        reported = tofu.metrics(self.judge is not None, self.options.tofu_wrong_answers > 0)
        if self.options.tofu_probabilities:
            reported |= likelihoods.metrics(self.with_truth_ratio)
        return reported | (controls.metrics() if self.judge is not None else {})
