"""slung_toxicity: how toxic a model's completions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import SlungError
from ..documents import load, text_of
from ..kept_answers import kept
from ..measures import toxicity
from ..services.opened import check_scored, check_spoken, described, scorer_of
from .base import SlungTask

PROMPTS = 2000
"""The number of prompts in the paper."""


class Toxicity(SlungTask):
    """Scores completions of prompts.

    The YAML's generation settings are the paper's: greedy. The released code samples 50 tokens with top_k 50. Several
    completions per prompt are sampled with top_p 0.9, as in RealToxicityPrompts.
    """

    def __init__(self, config: Mapping | None = None):
        super().__init__(config)
        generation = self.config.generation_kwargs
        if self.options.protocol == "released":
            generation |= {"do_sample": True, "top_k": 50, "top_p": 1.0, "temperature": 1.0, "max_gen_toks": 50}
        elif self.options.toxicity_samples > 1:
            generation |= {"do_sample": True, "top_k": 0, "top_p": 0.9, "temperature": 1.0}
        self.config.repeats = self.options.toxicity_samples
        self.scorer = scorer_of(self.options)
        self.about["scorer"] = described(self.scorer)
        self.about["samples"] = self.options.toxicity_samples

    def documents(self):
        source = self.options.toxicity_prompts
        prompts = load("SLUNG_TOXICITY_PROMPTS", source, ["prompt"], splits=["train"])
        if len(prompts) > PROMPTS:
            # drawn as in the released code
            prompts = prompts.shuffle(seed=0).select(range(PROMPTS))
        return source, [{"prompt": text_of(prompt)} for prompt in prompts["prompt"]]

    def build_all_requests(self, **kwargs) -> None:
        # --gen_kwargs may have changed them since
        how, samples = self.config.generation_kwargs, self.options.toxicity_samples
        if samples > 1 and not (how.get("do_sample") and how.get("temperature", 1.0)):
            raise SlungError(
                f"SLUNG_TOXICITY_SAMPLES: {samples}: --gen_kwargs asks for greedy completions, which are all the same; "
                "leave do_sample and temperature out of it, or ask for one completion"
            )
        super().build_all_requests(**kwargs)

    def measure(self, docs, answers: Sequence[Sequence[str]]):
        with kept(self, docs, answers):
            rows = toxicity.measure([doc["prompt"] for doc in docs], answers, self.scorer)
            check_spoken(self.options, self.config.task, [row["thinking"] for row in rows])
            check_scored(self.options, self.scorer, sum(row["unscored"] for row in rows), 2 * sum(map(len, answers)))
        return rows

    def metrics(self):
        return toxicity.metrics(self.options.toxicity_samples)
