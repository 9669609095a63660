"""Axolotl's own strategies, with actions in their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..buckets import Action, Bucket
from ..labeling.base import Labeler, Span, utf8_safe
from ..labeling.custom import CustomLabeler
from ..labeling.spans import describe_row
from ..tokens import buckets_of
from . import fields as fields_of
from . import inexact
from .columns import described, without_text
from .edits import edit, edits_text
from .labels import Part, RowLabels, SlungDataError
from .placing import Placer
from .tagging import TaggingTokenizer, Text

_ARROW = {"input_ids": np.int32, "attention_mask": np.int8}
"""As `datasets` stores these columns; it takes arrays in a fraction of the time that lists of integers need."""

_MOST_KNOWN = 10_000
"""Pieces of templates whose spans are kept."""


@dataclass
class Row:
    """One raw row on its way to labels.

    Attributes:
        raw: as the data set has it, or with edited texts.
        parts: what the strategy made of it.
        texts: what the strategy tokenised.
        places: the fields in each text.
        choices: in each text, the other places where a field that was searched for may stand as well.
        lost: fields that stand in none of the texts as far as could be seen.
        spans: of each field.
        from_columns: fields with spans from a column beside them.
        number: its place in the batch.
        inexact: why the row is not exact, see `inexact.REASONS`.
    """

    raw: dict
    parts: list[Part] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    places: list[list[fields_of.Placed]] = field(default_factory=list)
    choices: list[list[fields_of.Placed]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    spans: dict[fields_of.Path, list[Span]] = field(default_factory=dict)
    from_columns: set[fields_of.Path] = field(default_factory=set)
    number: int = 0
    inexact: int = 0


class SlungStrategy:
    """Wraps a prompt strategy of Axolotl that was built with a `TaggingTokenizer`.

    For each row: let the strategy tokenise, find out where the row's strings stand in what it tokenised, label them, apply
    the actions on text, and write what the spans ask for into `labels`. A token keeps its loss only if both Axolotl and its
    bucket say so.

    Args:
        strategy: Axolotl's.
        labelers: ready to label.
        buckets: ascending.
        where: the data set's place in the YAML, for messages.
        text_field: the string that span columns count characters of, where a labeler does not say.
        eos: the rule for end-of-sequence tokens: train, mask or inherit.
        mask_document_starts: no loss on a row's first token.
        fingerprint: of everything that decides the labels; part of the cache key that `datasets` makes by
            pickling this object. Empty for a stream, whose labels are not kept.
    """

    supports_batched = True

    def __init__(
        self,
        strategy,
        labelers: list[Labeler],
        buckets: tuple[Bucket, ...],
        where: str,
        text_field: str | None,
        eos: str,
        mask_document_starts: bool,
        fingerprint: str,
    ):
        self.strategy = strategy
        self.tokenizer: TaggingTokenizer = strategy.tokenizer
        self.filter_rows = getattr(strategy, "filter_rows", None)
        self.labelers = labelers
        self.buckets = buckets
        self.where = where
        self.text_field = text_field
        self.fingerprint = fingerprint
        self.layout = fields_of.Layout.of(strategy)
        self._in_order = True  # until a row comes whose tokens cannot be followed without tags
        self._row_labels = RowLabels(self.tokenizer, where, eos, mask_document_starts)
        self._placer = Placer(strategy, self._call, self.tokenizer, self.layout)
        self._rest: dict[str, dict[str, list[Span]]] = {}

    def __getstate__(self):
        return {**self.__dict__, "_rest": {}}

    def tokenize_prompt(self, batch: Mapping[str, list]) -> dict[str, list]:
        """A batch of raw rows to a batch of tokenised ones; there may be more or fewer of them."""
        out: dict[str, list] = {"input_ids": [], "attention_mask": [], "labels": []}
        for row in self.labelled(batch):
            for number, (part, labels) in enumerate(zip(row.parts, self.labels(row))):
                if self.fingerprint:
                    columns = {**part.output, "labels": labels, inexact.COLUMN: 0 if number else row.inexact}
                    columns |= {key: np.asarray(columns[key], dtype) for key, dtype in _ARROW.items() if key in columns}
                else:
                    columns = {**part.output, "labels": labels.tolist()}
                for key, value in columns.items():
                    out.setdefault(key, []).append(value)
        return out

    def labels(self, row: Row) -> list[np.ndarray]:
        """The labels of each part of a row from `labelled`, int64 `[tokens]`."""
        return self._row_labels.labels(row.parts, row.texts)

    def labelled(self, batch: Mapping[str, list], edited: bool = True) -> Iterator[Row]:
        """The rows that are left, tokenised, their texts with spans.

        Args:
            batch: raw rows.
            edited: whether the actions on text are applied.
        """
        raw = [dict(zip(batch, values)) for values in zip(*batch.values())]
        rows = [self._tokenised(_cleaned(row), number) for number, row in enumerate(raw)]
        self._label_fields(rows)
        for row in rows:
            self._settle(row)
        self._label_texts(rows)
        if edited and edits_text(self.buckets):
            rows = self._edited(rows)
        yield from rows

    # tokens and places

    def _tokenised(self, raw: dict, number: int) -> Row:
        row = Row(self.layout.parsed(raw), number=number)
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
        return row

    def _call(self, row):
        if getattr(self.strategy, "supports_batched", False):
            return self.strategy.tokenize_prompt({key: [value] for key, value in row.items()})
        return self.strategy.tokenize_prompt(row)

    def _made(self, row) -> list[dict]:
        """The strategy's output for one row as a list of rows."""
        result = dict(self._call(row))
        if not result or not len(result.get("input_ids", [])):
            return []
        if isinstance(result["input_ids"][0], int):
            result = {key: [value] for key, value in result.items()}
        return [dict(zip(result, values)) for values in zip(*result.values())]

    # spans of fields

    def _label_fields(self, rows: list[Row]) -> None:
        """Put each field's spans into its row, for the fields that stand in the row's texts."""
        wanted = [
            (row, path)
            for row in rows
            for path in dict.fromkeys(place.path for places in row.places for place in places)
        ]
        for row, path in wanted:
            row.spans[path] = []
        for labeler in self.labelers:
            if labeler.reads_row:
                self._read_columns(labeler, rows)
                continue
            texts = [fields_of.get(row.raw, path) for row, path in wanted]
            for (row, path), found in zip(wanted, self._annotated(labeler, texts, wanted)):
                row.spans[path] += found

    def _annotated(self, labeler: Labeler, texts: list[str], wanted: list[tuple[Row, fields_of.Path]]) -> list[list[Span]]:
        """The spans of texts, equal ones labelled once where the labeler reads nothing else."""
        if reads_rows(labeler):
            return labeler.annotate(texts, [fields_of.surroundings(row.raw, path) for row, path in wanted])
        different = list(dict.fromkeys(texts))
        spans = dict(zip(different, labeler.annotate(different, [{}] * len(different))))
        return [spans[text] for text in texts]

    def _read_columns(self, labeler: Labeler, rows: list[Row]) -> None:
        """Put the spans of a column beside the texts into the rows."""
        name = labeler.text_field or self.text_field
        if name is None:
            raise SlungDataError(
                f"{labeler.key}.text_field: a data set of this type ({self.where}) has several texts; name the column "
                "that the spans count characters of"
            )
        column = getattr(labeler, "field", None)
        anywhere = labeler.text_field is not None or self.layout.messages is None
        wanted = []
        for row in rows:
            found = list(described(row.raw, name, column, self.layout, anywhere))
            if column and (missed := without_text(row.raw, column, found)):
                raise SlungDataError(
                    f"{labeler.key}.text_field: {describe_row(row.number, row.raw)}, {_spelled(missed)}: there is no text "
                    f"{name!r} for these spans; name the key of their text, or take the spans out"
                )
            wanted += [(row, one) for one in found]
        texts, beside = [one.text for _, one in wanted], [one.row for _, one in wanted]
        for (row, one), found in zip(wanted, labeler.annotate(texts, beside)):
            for path, start in one.fields:
                end = start + len(fields_of.get(row.raw, path))
                here = [s._replace(start=max(s.start, start) - start, end=min(s.end, end) - start) for s in found]
                here = [span for span in here if span.start < span.end]
                row.spans.setdefault(path, []).extend(here)
                row.from_columns.add(path)

    def _settle(self, row: Row) -> None:
        """Find out where fields stand whose spans matter, and whose place is not sure yet."""
        for path, spans in row.spans.items():
            if all(self._action(span) is Action.TRAIN for span in spans):
                continue
            choices = [choice for of_text in row.choices for choice in of_text if choice.path == path]
            placed = any(place.path == path for places in row.places for place in places)
            if placed and not choices:
                continue
            certain = self._placer.certain(row.raw, path, row.texts)
            if certain is not None:
                for places, of_text in zip(row.places, certain):
                    places[:] = [place for place in places if place.path != path] + of_text
                placed = any(certain)
            if path in row.from_columns and not placed:
                self._check_spans(row, path)
            if certain is None:
                for places, of_text in zip(row.places, row.choices):
                    places += [choice for choice in of_text if choice.path == path and choice not in places]
                row.inexact |= inexact.SEVERAL if choices else 0

    def _check_spans(self, row: Row, path: fields_of.Path) -> None:
        """Raise `SlungDataError` for a column of spans whose text has no place, though it may be rendered, or was to be."""
        field = fields_of.get(row.raw, path)
        where = f"{self.where}: {describe_row(row.number, row.raw)}, {_spelled(path)}"
        if self._placer.share_outside(row.texts, row.places, field) >= 0.5:
            raise SlungDataError(
                f"{where}: its column of spans cannot be placed, since the data set's chat_template, or its type, changes this "
                "text; use another one, or put the text into a field that it writes as it is"
            )
        if not self.layout.renders(path):
            raise SlungDataError(
                f"{where}: its column of spans has no text in the prompt, since the data set's chat_template does not write "
                "this field; take the column out, or use a template that writes it"
            )

    def _action(self, span: Span) -> Action:
        return self.buckets[buckets_of(span.score, self.buckets)].action

    # spans of texts

    def _label_texts(self, rows: list[Row]) -> None:
        """Put the spans of every text into it: those of its fields, and what is found outside of them."""
        whole, rest = [], []
        for row in rows:
            for text, places in zip(row.texts, row.places):
                text.spans = [s for place in places for s in place.moved(row.spans.get(place.path, []))]
                if not (len(places) == 1 and (places[0].start, places[0].end) == (0, len(text.text))):
                    whole.append((row, text))
                    rest += [(row, text, at, piece) for at, piece in self._placer.rest(text.text, places)]
        if any(labeler.scope == "document" and not labeler.reads_row for labeler in self.labelers):
            for row in rows:
                # of names and short values a template's own words may be had by chance
                long = (text for text in row.lost if " " in text.strip())
                if any(self._placer.share_outside(row.texts, row.places, text) >= 0.8 for text in long):
                    row.inexact |= inexact.CHANGED
        for labeler in self.labelers:
            if labeler.reads_row:
                continue
            if labeler.scope == "text":
                found = labeler.annotate([text.text for _, text in whole], [row.raw for row, _ in whole])
                for (_, text), spans in zip(whole, found):
                    text.spans += spans
                continue
            for (row, text, at, _), spans in zip(rest, self._label_rest(labeler, rest)):
                text.spans += [s._replace(start=s.start + at, end=s.end + at) for s in spans]
                row.inexact |= inexact.OUTSIDE if any(self._action(s) is not Action.TRAIN for s in spans) else 0

    def _label_rest(self, labeler: Labeler, rest) -> list[list[Span]]:
        """The spans of pieces of templates, most of which come again in every row."""
        if reads_rows(labeler):
            return labeler.annotate([piece for *_, piece in rest], [row.raw for row, *_ in rest])
        known = self._rest.setdefault(labeler.name, {})
        if len(known) > _MOST_KNOWN:
            known.clear()
        new = list(dict.fromkeys(piece for *_, piece in rest if piece not in known))
        known.update(zip(new, labeler.annotate(new, [{}] * len(new))))
        return [known[piece] for *_, piece in rest]

    # actions on text

    def _edited(self, rows: list[Row]) -> list[Row]:
        """Apply drop_span, drop_document and control_token."""
        kept, changed = [], []
        for row in rows:
            actions = {self._action(span) for text in row.texts for span in text.spans}
            edits = {path: edit(fields_of.get(row.raw, path), spans, self.buckets) for path, spans in row.spans.items()}
            if Action.DROP_DOCUMENT in actions or any(result is None for result in edits.values()):
                continue
            kept.append(row)
            texts = {
                path: text
                for path, (text, _) in edits.items()
                if text != fields_of.get(row.raw, path) and not isinstance(path[-1], fields_of.Key)
            }
            if texts:
                number, row.raw = row.number, fields_of.replaced(row.raw, texts)
                again = self._tokenised(row.raw, number)
                again.spans = {path: edits[path][1] if path in texts else spans for path, spans in row.spans.items()}
                again.inexact = row.inexact
                kept[-1] = again
                changed.append(again)
            else:
                self._note_left(row)
        for row in changed:
            self._settle(row)
        self._label_texts(changed)
        for row in changed:
            self._note_left(row)
        return kept

    def _note_left(self, row: Row) -> None:
        if any(self._action(span) is Action.DROP_SPAN for text in row.texts for span in text.spans):
            row.inexact |= inexact.LEFT


def reads_rows(labeler: Labeler) -> bool:
    """Whether a labeler may look at more than the text: a class of the user's gets the row, too."""
    return isinstance(labeler, CustomLabeler) and not labeler.cached


def _spelled(path: fields_of.Path) -> str:
    """A path as one writes it: `messages[1].content`."""
    spelled = (f"[{key}]" if isinstance(key, int) else ".a key" if isinstance(key, fields_of.Key) else f".{key}" for key in path)
    return "".join(spelled).lstrip(".")


def _cleaned(row):
    """The row without lone surrogates in its strings."""
    dirty = {path: safe for path, text in fields_of.strings(row).items() if (safe := utf8_safe(text)) != text}
    return fields_of.replaced(row, dirty) if dirty else row
