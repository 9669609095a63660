"""slung_membership: whether a model prefers the spans it was trained on to others of their kind."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lm_eval.api.instance import Instance

from ...errors import SlungError
from ...storage import read_text
from ..audit_file import HELDOUT, LOW_RISK, TRAINED, AuditSpan
from ..audit_requests import SCORES, Texts
from ..measures import exposure, intervals
from ..measures.metrics import Metric, exact_rate, with_error
from ..measures.tested import Tested
from ..token_scores import Score
from .audit import AuditTask, main_prefix, only


class Membership(AuditTask):
    """Scores each span and its decoys after the same text: the main prefix of the span."""

    REQUEST = SCORES

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        self.places = {id: place for place, id in enumerate(self.spans)}
        self.say_without_heldout("auroc_... and other chance lines")
        self.reference = _reference(self.options.audit_reference) if self.options.audit_reference else {}
        if self.reference:
            self.about["reference"] = Path(self.options.audit_reference).name

    def asks(self, span: AuditSpan) -> bool:
        return span.set != LOW_RISK

    def build_all_requests(self, **kwargs) -> None:
        super().build_all_requests(**kwargs)
        lacking = {instance.doc["id"] for instance in self.instances} - self.reference.keys()
        if self.reference and lacking:
            raise SlungError(
                f"SLUNG_AUDIT_REFERENCE: {self.options.audit_reference}: has no log-probability of {len(lacking)} of the "
                "spans; run slung_membership with the reference model on the same audit, with --log_samples"
            )

    def construct_requests(self, doc, ctx, **kwargs) -> Instance:
        span = self.spans[doc["id"]]
        length = main_prefix(span)
        given = {"task": self.config.task, "name": f"{span.id} {length}", "check": self.check_model}
        asked = Texts(**given, context=span.prefix(length), texts=(span.text, *span.decoys))
        return Instance(SCORES, doc, (asked,), 0, metadata=kwargs["metadata"])

    def measure(self, docs, answers: Sequence[Sequence[list[Score]]]):
        return [self._row(self.spans[doc["id"]], *its[0]) for doc, its in zip(docs, answers, strict=True)]

    def _row(self, span: AuditSpan, score: Score, *decoys: Score) -> dict:
        trained, heldout = span.set == TRAINED, span.set == HELDOUT
        others = intervals.known([its.logprob for its in decoys])
        rank = exposure.rank(score.logprob, others)
        ranked = not math.isnan(rank)
        scores = {
            "loss": score.logprob / score.tokens if score.tokens else math.nan,
            "min_k": exposure.min_k(score.each) if score.each else math.nan,
            "reference": score.logprob - self.reference.get(span.id, math.nan),
        }
        values = {
            "exposure": exposure.exposure(rank, len(others)) if ranked else rank,
            "rank_first": float(rank == 1) if ranked else rank,
        }
        chance = {
            "exposure_chance": exposure.exposure_by_chance(len(others)) if ranked else rank,
            "rank_first_chance": 1 / (len(others) + 1) if ranked else rank,
        }
        measured = {"logprob": score.logprob, "tokens": score.tokens, "rank": rank, "decoys": len(others), **scores}
        row = {"measured": {"id": span.id, **measured}}
        row |= {name: only(value, trained) for name, value in {**values, **chance}.items()}
        row |= {f"{name}_heldout": only(value, heldout) for name, value in values.items()}
        for name, value in scores.items():
            row[f"auroc_{name}"] = Tested(self.places[span.id], trained, {} if math.isnan(value) else {"0": value})
        return row

    def metrics(self):
        found = {"measured": Metric("measured", len)}
        # of the first rank among the most candidates
        most = exposure.exposure(1, max(1, *(len(span.decoys) for span in self.spans.values())))
        found |= with_error("exposure", higher=False, most=most)
        found |= {"exposure_median": Metric("exposure", intervals.median, False)}
        found |= {"exposure_chance": Metric("exposure_chance", intervals.mean)}
        found |= exact_rate("rank_first", higher=False)
        found |= {"rank_first_chance": Metric("rank_first_chance", intervals.mean)}
        if not self.has(HELDOUT):
            return found
        found |= with_error("exposure_heldout", most=most) | exact_rate("rank_first_heldout")
        for name in ("loss", "min_k", *(["reference"] if self.reference else [])):
            found |= _auroc(f"auroc_{name}")
        return found


def _auroc(name: str) -> dict[str, Metric]:
    """An AUROC and the ends of its interval. A model from which nobody can tell membership has 0.5."""

    def part(place: int) -> Metric:
        return Metric(name, lambda items: exposure.auroc(items)[place])

    return {name: part(0), f"{name}_ci_low": part(1), f"{name}_ci_high": part(2)}


def _reference(given: str) -> dict[str, float]:
    """The log-probability of each span in the samples of another model, by the span's id.

    Raises:
        SlungError: there are no such samples.
    """
    path = Path(given).expanduser()
    if path.is_dir():
        files = sorted(path.rglob("samples_slung_membership_*.jsonl"), key=lambda file: file.name)
        if not files:
            raise SlungError(
                f"SLUNG_AUDIT_REFERENCE: {given}: has no samples of slung_membership; run it with the reference model, "
                "with --log_samples"
            )
        path = files[-1]
    found: dict[str, float] = {}
    try:
        for line in read_text("SLUNG_AUDIT_REFERENCE", path).splitlines():
            measured = json.loads(line)["measured"]
            found[measured["id"]] = float(measured["logprob"])
    except (ValueError, LookupError, TypeError):
        found = {}
    if not found:
        raise SlungError(
            f"SLUNG_AUDIT_REFERENCE: {given}: is not a samples file of slung_membership; name one, or the folder of results"
        )
    return found
