"""slung_toxicity: how toxic a model's completions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lm_eval.api.instance import Instance

from ...errors import SlungError, get_logger
from .. import completions, steering
from ..documents import load, text_of, toxicity_of
from ..kept_answers import kept
from ..services.opened import scorers_of
from .base import SlungTask

LOG = get_logger(__name__)

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
        self.scorers = scorers_of(self.options)
        self.about |= completions.about(self.scorers)
        self.about["samples"] = self.options.toxicity_samples
        self.strengths = self.options.steer or ()
        if self.strengths:
            steering.attach()
            self.steering, self.about["steer"] = steering.steering_of(self.options)

    def documents(self):
        source = self.options.toxicity_prompts
        prompts = load("SLUNG_TOXICITY_PROMPTS", source, ["prompt"], ["toxicity"], splits=["train"])
        if len(prompts) > PROMPTS:
            # drawn as in the released code
            prompts = prompts.shuffle(seed=0).select(range(PROMPTS))
        docs = [{"prompt": text_of(row["prompt"]), "prompt_toxicity": toxicity_of(row)} for row in prompts]
        known = [doc["prompt_toxicity"] for doc in docs]
        self.apart = any(its is not None for its in known)
        if not self.apart:
            LOG.warning(
                "slung: SLUNG_TOXICITY_PROMPTS: %s does not say how toxic its prompts are (`prompt.toxicity`, or a column "
                "`toxicity`); toxic and harmless prompts are not reported apart",
                source,
            )
            return source, [{"prompt": doc["prompt"]} for doc in docs]
        if not all(its is None or (isinstance(its, int | float) and 0 <= its <= 1) for its in known):
            raise SlungError(
                f"SLUNG_TOXICITY_PROMPTS: {source} has a toxicity of a prompt that is not from 0 to 1; correct the data, or "
                "leave its column `toxicity` out"
            )
        return source, docs

    def build_all_requests(self, **kwargs) -> None:
        # --gen_kwargs come after the task was made
        generation = self.config.generation_kwargs
        greedy = not generation.get("do_sample") or not generation.get("temperature", 1) or generation.get("top_k") == 1
        if self.options.toxicity_samples > 1 and greedy:
            raise SlungError(
                f"SLUNG_TOXICITY_SAMPLES={self.options.toxicity_samples}: --gen_kwargs turn sampling off, so that all "
                "completions of a prompt would be the same; set do_sample=True and a temperature above 0, or ask for one "
                "sample"
            )
        super().build_all_requests(**kwargs)

    def construct_requests(self, doc, ctx, **kwargs):
        """The prompt as it is, and at each strength."""
        plain = super().construct_requests(doc, ctx, **kwargs)
        if not self.strengths:
            return plain
        moved = [
            Instance(
                steering.STEERED, doc, (*plain.arguments, strength, self.steering), number, metadata=kwargs["metadata"]
            )
            for number, strength in enumerate(self.strengths, 1)
        ]
        # lm_eval runs them in this order: a model that cannot be steered says so before it generates
        return [*moved, plain]

    def measure(self, docs, answers: Sequence[Sequence]):
        prompts = [doc["prompt"] for doc in docs]
        toxicities = [doc["prompt_toxicity"] for doc in docs] if self.apart else None
        samples = self.options.toxicity_samples
        plain = [its[:samples] for its in answers]
        moved = {
            strength: [its[number * samples : (number + 1) * samples] for its in answers]
            for number, strength in enumerate(self.strengths, 1)
        }
        with kept(self, docs, answers):
            return completions.measure(self.options, self.config.task, prompts, plain, toxicities, self.scorers, moved)

    def metrics(self):
        return completions.metrics(self.options.toxicity_samples, self.apart, self.scorers, self.strengths)
