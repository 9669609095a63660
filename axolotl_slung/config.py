"""The `slung:` block as pydantic models: what may stand in the YAML, and what it means."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from .labels.buckets import Action, Bucket, preset
from .labels.codec import MAX_BUCKETS


class _Block(BaseModel):
    # a misspelt key is an error that names it, instead of a setting that is silently not there
    model_config = ConfigDict(extra="forbid")


class _LabelerBlock(_Block):
    datasets: list[str] | None = Field(
        None, min_length=1, description="The `path` of each data set to label; all of them where left out."
    )
    name: str | None = Field(
        None,
        pattern="^[A-Za-z0-9_.-]+$",
        description="What its scores are kept under, in files and reports; the type where left out.",
    )


class FastTextConfig(_LabelerBlock):
    """Sentences scored by a fastText classifier, as Dolma's taggers do."""

    type: Literal["fasttext"]
    model: str = Field(description="An alias (jigsaw_hatespeech_sentence_v2), a file, or a URL with sha256.")
    label: str = Field("__label__toxic", description="The label whose probability is the score.")
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{64}$", description="Digest of the file; a URL needs one.")


class EntitiesConfig(_LabelerBlock):
    """Names out of a list, on word boundaries; their score is 1."""

    type: Literal["entities"]
    path: str | None = Field(None, description="A text file, one name a line.")
    names: list[str] | None = Field(
        None, description="The names themselves. Prefer a file: the YAML goes into logs and model cards."
    )
    parts: bool = Field(False, description="First and last names alone too.")
    case_sensitive: bool = Field(True, description="Whether `Will` and `will` differ; `WILL` is found either way.")
    diacritics: bool = Field(True, description="Whether `Zoë` and `Zoe` differ.")

    @model_validator(mode="after")
    def _one_source(self):
        if (self.path is None) == (self.names is None):
            raise ValueError("give either `path` (a file of names) or `names` (a list), and not both")
        return self


class PatternsConfig(_LabelerBlock):
    """Named regular expressions."""

    type: Literal["patterns"]
    path: str = Field(description="A YAML file: name to expression, or name to {pattern, score, flags}.")


class SpansConfig(_LabelerBlock):
    """Spans that the data set brings along, in a column of [start, end, score]."""

    type: Literal["spans"]
    field: str = Field("spans", description="The column with the spans (for chats, the key of each message).")
    text_field: str | None = Field(
        None,
        description="The column that the spans count characters of. Left out: the text column of a completion "
        "data set, the content of a chat message.",
    )


class DolmaConfig(_LabelerBlock):
    """Dolma attribute files: the output of any Dolma tagger."""

    type: Literal["dolma"]
    path: str = Field(description="A folder of attribute files, or one file.")
    attribute: str = Field(description="The attribute's name; a tagger's prefix may be left out.")
    id_field: str = Field("id", description="The data set's column with the documents' ids.")
    text_field: str | None = Field(None, description="As for `spans`.")


class ClassifierConfig(_LabelerBlock):
    """Sentences, documents or tokens scored by a Hugging Face classifier."""

    type: Literal["classifier"]
    model: str = Field(description="A folder, or the name of a model on the Hugging Face hub.")
    label: str = Field("toxic", description="The label whose probability is the score; without the B- or I- of tokens.")
    unit: Literal["sentence", "document", "token"] = Field(
        "sentence", description="What gets a score of its own; `token` finds entities with a token classifier."
    )
    batch_size: int = Field(32, ge=1, description="Sentences (or windows of longer texts) at once.")
    revision: str | None = Field(None, description="Commit, tag or branch of a model on the hub.")


class PresidioConfig(_LabelerBlock):
    """Personal data, as Microsoft Presidio finds it."""

    type: Literal["presidio"]
    entities: list[str] | None = Field(
        None, min_length=1, description="Presidio's names, such as EMAIL_ADDRESS; all that can be found where left out."
    )
    language: str = Field("en", description="The texts' language, as spaCy abbreviates it.")
    nlp_engine: str | None = Field(
        None, description="A YAML file: Presidio's own NLP configuration. Left out: an installed spaCy model, if any."
    )


class ProfanityConfig(_LabelerBlock):
    """English sentences scored by the model of alt-profanity-check, offline."""

    type: Literal["profanity"]


class CustomConfig(_LabelerBlock):
    """A labeler of your own."""

    type: Literal["custom"]
    class_path: str = Field(
        pattern=r"^.+:[^\W\d]\w*$", description="package.module:Class, or folder/file.py:Class. Its code is run."
    )
    options: dict[str, JsonValue] = Field({}, description="Keyword arguments for the class.")


LabelerConfig = Annotated[
    FastTextConfig
    | EntitiesConfig
    | PatternsConfig
    | SpansConfig
    | DolmaConfig
    | ClassifierConfig
    | PresidioConfig
    | ProfanityConfig
    | CustomConfig,
    Field(discriminator="type"),
]


