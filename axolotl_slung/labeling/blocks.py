"""The blocks of `slung.labelers` as pydantic models: the keys that each type may have, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, field_validator, model_validator

from ..errors import kind_of
from .registry import LABELERS
from .scores import ANY, PAPER_CUTS, Cuts, as_cuts


def _number(value):
    if isinstance(value, bool):  # pydantic reads true as 1
        raise ValueError(f"expected a number, got {str(value).lower()}")
    return value


Float = Annotated[float, BeforeValidator(_number)]
Int = Annotated[int, BeforeValidator(_number)]


class Block(BaseModel):
    """A block of the YAML: its keys are known, and its values checked."""

    # a misspelled key is an error that names it; without this the setting would be ignored silently
    model_config = ConfigDict(extra="forbid")


class LabelerBlock(Block):
    """The keys that every labeler has."""

    datasets: list[str] | None = Field(
        None, min_length=1, description="The `path` of each data set to label. Default: all data sets."
    )
    name: str | None = Field(
        None,
        pattern="^[A-Za-z0-9_.-]+$",
        description="Names its scores in files and reports. Default: the type.",
    )
    cuts: list[float] | Literal["any"] | dict[str, list[float] | Literal["any"]] | None = Field(
        None,
        description="For a `method`: [low, high], the scores at which its safe and its doubtful spans end. any: whatever "
        "it finds is risky. For `spans` also a mapping from the names in its column to these. Default: those made for "
        "its scores, if there are any.",
    )

    @field_validator("cuts", mode="before")
    @classmethod
    def _form_of_cuts(cls, value):
        if isinstance(value, Mapping) and cls is SpansConfig:
            if unquoted := [name for name in value if not isinstance(name, str)]:
                raise ValueError(f"the name {unquoted[0]}: expected text; put it in quotes")
            return {name: _checked(cuts) for name, cuts in value.items()}
        return None if value is None else _checked(value)

    @model_validator(mode="after")
    def _no_cuts_of_finds(self):
        kind = self.type  # pyright: ignore[reportAttributeAccessIssue]
        if self.cuts is not None and LABELERS[kind].cuts == ANY:
            raise ValueError(
                f"`cuts` has no effect with type: {kind}: whatever it finds is risky; remove it, or give `slung.buckets`"
            )
        return self

    def cuts_made(self) -> Cuts | dict[str, Cuts] | None:
        """The cuts for the labeler's scores: the config's, or those made for the labeler; None if there are none."""
        if isinstance(self.cuts, dict):
            return {name: as_cuts(cuts) for name, cuts in self.cuts.items()}
        return as_cuts(self.cuts) if self.cuts else LABELERS[self.type].cuts  # pyright: ignore[reportAttributeAccessIssue]


def _checked(cuts) -> list[float] | str:
    """Raise `ValueError` unless `cuts` is a pair of ascending scores or `any`."""
    if cuts == ANY:
        return ANY
    try:
        low, high = map(float, cuts if isinstance(cuts, Sequence) and not isinstance(cuts, str) else ())
        if 0 < low < high < 1:
            return [low, high]
    except (TypeError, ValueError):
        pass
    shown = repr(cuts) if len(repr(cuts)) <= 60 else kind_of(cuts)
    raise ValueError(f"{shown}: expected [low, high] with 0 < low < high < 1, or any")


def _no_floor_of_finds(block: ClassifierConfig | GlinerConfig) -> None:
    """Raise `ValueError` if the floor, which only saves space, would be the cut."""
    if block.cuts == ANY and "floor" not in block.model_fields_set:
        raise ValueError(
            "`cuts: any` makes everything risky that has a span; write `cuts: [low, high]`, or set `floor` to the score "
            "from which it is risky"
        )


def meant_cuts(cuts) -> list[float] | str | None:
    """The cuts that a wrong value most likely meant, or None."""
    if isinstance(cuts, str) and cuts.strip().lower() in (ANY, "all"):
        return ANY
    given = re.findall(r"[\d.]+(?:[eE]-?\d+)?", cuts) if isinstance(cuts, str) else cuts
    try:
        low, high = sorted(map(float, given))
        return _checked([low / 100, high / 100] if 1 < low <= high < 100 else [low, high])
    except (TypeError, ValueError):
        return None


class FastTextConfig(LabelerBlock):
    """Scores sentences with a fastText classifier, as Dolma's taggers do."""

    type: Literal["fasttext"]
    model: str = Field(description="An alias (jigsaw_hatespeech_sentence_v2), a file, or a URL. A URL needs `sha256`.")
    label: str = Field("__label__toxic", description="The label whose probability is the score.")
    sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the file, in hexadecimal. Required for a URL."
    )
    lowercase: bool = Field(
        False, description="Convert sentences to lower case before scoring, for a model that was trained on such text."
    )
    spaced_punctuation: str | None = Field(
        None,
        pattern=r"^\S+$",
        description="Characters to put spaces around before scoring, for a model that was trained on such text. "
        "fastText's tutorial uses .!?,'/()",
    )

    def cuts_made(self) -> Cuts | dict[str, Cuts] | None:
        """The config's cuts; for the paper's classifier otherwise the paper's."""
        of_the_paper = (self.model, self.label) == ("jigsaw_hatespeech_sentence_v2", "__label__toxic")
        return super().cuts_made() or (PAPER_CUTS if of_the_paper else None)


