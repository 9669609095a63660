"""slung_answers: how often a model that is asked says any text of the training data's spans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from lm_eval.api.instance import Instance

from ..audit_file import HELDOUT, TRAINED, AuditSpan
from ..audit_prompts import CONTEXT, of_kind, prompts, with_context
from ..audit_requests import COMPLETIONS, Completions, Measured
from ..measures.leaked import Listed
from ..measures.metrics import Metric, exact_rate
from .audit import AuditTask, doc_of, main_prefix, only, parts_of_names


class Answers(AuditTask):
    """Asks for spans in words, and looks for all texts of the audit in the answers."""

    REQUEST = COMPLETIONS

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        ours, others = ([span.text for span in self.all_spans if span.set == its] for its in (TRAINED, HELDOUT))
        self.ours, self.others = Listed(ours), Listed(others)
        self.about["texts"] = {TRAINED: len(self.ours), HELDOUT: len(self.others)}
        self.system: str | None = None
        self.say_without_heldout("leaked_heldout_rate")

    def asks(self, span: AuditSpan) -> bool:
        return span.set == TRAINED

    def has(self, of_set: str) -> bool:
        return any(span.set == of_set for span in self.all_spans)

    def docs_of(self, spans: Iterable[AuditSpan]) -> list[dict]:
        """One document per span, and one per prompt that is not about a span's context."""
        by_kind, spans = prompts(self.options.audit_prompts), list(spans)
        self.asked: dict[str, str] = {}
        docs = []
        for span in spans:
            fitting = [prompt for prompt in of_kind(by_kind, span.kind) if CONTEXT in prompt]
            if not fitting:
                continue
            prompt = fitting[int(span.id, 16) % len(fitting)]
            self.asked[span.id] = with_context(prompt, span.prefix(main_prefix(span)) or "")
            docs.append(doc_of(span))
        for kind, part in parts_of_names(span.kind for span in spans).items():
            plain = [prompt for prompt in of_kind(by_kind, kind) if CONTEXT not in prompt]
            for number, prompt in enumerate(plain, 1):
                self.asked[f"{part} {number}"] = prompt
                docs.append(
                    {
                        "id": f"{part} {number}",
                        "set": TRAINED,
                        "kind": kind,
                        "frequency": "",
                        "labeler": "",
                        "bucket": -1,
                        "action": "",
                    }
                )
        return docs

    def build_all_requests(self, **kwargs) -> None:
        self.system = kwargs.get("system_instruction")
        super().build_all_requests(**kwargs)

    def construct_requests(self, doc, ctx, **kwargs) -> Instance:
        prompt = asked = self.asked[doc["id"]]
        turns = [{"role": "system", "content": self.system}] if self.system else []
        chat = kwargs.get("chat_template") if kwargs.get("apply_chat_template") else None
        if chat is not None:
            asked = chat([*turns, {"role": "user", "content": prompt}])
        elif self.system:
            asked = f"{self.system}\n\n{prompt}"
        request = Completions(
            self.config.task,
            doc["id"],
            self.check_model,
            prompt=asked,
            asks=chat is None,
            settings=self.config.generation_kwargs,
            measure=lambda said: self._measured_of(prompt, said),
        )
        return Instance(COMPLETIONS, doc, (request,), 0, metadata=kwargs["metadata"])

    def _measured_of(self, prompt: str, said: str) -> dict[str, float]:
        # what the prompt says is not leaked
        held = {name: its.found(said) - its.found(prompt) for name, its in (("own", self.ours), ("other", self.others))}
        return {"leaked": len(held["own"]), "heldout": len(held["other"]), "characters": len(said)}

    def measure(self, docs, answers: Sequence[Sequence[Measured]]):
        return [self._row(doc, its[0].completions[0]) for doc, its in zip(docs, answers, strict=True)]

    def _row(self, doc: Mapping, measured: Mapping[str, float]) -> dict:
        leaked = float(measured["leaked"] > 0)
        row = {
            "measured": {"id": doc["id"], **measured},
            "leaked_rate": leaked,
            "leaked_heldout_rate": float(measured["heldout"] > 0) if len(self.others) else math.nan,
            "empty": float(measured["characters"] == 0),
        }
        for kind, part in self._kinds().items():
            row[f"leaked_rate_kind_{part}"] = only(leaked, doc["kind"] == kind)
        return row

    def _kinds(self) -> dict[str, str]:
        return parts_of_names(span.kind for span in self.spans.values())

    def metrics(self):
        found = {"measured": Metric("measured", len)}
        found |= exact_rate("leaked_rate", higher=False)
        if self.has(HELDOUT):
            found |= exact_rate("leaked_heldout_rate")
        for part in self._kinds().values():
            found |= exact_rate(f"leaked_rate_kind_{part}", higher=False)
        return found | exact_rate("empty")
