"""The options of the tasks, read from the environment or from lm_eval's `--metadata`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from ...errors import SlungError, closest, meant

_NOT_OPTIONS = ("SLUNG_LM_EVAL_HOOK", "SLUNG_API_KEY")


def _layers(value):
    """`0,8,16` as a list, since an environment variable holds text."""
    return value.split(",") if isinstance(value, str) and "," in value else value


def _strengths(value):
    """`-4,4` as a list, and one number as a list of one."""
    values = value.split(",") if isinstance(value, str) else [value] if isinstance(value, int | float) else value
    if any(isinstance(each, bool) for each in values or ()):
        raise ValueError("not numbers")
    return values


def _different(strengths: tuple[float, ...]) -> tuple[float, ...]:
    # metrics are named after them
    if len({f"{strength + 0.0:g}" for strength in strengths}) < len(strengths):
        raise ValueError("some are alike")
    return tuple(strength + 0.0 for strength in strengths)  # no -0.0


class Options(BaseModel):
    """The options: the field `scorer` is the variable SLUNG_SCORER and the key `slung_scorer` of `--metadata`.

    Keys of services are read only from OPENAI_API_KEY, SLUNG_API_KEY and PERSPECTIVE_API_KEY, because lm_eval writes
    metadata into results.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["paper", "released"] = Field(
        "paper", description="Measure as the paper says, or as its released code does where the two differ."
    )
    toxicity_prompts: str = Field(
        "allenai/real-toxicity-prompts", description="Prompts for slung_toxicity, in the column `prompt`."
    )
    toxicity_samples: int = Field(
        1,
        ge=1,
        description="Completions per prompt: one is greedy; several are sampled, and give the expected maximum.",
    )
    steer: (
        Annotated[
            tuple[Annotated[float, Field(allow_inf_nan=False)], ...],
            Field(min_length=1),
            BeforeValidator(_strengths),
            AfterValidator(_different),
        ]
        | None
    ) = Field(
        None,
        description="Different strengths, such as -4,4, at which slung_toxicity also completes its prompts with hidden states "
        "moved along the direction of slung_civilcomments' probe.",
    )
    civilcomments: str = Field(
        "google/civil_comments",
        description="Comments for slung_civilcomments and slung_zeroshot: columns `text` and `toxicity` (0 to 1), or the "
        "columns of HateCheck or ToxiGen.",
    )
    civilcomments_test: str | None = Field(
        None, description="Comments to test on, if they are not those of SLUNG_CIVILCOMMENTS; the same columns."
    )
    tofu: str = Field(
        "locuslab/TOFU:retain_perturbed",
        description="Questions for slung_tofu: columns `question`, `answer` and optionally `author`, `kind`, "
        "`paraphrased_answer` and `perturbed_answer` (a list of texts).",
    )
    tofu_names: str | None = Field(
        None,
        description="A file with one name per line. Without it, names come from the column `author`. Without that "
        "column, names are found in blocks of twenty questions, as in TOFU.",
    )
    tofu_wrong_answers: int = Field(
        3,
        ge=0,
        description="Wrong answers beside the right one in multiple choice. 0 asks none: for services that give no "
        "log-likelihoods.",
    )
    tofu_probabilities: bool = Field(
        True,
        description="True or False: whether to measure the probabilities of answers and of the names in them.",
    )
    perplexity_text: str = Field(
        "allenai/paloma:dolma-v1_5", description="Text for slung_perplexity: the column `text`."
    )
    perplexity_reddit: str = Field(
        "allenai/paloma:dolma_100_subreddits", description="Text for slung_perplexity_reddit: the column `text`."
    )
    audit: str | None = Field(None, description="The folder that `slung audit` drew, for the tasks of slung_audit.")
    audit_samples: int | None = Field(
        None,
        ge=1,
        description="Samples per span of slung_extraction, for services that give no log-likelihoods.",
    )
    audit_forced: int = Field(
        0, ge=0, description="How many first tokens of a span slung_extraction gives beside the text in front of it."
    )
    audit_reference: str | None = Field(
        None, description="Samples of the same task of another model: a file, or a folder of results."
    )
    identity_layer: Annotated[
        int | Annotated[tuple[int, ...], Field(min_length=1)] | Literal["all"], BeforeValidator(_layers)
    ] = Field("all", description="The layers that slung_identity probes, such as -1 or 0,8,16.")
    audit_prompts: str | None = Field(
        None, description="A YAML file of prompts by kind of span, for slung_answers beside the package's own."
    )
    scorer: tuple[str, ...] = Field(
        ("fitted",),
        min_length=1,
        description="One of the kinds in docs/evaluation.md, such as fitted or classifier:MODEL#label. Several are "
        "separated by commas; the first is the main one.",
    )
    scorer_url: str | None = Field(
        None, description="URL of the scorer's service, if not its usual one. With several scorers: KIND@URL."
    )
    judge: str | None = Field(None, description="openai:MODEL (any compatible service) | hf:MODEL; default: no judge.")
    judge_url: str | None = Field(None, description="URL of the judge's service, if not OpenAI.")
    judge_controls: int = Field(
        50, ge=1, description="Questions whose answers of a known verdict the judge is checked with, before the task."
    )
    judge_minimum: float = Field(
        0.9, ge=0, le=1, description="The task fails if the judge is right on a smaller share of any kind of controls."
    )
    concurrency: int = Field(8, ge=1, description="Maximum number of parallel requests to a service.")
    requests_per_second: float | None = Field(None, gt=0, description="Maximum number of requests per second.")
    max_unscored: float = Field(
        0.05, ge=0, le=1, description="The task fails if more than this share of texts has no score."
    )
    max_thinking: float = Field(
        0.05, ge=0, le=1, description="The task fails if more than this share of answers contains thoughts."
    )
    probe_layer: Annotated[
        int | Annotated[tuple[int, ...], Field(min_length=1)] | Literal["all"], BeforeValidator(_layers)
    ] = Field(
        -1,
        description="The layer to probe: -1 is the last, 0 the embeddings. Several, such as 0,8,16, or `all`: each "
        "layer's AUROC, and that of the layer chosen on held-out comments.",
    )
    probe_pooling: Literal["last", "mean"] = Field(
        "last", description="Probe the state of the last token, or the mean over all tokens."
    )
    probe_draws: int = Field(3, ge=1, description="How many times training and test sets are drawn.")
    probe_train: int = Field(8000, ge=4, description="Comments to train a probe on, half of them toxic.")
    probe_test: int = Field(2000, ge=4, description="Comments to test a probe on, half of them toxic.")

    @field_validator("scorer", mode="before")
    @classmethod
    def _split(cls, value):
        from .scorers import split_specs

        return split_specs(value) if isinstance(value, str) else value


def read_options(metadata: Mapping | None = None, environment: Mapping[str, str] | None = None) -> Options:
    """The options of this run.

    Args:
        metadata: lm_eval's metadata. Its keys that begin with `slung_` are options, and override the environment.
        environment: its variables that begin with `SLUNG_` are options. Empty ones are ignored. None: this process's.

    Raises:
        SlungError: an option is unknown, or its value is invalid.
    """
    given = {
        name[6:].lower(): (name, value)
        for name, value in (os.environ if environment is None else environment).items()
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
            # the value is not quoted: it may be a misplaced key
            guess = closest(name, Options.model_fields)
            guess = f"did you mean SLUNG_{guess.upper()}? " if guess else ""
            raise SlungError(
                f"{said}: unknown option; {guess}expected one of {known}. Keys of services go into the variables "
                "OPENAI_API_KEY, SLUNG_API_KEY and PERSPECTIVE_API_KEY"
            ) from None
        field, value = Options.model_fields[name], given[name][1]
        choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        what = (
            f"expected one of {', '.join(choices)}{meant(value, choices)}" if choices else "this value cannot be used"
        )
        raise SlungError(f"{said}: {value!r}: {what} ({field.description})") from None
