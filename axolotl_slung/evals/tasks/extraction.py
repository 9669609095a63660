"""slung_extraction: how many spans of the training data a model can be made to say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lm_eval.api.instance import Instance

from ...errors import SlungError
from ..audit_file import FREQUENCIES, HELDOUT, LOW_RISK, TRAINED, AuditSpan
from ..audit_requests import COMPLETIONS, SCORES, Completions, Measured, Texts
from ..measures import extraction, intervals
from ..measures.metrics import Metric, exact_rate, with_error
from ..token_scores import Score
from .audit import AuditTask, lengths_of, main_prefix, only


class Extraction(AuditTask):
    """Asks a model to continue the text in front of each span, for each length of it.

    Where a model gives log-likelihoods nothing is generated: greedy decoding says the span if each of its tokens is the
    likeliest after those before it. With `SLUNG_AUDIT_SAMPLES` completions are generated and compared as text.
    """

    REQUEST = SCORES

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        self.about |= {"samples": self.options.audit_samples or 0, "forced": self.options.audit_forced}
        if self.options.audit_samples and self.options.audit_forced:
            raise SlungError("SLUNG_AUDIT_FORCED: needs log-likelihoods; leave SLUNG_AUDIT_SAMPLES out")
        self.say_without_heldout("extracted_heldout and other chance lines")

    def construct_requests(self, doc, ctx, **kwargs) -> list[Instance]:
        span, main = self.spans[doc["id"]], main_prefix(self.spans[doc["id"]])
        chat = kwargs.get("chat_template") if kwargs.get("apply_chat_template") else None
        made = []
        for length in lengths_of([span]):
            given = {"task": self.config.task, "name": f"{span.id} {length}", "check": self.check_model}
            if not self.options.audit_samples:
                text = Texts(**given, context=span.prefix(length), texts=(span.text,))
                made.append((SCORES, text))
                continue
            prompt = span.prefix(length).rstrip(" ")  # a blank at the end would keep the next word's token away
            prompt = chat([{"role": "user", "content": prompt}]) if chat else prompt
            tokens = {"max_gen_toks": _most_tokens(span.text), "until": ["<|endoftext|>"]}
            given |= {"prompt": prompt, "measure": lambda said: {"hit": _hit(said, span)}}
            made.append((COMPLETIONS, Completions(**given, settings={**tokens, "do_sample": False})))
            if length == main:
                settings = {**tokens, "do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
                count = self.options.audit_samples
                made.append((COMPLETIONS, Completions(**given, settings=settings, count=count)))
        return [
            Instance(kind, doc, (asked,), number, metadata=kwargs["metadata"])
            for number, (kind, asked) in enumerate(made)
        ]

    def measure(self, docs, answers: Sequence[Sequence]):
        found = self._sampled if self.options.audit_samples else self._scored
        return [self._row(self.spans[doc["id"]], *found(self.spans[doc["id"]], its)) for doc, its in zip(docs, answers)]

    def _scored(self, span: AuditSpan, answers: Sequence[list[Score]]) -> tuple[dict[str, dict], dict[str, float]]:
        """By length of the prefix what was measured, and more of the main one."""
        lengths = lengths_of([span])
        measured = {length: self._of_score(its[0]) for length, its in zip(lengths, answers, strict=True)}
        logprob = measured[main_prefix(span)]["logprob"]
        known = not math.isnan(logprob)
        more = {f"found_in_{n}": extraction.found_in(logprob, n) if known else logprob for n in extraction.SAMPLES}
        return measured, {**more, "tries": extraction.tries(logprob) if known else logprob}

    def _of_score(self, score: Score) -> dict[str, float]:
        forced = self.options.audit_forced
        if forced and score.each is None and score.tokens != 0:
            raise SlungError(
                f"SLUNG_AUDIT_FORCED={forced}: this model does not tell log-probabilities of single tokens; use --model hf"
            )
        if score.each is not None and score.likeliest is not None:
            each, likeliest = score.each[forced:], score.likeliest[forced:]
            if not each:  # all of the span was given
                return dict.fromkeys(("extracted", "lcp", "strength", "logprob"), math.nan) | {"tokens": 0}
            lcp = extraction.common_prefix(likeliest)
            return {
                "extracted": float(lcp == len(each)),
                "lcp": lcp,
                "strength": extraction.strength(likeliest),
                "logprob": math.fsum(each),
                "tokens": len(each),
            }
        # without single tokens, prefixes would be known of extracted spans only
        return {
            "extracted": only(float(score.greedy), score.tokens != 0),
            "lcp": math.nan,
            "strength": math.nan,
            "logprob": score.logprob,
            "tokens": score.tokens if score.tokens is not None else math.nan,
        }

    def _sampled(self, span: AuditSpan, answers: Sequence[Measured]) -> tuple[dict[str, dict], dict[str, float]]:
        lengths, main, rest = lengths_of([span]), main_prefix(span), list(answers)
        samples = rest.pop(lengths.index(main) + 1)
        measured = {length: {"extracted": its.completions[0]["hit"]} for length, its in zip(lengths, rest, strict=True)}
        hits, number = int(sum(its["hit"] for its in samples.completions)), len(samples.completions)
        measured[main] |= {"hits": hits, "samples": number}
        return measured, {
            f"found_in_{n}": extraction.found_in_sampled(hits, number, n) for n in extraction.SAMPLES if n <= number
        }

    def _row(self, span: AuditSpan, measured: Mapping[str, Mapping], more: Mapping[str, float]) -> dict:
        main = measured[main_prefix(span)]
        extracted, trained = main["extracted"], span.set == TRAINED
        row = {"measured": {"id": span.id, "main": main_prefix(span), "prefixes": measured}}
        row |= {f"extracted_{length}": only(its["extracted"], trained) for length, its in measured.items()}
        row |= {"extracted": only(extracted, trained), "extracted_low_risk": only(extracted, span.set == LOW_RISK)}
        row |= {f"extracted_{name}": only(extracted, trained and span.frequency == name) for name in FREQUENCIES}
        for kind, part in self.by_class("kind").items():
            row[f"extracted_kind_{part}"] = only(extracted, trained and span.kind == kind)
        strength, lcp = main.get("strength", math.nan), main.get("lcp", math.nan)
        shares = {
            "extraction_strength": strength,
            "common_prefix": lcp / main["tokens"] if main.get("tokens") else math.nan,
        }
        shares |= {name: value for name, value in more.items() if name != "tries"}
        row |= {name: only(value, trained) for name, value in shares.items()}
        shares["extracted"] = extracted
        row |= {f"{name}_heldout": only(value, span.set == HELDOUT) for name, value in shares.items()}
        row["median_tries"] = only(more.get("tries", math.nan), trained)
        lacking = {f"extracted_{length}": math.nan for length in lengths_of(self.spans.values())}
        return {**lacking, **row}

    def metrics(self):
        trained = [span for span in self.spans.values() if span.set == TRAINED]
        names = ["extracted", *(f"extracted_{length}" for length in lengths_of(trained))]
        names += [f"extracted_{name}" for name in FREQUENCIES if any(span.frequency == name for span in trained)]
        parts = self.by_class("kind")
        names += [f"extracted_kind_{parts[kind]}" for kind in sorted({span.kind for span in trained})]
        names += ["extracted_heldout"] if self.has(HELDOUT) else []
        names += ["extracted_low_risk"] if self.has(LOW_RISK) else []
        samples = self.options.audit_samples
        shares = [f"found_in_{n}" for n in extraction.SAMPLES if not samples or n <= samples]
        shares += [] if samples else ["extraction_strength", "common_prefix"]
        found = {"measured": Metric("measured", len)}
        for name in names:
            # the chance line is neither good nor bad
            found |= exact_rate(name, higher={"extracted_low_risk": True, "extracted_heldout": None}.get(name, False))
        for name in shares:
            found |= with_error(name, higher=False)
            found |= with_error(f"{name}_heldout") if self.has(HELDOUT) else {}
        return found | ({} if samples else {"median_tries": Metric("median_tries", intervals.median, True)})


def _hit(said: str, span: AuditSpan) -> float:
    return float(extraction.continues_with(said, span.text))


def _most_tokens(text: str) -> int:
    """Enough tokens for the text in any tokenizer, as a power of 2, so that few lengths make many batches."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return 2 ** math.ceil(math.log2(max(min(size, 64), size // 2) + 8))
