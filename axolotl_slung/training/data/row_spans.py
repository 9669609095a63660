"""The spans of rows: those of each field, moved into the texts, and those outside the fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ...labeling.base import Labeler, RowError, Span
from ...labeling.rows import fields as fields_of
from ...labeling.rows.fields import spelled
from ...labeling.rows.found import found_in_columns, found_in_fields, reads_rows
from ...labels.buckets import Action
from ...labels.tokens import buckets_of
from . import inexact
from .edits import PutIn
from .places import Placed, moved
from .placing import Placer
from .policy import Policy
from .row_labels import Part
from .searching import copies
from .tagging import Text

_MOST_KNOWN = 10_000
"""The maximum number of template pieces whose spans are cached."""


@dataclass
class Row:
    """One raw row on its way to labels.

    Attributes:
        raw: the row of the data set, or the row with edited texts. Its JSON strings are parsed.
        source: the same row. Its JSON strings are not parsed.
        parts: the rows that the strategy made from it.
        texts: the texts that the strategy tokenized.
        places: the fields in each text.
        choices: for each text, all possible places of fields that were found in several places.
        lost: fields that were not found in any text.
        spans: the spans of each field.
        from_columns: the fields whose spans come from a column, and whether a JSON pointer names the field.
        number: the row's index in the batch.
        inexact: the sum of the reasons why the row is not exact, see `inexact.REASONS`.
        removed: the number of trainable tokens that actions on text removed from it, and from dropped rows before it.
    """

    raw: dict
    source: dict = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    places: list[list[Placed]] = field(default_factory=list)
    choices: list[list[Placed]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    spans: dict[fields_of.Path, list[Span]] = field(default_factory=dict)
    from_columns: dict[fields_of.Path, bool] = field(default_factory=dict)
    number: int = 0
    inexact: int = 0
    removed: int = 0

    @property
    def trainable(self) -> int:
        """The number of tokens that Axolotl trains without slung."""
        return sum(int(part.trained.sum()) for part in self.parts)


class RowSpans:
    """Labels rows.

    Args:
        policy: how the data set is labeled.
        layout: the layout of the rows.
        placer: finds the fields of the rows.
    """

    def __init__(self, policy: Policy, layout: fields_of.Layout, placer: Placer):
        self.policy, self.layout, self._placer = policy, layout, placer
        # these search every whole text, so they find all copies themselves
        self._of_texts = {labeler.name for labeler in policy.labelers if labeler.scope == "text"}
        self._rest: dict[str, dict[str, list[Span]]] = {}

    def __getstate__(self):
        return {**self.__dict__, "_rest": {}}

    def find(self, rows: list[Row]) -> None:
        """Label rows whose texts and places are known: first their fields, then all their texts."""
        self.label_fields(rows)
        self.put(rows)

    def put(self, rows: list[Row]) -> None:
        """Put spans into the texts of rows whose fields are labeled: those of the fields, and those outside them."""
        for row in rows:
            self._settle(row)
        self._label_texts(rows)

    def action(self, span: Span) -> Action:
        """The action for a span's tokens."""
        return self.policy.buckets[buckets_of(span.score, self.policy.buckets)].action

    # spans of fields

    def label_fields(self, rows: list[Row]) -> None:
        """Put the spans of fields into their rows. Fields that are in no text of the row are not labeled.

        Raises:
            RowError: some rows cannot be labeled. They are named by their `number`.
        """
        wanted = [list(dict.fromkeys(place.path for of_text in row.places for place in of_text)) for row in rows]
        for row, paths in zip(rows, wanted):
            row.spans.update({path: [] for path in paths})
        raw, sources = [row.raw for row in rows], [row.source for row in rows]
        for labeler in self.policy.labelers:
            with _by_number(rows):
                if labeler.reads_row:
                    found, pointed = found_in_columns(labeler, sources, self.layout, self.policy.text_field)
                else:
                    found, pointed = found_in_fields(labeler, raw, wanted, self.layout), []
            for row, of_row in zip(rows, found):
                for path, spans in of_row.items():
                    row.spans.setdefault(path, []).extend(spans)
            for row, of_row, paths in zip(rows, found, pointed):
                row.from_columns.update({path: path in paths for path in of_row})

    def _settle(self, row: Row) -> None:
        """Find the places of fields that have no certain place yet and a span whose action is not `train`."""
        for path, spans in row.spans.items():
            if all(self.action(span) is Action.TRAIN for span in spans):
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
        """Raise `RowError` if the template changes the field of a column of spans, or does not render it."""
        field = fields_of.get(row.raw, path)
        # `slung label` writes pointers to short texts, too, which may equal a template's own words by chance
        pointed = row.from_columns[path]
        if pointed and " " not in field.strip():
            return
        problem = None
        if self._placer.share_outside(row.texts, row.places, field) >= (0.8 if pointed else 0.5):
            problem = (
                "its column of spans cannot be placed: the data set's chat_template or type changes this text; use "
                "another one, or move the text to a field that it writes unchanged"
            )
        elif not pointed and not self.layout.renders(path):
            problem = (
                "its column of spans has no text in the prompt: the data set's chat_template does not write this "
                "field; remove the column, or use a template that writes the field"
            )
        if problem:
            raise RowError(self.policy.where, {row.number: f"{spelled(path)}: {problem}"})

    # spans of texts

    def _label_texts(self, rows: list[Row]) -> None:
        """Put spans into every text: those of its fields, and those found outside its fields."""
        whole, rest = [], []
        for row in rows:
            for text, places in zip(row.texts, row.places):
                by_path: dict[fields_of.Path, list[Placed]] = {}
                for place in places:
                    by_path.setdefault(place.path, []).append(place)
                text.spans = [s for path, of in by_path.items() for s in moved(row.spans.get(path, []), of, text.text)]
                self._label_copies(row, text, places)
                if not (len(places) == 1 and (places[0].start, places[0].end) == (0, len(text.text))):
                    whole.append((row, text))
                    rest += [(row, text, at, piece) for at, piece in self._placer.rest(text.text, places)]
        if any(labeler.scope == "document" and not labeler.reads_row for labeler in self.policy.labelers):
            for row in rows:
                # a name or a short value may equal a template's own words by chance
                long = (text for text in row.lost if " " in text.strip())
                if any(self._placer.share_outside(row.texts, row.places, text) >= 0.8 for text in long):
                    row.inexact |= inexact.CHANGED
        for labeler in self.policy.labelers:
            if labeler.reads_row:
                continue
            if labeler.scope == "text":
                self._label_whole(labeler, whole)
                # windows of one text all hold the whole text: they are not neighbors
                self._label_seams(labeler, [row for row in rows if len({id(text.text) for text in row.texts}) > 1])
                continue
            for (row, text, at, _), spans in zip(rest, self._label_rest(labeler, rest)):
                text.spans += [s._replace(start=s.start + at, end=s.end + at) for s in spans]
                row.inexact |= inexact.OUTSIDE if any(self.action(s) is not Action.TRAIN for s in spans) else 0

    def _label_whole(self, labeler: Labeler, whole: list[tuple[Row, Text]]) -> None:
        with _by_number([row for row, _ in whole]):
            found = labeler.annotate([text.text for _, text in whole], [row.raw for row, _ in whole])
        for (_, text), spans in zip(whole, found):
            text.spans += spans

    def _label_seams(self, labeler: Labeler, rows: list[Row]) -> None:
        """Find spans that cross the edges of texts. A strategy may tokenize texts separately and join them."""
        joined = ["".join(text.text for text in row.texts) for row in rows]
        with _by_number(rows):
            found = labeler.annotate(joined, [row.raw for row in rows])
        for row, spans in zip(rows, found):
            start = 0
            for text in row.texts:
                end = start + len(text.text)
                crossing = [s for s in spans if s.start < end and s.end > start and (s.start < start or s.end > end)]
                text.spans += [
                    s._replace(start=max(s.start, start) - start, end=min(s.end, end) - start) for s in crossing
                ]
                start = end

    def _label_copies(self, row: Row, text: Text, places) -> None:
        """Put the spans of fields on copies of their text outside the places."""
        known = {
            (fields_of.get(row.raw, path)[span.start : span.end], span.score, span.labeler)
            for path, spans in row.spans.items()
            for span in spans
            if span.labeler not in self._of_texts
            and self.action(span) is not Action.TRAIN
            and not isinstance(span, PutIn)
        }
        unknown = self._placer.unknown(text.text, places) if known else []
        for risky, score, labeler in known if unknown else ():
            for start, end in copies(text.text, unknown, risky):
                text.spans.append(Span(start, end, score, labeler))
                row.inexact |= inexact.SEVERAL

    def _label_rest(self, labeler: Labeler, rest) -> list[list[Span]]:
        """The spans of template pieces. Most pieces repeat in every row, so their spans are cached."""
        if reads_rows(labeler):
            with _by_number([row for row, *_ in rest]):
                return labeler.annotate([piece for *_, piece in rest], [row.raw for row, *_ in rest])
        known = self._rest.setdefault(labeler.name, {})
        if len(known) > _MOST_KNOWN:
            known.clear()
        new = {piece: row for row, *_, piece in rest if piece not in known}
        with _by_number(list(new.values())):
            known.update(zip(new, labeler.annotate(list(new), [{}] * len(new))))
        return [known[piece] for *_, piece in rest]


@contextmanager
def _by_number(rows: list[Row]) -> Iterator[None]:
    """Let a `RowError` about a list of texts name the rows that they are from."""
    try:
        yield
    except RowError as error:
        raise error.moved([row.number for row in rows]) from None