class BucketConfig(_Block):
    """A range of scores and its action."""

    name: str = Field(min_length=1, description="A name for messages and metrics.")
    below: float | None = Field(
        None, gt=0, le=1, description="Scores below this one; left out in the last bucket, and only there."
    )
    action: Action = Field(description="What the loss does with the bucket's tokens.")
    weight: float | None = Field(
        None, gt=0, le=1000, description="Factor of what the action adds to the loss; 1 where left out."
    )
    token: str | None = Field(None, min_length=1, description="The control token of `action: control_token`.")
    threshold: float | None = Field(
        None, gt=0, lt=1, description="The probability at which `action: hinge` leaves a token alone."
    )
    objective: str | None = Field(
        None,
        pattern=r"^[\w.]+:[^\W\d]\w*$",
        description="The function of `action: custom`: package.module:function. It is run.",
    )
    k: int | None = Field(None, ge=2, description="One token in how many `action: goldfish` masks.")

    @model_validator(mode="after")
    def _fits_its_action(self):
        if self.weight is not None and not self.action.traits.coded:
            raise ValueError(f"`weight` does nothing with action: {self.action.value}; take it out")
        for action in Action:
            key = action.traits.needs
            if key is not None and (getattr(self, key) is None) == (self.action.traits.needs == key):
                raise ValueError(f"`{key}` belongs to action: {action.value}, which needs it, and to no other action")
        return self


class SlungConfig(_Block):
    """The `slung:` block."""

    method: Literal["masked", "unlikelihood", "toxic_baseline", "low_risk", "control"] = Field(
        "masked", description="One of the paper's arms: a preset of buckets."
    )
    labelers: list[LabelerConfig] = Field(
        min_length=1, description="What is risky. Overlapping spans combine by the maximum of their scores."
    )
    buckets: list[BucketConfig] | None = Field(
        None, min_length=2, max_length=MAX_BUCKETS, description="Ascending; in place of the method's preset."
    )
    cache: bool = Field(
        True,
        description="Keep what slow labelers found, by the digest of each text, in ~/.cache/axolotl-slung (or "
        "$AXOLOTL_SLUNG_CACHE), for the next run.",
    )
    overlap: Literal["any", "majority", "all"] = Field(
        "any", description="How many of a token's characters have to be risky."
    )
    normalize_by: Literal["loss_tokens", "train_tokens", "all_tokens"] = Field(
        "loss_tokens",
        description="What the summed loss is divided by, over the accumulation window and all ranks: tokens with "
        "any loss, trained tokens, or all tokens that Axolotl alone would train.",
    )
    mask_document_starts: bool = Field(
        False, description="No loss on a document's first token, which packing predicts from another document."
    )
    eos: Literal["train", "mask", "inherit"] = Field(
        "train", description="End-of-sequence tokens: trained, masked, or as the token before them."
    )
    monitor_masked: bool | None = Field(
        None,
        description="Watch the nll of masked tokens, without gradient. Left out: yes, except beside Liger's or "
        "CCE's fused loss, which know only -100.",
    )

    weight_start: int = Field(
        0, ge=0, description="Optimizer steps before the `weight` of the buckets that have one takes effect."
    )
    weight_warmup: int = Field(
        0, ge=0, description="Optimizer steps, from `weight_start` on, over which that weight grows to its full size."
    )
    random_control: bool = Field(
        False,
        description="A control: each text's scores on random tokens of it, so that as many of them take each action.",
    )
    fused: bool = Field(
        True,
        description="Compute the loss in the model's head, without ever holding the logits, where the head allows it; "
        "false: from the model's logits.",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_splitter(cls, block):
        if isinstance(block, dict) and "sentence_splitter" in block:
            raise ValueError(
                "`sentence_splitter` was removed: sentences always end where blingfire ends them, as in the paper; "
                "take it out"
            )
        return block

    @model_validator(mode="after")
    def _consistent(self):
        named = [labeler.name for labeler in self.labelers if labeler.name is not None]
        if len(set(named)) < len(named):
            raise ValueError(f"`labelers`: each `name` has to differ, and they read {named}")
        bounds = [bucket.below for bucket in self.buckets or []]
        if bounds:
            if bounds[-1] is not None:
                raise ValueError(
                    "`buckets`: the last bucket takes every score above the others; take `below` out of it"
                )
            if None in bounds[:-1]:
                name = self.buckets[bounds.index(None)].name
                raise ValueError(f"`buckets`: bucket {name!r} needs `below`; only the last one goes without")
            if any(low >= high for low, high in pairwise(bounds[:-1])):  # pyright: ignore[reportOperatorIssue]
                raise ValueError(f"`buckets`: `below` has to ascend, and reads {bounds[:-1]}")
            names = [bucket.name for bucket in self.buckets]
            if len(set(names)) < len(names):
                raise ValueError(f"`buckets`: names have to differ, and read {names}")
        if (self.weight_start or self.weight_warmup) and not self.trains_codes:
            raise ValueError(
                "`weight_start` and `weight_warmup` do nothing here: no bucket has an action with a `weight`; take them out"
            )
        if self.normalize_by == "all_tokens" and self.monitor_masked is False:
            raise ValueError(
                "`normalize_by: all_tokens` counts masked tokens, which `monitor_masked: false` makes "
                "indistinguishable from padding; leave `monitor_masked` out or set it to true"
            )
        return self

    @property
    def trains_codes(self) -> bool:
        """Whether any bucket has an objective other than cross-entropy."""
        return any(bucket.action.traits.coded for bucket in self.resolved_buckets())

    def resolved_buckets(self) -> tuple[Bucket, ...]:
        """The buckets given, or else the method's preset."""
        if self.buckets is None:
            return preset(self.method)
        # what is left out of the YAML takes the defaults of `Bucket`
        return tuple(Bucket(**{"below": None, **bucket.model_dump(exclude_none=True)}) for bucket in self.buckets)


def json_schema() -> dict:
    """The JSON schema of the `slung:` block, for editors and checks outside Python."""
    return SlungConfig.model_json_schema()
