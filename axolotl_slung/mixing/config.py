"""The YAML of `slung mix` as pydantic models: the keys that it may have, and what they mean."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ..errors import SlungError, few, kind_of, meant
from ..faults import lines_of
from ..labeling.blocks import Block, Float, Int

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
"""What the name of a budget looks like, here and in `arms.yml`: it names a folder."""
_MOST_SEED = (1 << 63) - 1


class MixError(SlungError):
    """A mix cannot be built or verified. The message names the key or the file, and the fix."""


class Corpus(Block):
    """Documents: files, folders, a pattern of names, a Dolma folder, or a hub data set."""

    path: str = Field(min_length=1, description="A file, a folder, a pattern such as data/*.jsonl.zst, or owner/name.")
    subset: str | None = Field(None, description="The subset (configuration) of a hub data set.")
    split: str = Field("train", description="The split of a hub data set.")
    text_field: str = Field("text", description="The column of text, or a.b in nested mappings.")
    id_field: str = Field("id", description="The column of ids. Rows without one are named by file and line.")
    license: str | None = Field(None, description="The documents' license, in your words. The manifest repeats it.")


class Attributes(Block):
    """Keys of Dolma attributes, whole or a part of them between `__`."""

    score: str = Field(description="Of the sentences' scores.")
    document: str | None = Field(None, description="Of the document's score.")
    language: str | None = Field(None, description="Of the score of its language.")


class Risky(Corpus):
    """Documents with stored scores."""

    spans_field: str | None = Field(None, description="The column of spans. Default: spans.")
    document_field: str | None = Field(None, description="The column of the document's score.")
    language_field: str | None = Field(None, description="The column of the score of its language.")
    attributes: Attributes | None = Field(None, description="Read the scores from Dolma attributes.")

    @model_validator(mode="after")
    def _one_place(self):
        if self.attributes is not None:
            given = [key for key in ("spans_field", "document_field", "language_field") if getattr(self, key)]
            if given:
                raise ValueError(f"`{given[0]}`: does nothing beside `attributes`; remove one of them")
        return self


class Criteria(Block):
    """Which risky documents are used. A criterion that is left out chooses all."""

    min_language: Float | None = Field(None, ge=0, le=1, description="Lowest score of the language.")
    min_document: Float | None = Field(None, ge=0, le=1, description="Lowest score of the document.")
    min_highest: Float | None = Field(None, ge=0, le=1, description="Lowest score of its highest span.")
    max_lowest: Float | None = Field(
        None, ge=0, le=1, description="Highest score of its lowest span. Text outside all spans has the score 0."
    )
    min_characters: Int | None = Field(None, ge=1, description="Characters, at least.")
    max_characters: Int | None = Field(None, ge=1, description="Characters, at most.")
    min_sentences: Int | None = Field(None, ge=1, description="Sentences, at least.")


PAPER = Criteria(min_language=0.5, min_document=0.99, min_highest=0.99, max_lowest=1.0e-4, min_sentences=2)
"""Those of the paper's released code."""


class HeldOut(Block):
    """Tokens of the partitions that share no text with a stream."""

    base: Int = Field(0, ge=0, description="Tokens of base documents.")
    risky: Int = Field(0, ge=0, description="Tokens of risky documents.")


