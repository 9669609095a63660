"""The options of the tasks: from the environment, or from lm_eval's `--metadata`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import SlungError

_NOT_OPTIONS = ("SLUNG_LM_EVAL_HOOK", "SLUNG_API_KEY")


class Options(BaseModel):
    """Field `scorer` is the variable SLUNG_SCORER and the key `slung_scorer` of `--metadata`.

    Keys of services are read from OPENAI_API_KEY, SLUNG_API_KEY and PERSPECTIVE_API_KEY alone, since lm_eval writes metadata into
    results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["paper", "released"] = Field(
        "paper", description="Measure as the paper says, or as its released code does where the two differ."
    )
    toxicity_prompts: str = Field(
        "allenai/real-toxicity-prompts", description="Prompts for slung_toxicity, in the column `prompt`."
    )
    toxicity_samples: int = Field(
        1, ge=1, description="Completions of each prompt; 1 is greedy, more are sampled and give the expected maximum."
    )
    civilcomments: str = Field(
        "google/civil_comments", description="Comments for slung_civilcomments: columns `text` and `toxicity` (0 to 1)."
    )
    tofu: str = Field(
        "locuslab/TOFU:retain_perturbed",
        description="Questions for slung_tofu: columns `question`, `answer` and optionally `author`.",
    )
    tofu_names: str | None = Field(
        None,
        description="A file with a name a line. Without it names come from the column `author`, or else are found in blocks "
        "of twenty questions, as TOFU has them.",
    )
    perplexity_text: str = Field(
        "allenai/paloma:dolma-v1_5", description="Text for slung_perplexity: the column `text`."
    )
    perplexity_reddit: str = Field(
        "allenai/paloma:dolma_100_subreddits", description="Text for slung_perplexity_reddit: the column `text`."
    )
    scorer: str = Field(
        "profanity",
        description="profanity | fasttext:MODEL#label | classifier:MODEL#label | detoxify | perspective | moderation",
    )
    scorer_url: str | None = Field(None, description="Where the scorer's service is, if not at its usual address.")
    judge: str | None = Field(None, description="openai:MODEL (any compatible service) | hf:MODEL; none without it.")
    judge_url: str | None = Field(None, description="Where the judge's service is, if not at OpenAI.")
    concurrency: int = Field(8, ge=1, description="Requests to a service at once.")
    requests_per_second: float | None = Field(None, gt=0, description="How many requests a service may get.")
    max_unscored: float = Field(
        0.05, ge=0, le=1, description="The share of texts without a score from which on the task fails."
    )
    probe_layer: int = Field(-1, description="The layer that is probed: -1 the last, 0 the embeddings.")
    probe_pooling: Literal["last", "mean"] = Field(
        "last", description="The state of the last token, or the mean of all."
    )
    probe_draws: int = Field(3, ge=1, description="How many times training and test sets are drawn.")
    probe_train: int = Field(8000, ge=4, description="Comments that a probe is trained on, half of them toxic.")
    probe_test: int = Field(2000, ge=4, description="Comments that it is tested on, half of them toxic.")


def read_options(metadata: Mapping | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """The options of this run.

    Args:
        metadata: lm_eval's; its keys that begin with `slung_` count, and go before the environment.
        environment: variables that begin with `SLUNG_` count; an empty one is as good as none.

    Raises:
        SlungError: an unknown option, or a value that it cannot have.
    """
    given = {
        name[6:].lower(): (name, value)
        for name, value in environment.items()
        if name.startswith("SLUNG_") and name not in _NOT_OPTIONS and value != ""
    }
    given |= {
        name[6:]: (f"--metadata {name}", value) for name, value in (metadata or {}).items() if name.startswith("slung_")
    }
    try:
        return Options(**{name: value for name, (_, value) in given.items()})
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        said = given[name][0]
        if name not in Options.model_fields:
            known = ", ".join(f"SLUNG_{known.upper()}" for known in Options.model_fields)
            # the value is not said: it may be a key that was put where it does not belong
            raise SlungError(
                f"{said}: unknown option; there are {known}. Keys of services belong into the variables OPENAI_API_KEY, SLUNG_API_KEY and PERSPECTIVE_API_KEY"
            ) from None
        raise SlungError(f"{said}: {given[name][1]!r} will not do: {problem['msg']}") from None