class EntitiesConfig(LabelerBlock):
    """Finds names of a list, on word boundaries. Each has the score 1."""

    type: Literal["entities"]
    path: str | None = Field(None, description="A text file, one name per line.")
    names: list[str] | None = Field(
        None, description="The names themselves. Prefer a file: YAML ends up in logs and model cards."
    )
    parts: bool = Field(False, description="Also find each part of a name, such as the first or last name.")
    case_sensitive: bool = Field(True, description="Whether `Will` and `will` differ. `WILL` is found in both cases.")
    diacritics: bool = Field(True, description="Whether `Zoë` and `Zoe` differ.")

    @model_validator(mode="after")
    def _one_source(self):
        if (self.path is None) == (self.names is None):
            raise ValueError("give either `path` (a file of names) or `names` (a list), not both")
        return self


Builtin = Literal[
    "email", "phone", "ip", "credit_card", "iban", "us_ssn", "url_credentials", "jwt", "private_key", "api_keys"
]
"""The names in `builtin_patterns.yml`."""


class PatternsConfig(LabelerBlock):
    """Finds what named regular expressions match."""

    type: Literal["patterns"]
    path: str | None = Field(
        None, description="A YAML file that maps names to expressions, or to {pattern, score, flags, check}."
    )
    builtin: list[Builtin] | None = Field(
        None, min_length=1, description="Patterns that come with the package, such as [email, phone, api_keys]."
    )

    @model_validator(mode="after")
    def _any_source(self):
        if self.path is None and self.builtin is None:
            raise ValueError("give `builtin` (names of patterns), `path` (a file of patterns), or both")
        return self


class SpansConfig(LabelerBlock):
    """Reads spans from a column of the data set, as [start, end, score]."""

    type: Literal["spans"]
    field: str | None = Field(
        None,
        description="The column with the spans. In chats: the key of each message. Default: spans; with `weights_field`, "
        "none.",
    )
    weights_field: str | None = Field(
        None,
        min_length=1,
        description="The column with weights, which multiply the loss of tokens: a number for the whole text, or "
        "[[start, end, weight], ...]. In chats: the key of messages and content parts.",
    )
    text_field: str | None = Field(
        None,
        description="The column whose characters the spans count. Default: the text column of a completion data set, "
        "the content of a chat message.",
    )


class DolmaConfig(LabelerBlock):
    """Reads spans from Dolma attribute files, the output of any Dolma tagger."""

    type: Literal["dolma"]
    path: str = Field(description="A folder of attribute files, or one file.")
    attribute: str = Field(description="The attribute's name. The tagger's prefix may be left out.")
    id_field: str = Field("id", description="The data set's column of document ids.")
    text_field: str | None = Field(None, description="As `text_field` of `spans`.")