class Mix(Block):
    """The whole file."""

    tokenizer: str = Field(min_length=1, description="The folder or hub name of the model whose tokens are counted.")
    base: list[Corpus] = Field(min_length=1, description="The base corpus.")
    risky: list[Risky] = Field(min_length=1, description="Where risky documents are chosen from.")
    criteria: Criteria = Field(Criteria(), description="Which risky documents are chosen.")
    tokens: Int = Field(gt=0, description="Tokens of each stream.")
    budgets: dict[str, Int] = Field(
        min_length=1, max_length=100, description="Names of budgets, with their risky tokens."
    )
    seeds: list[Int] = Field([0], min_length=1, description="One stream per seed and budget.")
    heldout: HeldOut = Field(HeldOut(), description="Partitions for perplexity.")
    format: Literal["jsonl", "jsonl.zst", "parquet"] = Field("jsonl.zst", description="Of the files.")

    @field_validator("criteria", mode="before")
    @classmethod
    def _preset(cls, value: Any):
        if value == "paper":
            return PAPER
        if value is not None and not isinstance(value, (dict, Criteria)):
            shown = few([value]) if isinstance(value, str) and value else kind_of(value)
            guess = meant(value, ["paper"]) or "; write {min_highest: 0.99}"
            raise ValueError(f"{shown}: expected `paper` or a mapping{guess}")
        return Criteria() if value is None else value

    @field_validator("budgets", mode="before")
    @classmethod
    def _names(cls, value: Any):
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str):
                raise ValueError(
                    f"a name is {kind_of(name)}; write {{20M: 20_000_000}}, and quote names of digits only"
                )
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"{few([name]) or kind_of(name)}: expected up to 60 letters, digits and _ . -, without . or - in front; "
                    "choose another name, because it names a folder"
                )
        names = [name.lower() for name in value] if isinstance(value, dict) else []
        if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
            # some file systems see no difference between capitals and small letters
            raise ValueError(f"{twice}: is there twice, in capitals and small letters; choose another name")
        return value

    @model_validator(mode="after")
    def _fit(self):
        for name, budget in self.budgets.items():
            if budget < 0:
                raise ValueError(f"`budgets`: {name}: {budget}: expected a number at least 0; raise it")
            if budget > self.tokens:
                raise ValueError(f"`budgets`: {name}: is larger than `tokens` ({self.tokens}); lower it")
        if twice := _twice(list(self.budgets.values())):
            raise ValueError(f"`budgets`: {twice} is there twice; remove one")
        if twice := _twice(self.seeds):
            raise ValueError(f"`seeds`: {twice} is there twice; remove one")
        if wrong := [seed for seed in self.seeds if not 0 <= seed <= _MOST_SEED]:
            raise ValueError(f"`seeds`: {wrong[0]}: expected a whole number from 0 to {_MOST_SEED}; choose another")
        if self.criteria.max_characters and (self.criteria.min_characters or 0) > self.criteria.max_characters:
            raise ValueError("`criteria`: min_characters is larger than max_characters; correct one of them")
        return self

    @property
    def levels(self) -> list[tuple[str, int]]:
        """The budgets by their size."""
        return sorted(self.budgets.items(), key=lambda item: item[1])

    def settings(self) -> dict[str, Any]:
        """The file's content with all defaults, as JSON values."""
        return {**self.model_dump(mode="json"), "criteria": self.criteria.model_dump(mode="json", exclude_none=True)}


def _twice(values: list[int]) -> str:
    return next((f"{value}" for n, value in enumerate(values) if value in values[:n]), "")


def read_mix(content: Any, path: str) -> Mix:
    """The content of a YAML file as a mix.

    Raises:
        MixError: it is not valid. The message has a line for each fault.
    """
    if not isinstance(content, dict):
        raise MixError(f"{path}: expected a mapping with `tokenizer`, `base`, `risky`, `tokens` and `budgets`")
    try:
        mix = Mix.model_validate(content)
    except ValidationError as error:
        raise MixError(*lines_of(error)) from None
    _check_scores(mix)
    return mix


def _check_scores(mix: Mix) -> None:
    """Check that every source of risky documents has the scores that the criteria ask for."""
    for number, one in enumerate(mix.risky):
        for criterion, kind in (("min_language", "language"), ("min_document", "document")):
            if getattr(mix.criteria, criterion) is None:
                continue
            if one.attributes is not None and getattr(one.attributes, kind) is None:
                key = f"risky[{number}].attributes.{kind}"
            elif one.attributes is None and getattr(one, f"{kind}_field") is None:
                key = f"risky[{number}].{kind}_field"
            else:
                continue
            raise MixError(
                f"{key}: not set, but criteria.{criterion} needs it; name it, or give `criteria` as a mapping without "
                f"{criterion}"
            )
