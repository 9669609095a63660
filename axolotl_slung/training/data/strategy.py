"""Axolotl's prompt strategies, with actions written into their labels."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ...labeling.base import RowError, utf8_safe
from ...labeling.rows import fields as fields_of
from ...labeling.spans import SpansLabeler, describe_row
from ...labels.buckets import Action
from ...labels.outcome import Outcome
from ...labels.weights import WeightError
from . import inexact, outcomes
from .editor import Editor
from .edits import edits_text
from .heeded import Heeded
from .placing import Placer
from .policy import Policy
from .row_documents import row_documents
from .row_labels import RowLabels, SlungDataError
from .row_spans import Row, RowSpans
from .tagging import TaggingTokenizer
from .unquoted import unquoted

_ARROW = {"input_ids": np.int32, "attention_mask": np.int8}
"""The dtypes in which `datasets` stores these columns. It takes arrays much faster than lists of integers."""


class SlungStrategy:
    """Wraps a prompt strategy of Axolotl that was built with a `TaggingTokenizer`.

    For each row, it

    1. lets the strategy tokenize,
    2. finds the row's strings in the texts that the strategy tokenized,
    3. labels the strings and applies the actions on text,
    4. writes the actions of the spans into `labels`.

    A token keeps its loss only if both Axolotl and its bucket train it.

    Args:
        strategy: Axolotl's strategy.
        policy: how its rows are labeled.

    Attributes:
        layout: the layout of its rows.
    """

    supports_batched = True

    def __init__(self, strategy, policy: Policy):
        self.strategy = strategy
        self.tokenizer: TaggingTokenizer = strategy.tokenizer
        self.filter_rows = getattr(strategy, "filter_rows", None)
        self.policy = policy
        self.layout = fields_of.Layout.of(strategy)
        readers = [labeler for labeler in policy.labelers if isinstance(labeler, SpansLabeler)]
        weights = {labeler.weights_field for labeler in readers if labeler.weights_field}
        self.heeded = Heeded(strategy, self.layout, weights)
        columns = {labeler.field for labeler in readers if labeler.field} | weights
        self._span_columns = columns - self.heeded.flags.read_by_axolotl()
        self._in_order = True  # until the tokens of a row cannot be followed without tags
        self._row_labels = RowLabels(self.tokenizer, policy)
        self._placer = Placer(strategy, self._call, self.tokenizer, self.layout)
        self._spans = RowSpans(policy, self.layout, self._placer)
        self._editor = Editor(policy, self._spans, self.heeded.flags, self._tokenized)

    def tokenize_prompt(self, batch: Mapping[str, list]) -> dict[str, list]:
        """Tokenize and label a batch of raw rows. The result may have more or fewer rows."""
        with _collector_paused():
            return self._columns(batch)

    def _columns(self, batch: Mapping[str, list]) -> dict[str, list]:
        out: dict[str, list] = {"input_ids": [], "attention_mask": [], "labels": []}
        removed = 0
        for row in self.labeled(batch):
            if not self.policy.fingerprint:
                inexact.say_once(row.inexact, self.policy.where)
            finds = self._trained_finds(row)
            removed += row.removed  # a row of which nothing is left has no part
            inputs = self._row_labels.inputs(row.parts, row.texts)
            for number, (part, labels, ids) in enumerate(zip(row.parts, self.labels(row), inputs)):
                trainable, lost = outcomes.counted(part.trained, labels, self.policy, self.tokenizer.code_masked)
                trainable, lost, removed = trainable + removed, lost + removed, 0
                if self.policy.fingerprint:
                    columns = {**part.output, "input_ids": ids, "labels": labels}
                    columns[inexact.COLUMN] = 0 if number else row.inexact
                    columns |= outcomes.columns(Counter() if number else finds, trainable, lost, not number)
                    columns |= {key: np.asarray(columns[key], dtype) for key, dtype in _ARROW.items() if key in columns}
                else:
                    outcomes.count_stream(self.policy, Counter() if number else finds, trainable, lost)
                    columns = {**part.output, "input_ids": ids, "labels": labels.tolist()}
                for key, value in columns.items():
                    out.setdefault(key, []).append(value)
        for name in outcomes.NUMBERS if out.get(outcomes.LOST) else ():
            out[name][-1] += removed
        return out

    def _trained_finds(self, row: Row) -> Counter:
        """See `Outcome.trained_finds`."""
        finds = (s for text in row.texts for s in text.spans if s.labeler in self.policy.finders)
        found: Counter = Counter()
        if any(self._spans.action(span) is Action.TRAIN for span in finds):
            outcome = Outcome(self.policy.buckets, self.policy.finders)
            for document in row_documents(row, self.labels(row), self.tokenizer, self.policy):
                found.update(outcome.trained_finds(document))
        return found

    def labels(self, row: Row) -> list[np.ndarray]:
        """The labels of each part of a row that `labeled` gave, int64 `[tokens]`.

        Raises:
            SlungDataError: a weight cannot be used with the action of its token.
        """
        try:
            return self._row_labels.labels(row.parts, row.texts)
        except WeightError as error:
            raise SlungDataError(f"{self.policy.where}: {describe_row(row.number, row.source)}: {error}") from None

    def labeled(
        self, batch: Mapping[str, list], edited: bool = True, numbers: Sequence[int] | None = None
    ) -> Iterator[Row]:
        """The rows of a batch, tokenized, with spans on their texts. Dropped rows are left out.

        Args:
            batch: raw rows, by column.
            edited: whether the actions on text are applied, which may drop rows.
            numbers: the rows' numbers in the data set, for messages. None if they are not known.

        Raises:
            SlungDataError: a row cannot be labeled, or not edited.
        """
        raw = [dict(zip(batch, values)) for values in zip(*batch.values())]
        try:
            rows = [self.followed(row, number) for number, row in enumerate(raw)]
            self.find(rows)
            if edits_text(self.policy.buckets):
                rows = self._editor.edited(rows) if edited else self._editor.checked(rows)
        except RowError as error:
            number = next(iter(error.problems))
            id_field = next((key for one in self.policy.labelers if (key := getattr(one, "id_field", None))), "id")
            place = describe_row(number, raw[number], id_field)
            if numbers is not None and raw[number].get(id_field) is None:
                place = f"row {numbers[number]} of the data set"
            raise SlungDataError(error.told(number, place)) from None
        yield from rows

    def find(self, rows: list[Row]) -> None:
        """Put spans into rows that `followed` gave.

        Raises:
            RowError: some rows cannot be labeled. They are named by their `number`.
        """
        for row in rows:
            for path, weights in self.heeded.flags.weights_of_ranges(row.raw).items():
                row.weigh(path, weights)
                row.from_columns.setdefault(path, False)
        self._spans.find(rows)

    # tokens and places

    def followed(self, raw: dict, number: int) -> Row:
        """A raw row, tokenized, with the places of its fields. `number` is its index in its batch.

        Raises:
            RowError: it says of training what Axolotl cannot read.
            SlungDataError: its values are nested too deeply, or its tokens cannot be followed.
        """
        try:
            return self._tokenized(_cleaned(raw), number)
        except RecursionError:
            raise SlungDataError(
                f"{self.policy.where}: {describe_row(number, raw)}: its lists and mappings are nested too deeply; "
                "remove the row"
            ) from None

    def _tokenized(self, raw: dict, number: int) -> Row:
        parsed = self.layout.parsed(raw)
        # a template may write a whole message: the spans in it are not text
        row = Row(self.layout.without(parsed, self._span_columns), source=raw, number=number)
        if problem := self.heeded.flags.problem(row.raw):
            raise RowError(self.policy.where, {number: problem})
        if self._in_order:
            with self.tokenizer.noting(tagged=False) as row.texts:
                made = self._made(row.raw)
            parts = self._row_labels.of_order(made, row.texts)
            self._in_order = parts is not None
        if not self._in_order:
            with self.tokenizer.noting(tagged=True) as row.texts:
                made = self._made(row.raw)
            parts = self._row_labels.of_tags(made)
        row.parts = parts
        row.texts = self._row_labels.used(parts, row.texts)
        row.places, row.choices, row.lost = self._placer.place(row.raw, row.texts)
        row.inexact |= self.heeded.unheeded(row)
        return row

    def _call(self, row):
        if getattr(self.strategy, "supports_batched", False):
            row = {key: [value] for key, value in row.items()}
        with unquoted(self._placer.loggers):
            return self.strategy.tokenize_prompt(row)

    def _made(self, row) -> list[dict]:
        """The strategy's output for one row, as a list of rows."""
        result = dict(self._call(row))
        if not result or not len(result.get("input_ids", [])):
            return []
        if isinstance(result["input_ids"][0], int):
            result = {key: [value] for key, value in result.items()}
        return [dict(zip(result, values)) for values in zip(*result.values())]


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector. A batch's objects live until it is done, and a full collection costs as much time as
    hundreds of rows.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _cleaned(row):
    """The row with its strings made safe for UTF-8: they have no lone surrogates."""
    dirty = {path: safe for path, text in fields_of.strings(row).items() if (safe := utf8_safe(text)) != text}
    return fields_of.replaced(row, dirty) if dirty else row
