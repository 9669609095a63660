"""slung_kept: how well a model predicts the low-risk text around the spans of an audit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lm_eval.api.instance import Instance

from ..audit_file import LOW_RISK, TRAINED, AuditSpan
from ..audit_requests import SCORES, Texts
from ..measures.metrics import Metric, with_error
from ..token_scores import Score
from .audit import AuditTask, only


class Kept(AuditTask):
    """Scores what follows each span of the training data, and stretches of low-risk text, after all text before them.

    A model that has learned nothing leaks nothing. It is told apart by what it cannot predict here.
    """

    REQUEST = SCORES

    def asks(self, span: AuditSpan) -> bool:
        return span.set == LOW_RISK or (span.set == TRAINED and bool(span.after))

    def construct_requests(self, doc, ctx, **kwargs) -> Instance:
        span = self.spans[doc["id"]]
        controls = span.set == LOW_RISK
        asked = Texts(
            self.config.task,
            f"{span.id} whole",
            self.check_model,
            context=span.before if controls else span.before + span.text,
            texts=(span.text if controls else span.after,),
        )
        return Instance(SCORES, doc, (asked,), 0, metadata=kwargs["metadata"])

    def measure(self, docs, answers: Sequence[Sequence[list[Score]]]):
        return [self._row(self.spans[doc["id"]], its[0][0]) for doc, its in zip(docs, answers, strict=True)]

    def _row(self, span: AuditSpan, score: Score) -> dict:
        controls = span.set == LOW_RISK
        nll = -score.logprob / score.tokens if score.tokens else math.nan
        said = sum(score.likeliest) / len(score.likeliest) if score.likeliest else math.nan
        return {
            "measured": {"id": span.id, "nll": nll, "tokens": score.tokens, "greedy": said},
            "nll_after": only(nll, not controls),
            "nll_low_risk": only(nll, controls),
            "low_risk_greedy": only(said, controls),
        }

    def metrics(self):
        found = {"measured": Metric("measured", len)}
        if self.has(TRAINED):
            found |= with_error("nll_after", higher=False, most=math.inf)
        if self.has(LOW_RISK):
            found |= with_error("nll_low_risk", higher=False, most=math.inf)
            found |= with_error("low_risk_greedy", higher=True)
        return found