class ClassifierConfig(LabelerBlock):
    """Scores sentences, documents or tokens with a Hugging Face classifier."""

    type: Literal["classifier"]
    model: str = Field(description="A folder, or the name of a model on the Hugging Face hub.")
    label: str | list[str] | dict[str, float] = Field(
        "toxic",
        description="The label whose probability is the score. Or a list: each label has spans of its own. Or a mapping "
        "of labels to factors: the score is the sum of probabilities times factors. For tokens: without B- or I-.",
    )
    unit: Literal["sentence", "document", "token"] = Field(
        "sentence", description="What gets one score each. `token` scores words with a token classifier."
    )
    floor: Float = Field(
        0.01, ge=0, le=1, description="For `unit: token`: words with a lower score have no span. 0: every word has one."
    )
    window: Int = Field(
        4096,
        ge=16,
        description="The most tokens to read at once, if the model can read as many. Longer texts are read in windows "
        "that overlap by a quarter.",
    )
    batch_tokens: Int = Field(4096, ge=1, description="The most tokens per batch, with padding.")
    revision: str | None = Field(None, description="Commit, tag or branch of a model on the hub.")

    @field_validator("label", mode="before")
    @classmethod
    def _form_of_label(cls, value):
        names = value if isinstance(value, (list, dict)) else [value]
        factors = value.values() if isinstance(value, dict) else [1.0]
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError(
                "expected a label, a list of labels, or a mapping of labels to factors; put labels in quotes"
            )
        if not all(isinstance(one, (int, float)) and not isinstance(one, bool) and 0 < one <= 1 for one in factors):
            raise ValueError("expected factors above 0 and at most 1")
        return value

    @model_validator(mode="after")
    def _only_for_tokens(self):
        if self.unit == "token":
            _no_floor_of_finds(self)
        elif "floor" in self.model_fields_set:
            raise ValueError(f"`floor` has no effect with unit: {self.unit}; remove it, or set `unit: token`")
        return self


class GlinerConfig(LabelerBlock):
    """Finds what labels in words name, with a GLiNER model."""

    type: Literal["gliner"]
    model: str = Field(description="A folder, or the name of a GLiNER model on the Hugging Face hub.")
    labels: list[str] = Field(min_length=1, description="What to find, in words, such as [person name, email].")
    floor: Float = Field(0.01, ge=0, le=1, description="Spans with a lower score are left out.")
    batch_tokens: Int = Field(4096, ge=1, description="The most tokens per batch, with labels and padding.")
    revision: str | None = Field(None, description="Commit, tag or branch of a model on the hub.")

    @model_validator(mode="after")
    def _labels_and_floor(self):
        if len(set(self.labels)) < len(self.labels) or not all(label.strip() for label in self.labels):
            raise ValueError("`labels` has an empty label, or one twice; remove it")
        _no_floor_of_finds(self)
        return self


class PresidioConfig(LabelerBlock):
    """Finds personal data with Microsoft Presidio."""

    type: Literal["presidio"]
    entities: list[str] | None = Field(
        None,
        min_length=1,
        description="Entities by Presidio's names, such as EMAIL_ADDRESS. Default: all available ones.",
    )
    language: str = Field("en", description="The texts' language, as spaCy's code.")
    nlp_engine: str | None = Field(
        None, description="A YAML file with Presidio's NLP configuration. Default: an installed spaCy model, if any."
    )


class ProfanityConfig(LabelerBlock):
    """Scores English sentences with the model of alt-profanity-check, offline."""

    type: Literal["profanity"]


class StudentConfig(LabelerBlock):
    """Scores words with a small model that `slung distill` made."""

    type: Literal["student"]
    model: str = Field(description="The student's file, .npz.")

    def cuts_made(self) -> Cuts | dict[str, Cuts] | None:
        """The config's cuts; otherwise those in the file."""
        if (given := super().cuts_made()) is not None:
            return given
        from .student.labeler import cuts_of  # numba's import takes a second

        return cuts_of("slung.labelers, type: student, model", self.model)


class ToxicSpansConfig(LabelerBlock):
    """Scores English words with the student for toxic spans that comes with the package, offline."""

    type: Literal["toxic_spans"]


class CustomConfig(LabelerBlock):
    """Runs your own labeler class."""

    type: Literal["custom"]
    class_path: str = Field(
        pattern=r"^.+:[^\W\d]\w*$", description="package.module:Class, or folder/file.py:Class. The code is run."
    )
    options: dict[str, JsonValue] = Field({}, description="Keyword arguments for the class.")


LabelerConfig = Annotated[
    FastTextConfig
    | EntitiesConfig
    | PatternsConfig
    | SpansConfig
    | DolmaConfig
    | ClassifierConfig
    | GlinerConfig
    | PresidioConfig
    | ProfanityConfig
    | StudentConfig
    | ToxicSpansConfig
    | CustomConfig,
    Field(discriminator="type"),
]
