"""The spans of rows: what the labelers find in each field, where that stands in the texts, and what is found besides."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...labeling.base import Labeler, Span
from ...labeling.custom import CustomLabeler
from ...labeling.spans import describe_row
from ...labels.buckets import Action
from ...labels.tokens import buckets_of
from . import fields as fields_of
from . import inexact
from .columns import described, within, without_text
from .meant import meant_by, meant_together
from .placing import Placer
from .policy import Policy
from .row_labels import Part, SlungDataError
from .searching import copies
from .tagging import Text

_CALL_KEYS = ("function", "arguments", "parameters", "text", "content", "value", "spans")
"""Keys inside messages that errors may name: those of the formats of chats, and none of the data's own."""

_MOST_KNOWN = 10_000
"""Spans are kept for at most this many pieces of templates."""


@dataclass
class Row:
    """One raw row on its way to labels.

    Attributes:
        raw: as the data set has it, or with edited texts; its JSON strings read.
        source: the same, its JSON strings as they are.
        parts: what the strategy made of it.
        texts: what the strategy tokenized.
        places: the fields in each text.
        choices: in each text, the other places where a field that was searched for may stand as well.
        lost: fields that stand in none of the texts as far as could be seen.
        spans: of each field.
        from_columns: fields with spans from a column beside them.
        number: its place in the batch.
        inexact: why the row is not exact, see `inexact.REASONS`.
    """

    raw: dict
    source: dict = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    places: list[list[fields_of.Placed]] = field(default_factory=list)
    choices: list[list[fields_of.Placed]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    spans: dict[fields_of.Path, list[Span]] = field(default_factory=dict)
    from_columns: set[fields_of.Path] = field(default_factory=set)
    number: int = 0
    inexact: int = 0


class RowSpans:
    """Labels rows.

    Args:
        policy: how the data set is labeled.
        layout: of the rows.
        placer: finds their fields.
    """

    def __init__(self, policy: Policy, layout: fields_of.Layout, placer: Placer):
        self.policy, self.layout, self._placer = policy, layout, placer
        # these search every text whole, and so find all copies by themselves
        self._of_texts = {labeler.name for labeler in policy.labelers if labeler.scope == "text"}
        self._rest: dict[str, dict[str, list[Span]]] = {}

    def __getstate__(self):
        return {**self.__dict__, "_rest": {}}

    def find(self, rows: list[Row]) -> None:
        """Label rows that have their texts and places: their fields, then all of their texts."""
        self._label_fields(rows)
        self.put(rows)

    def put(self, rows: list[Row]) -> None:
        """Put the spans of rows whose fields are labeled into their texts, with what is found outside of the fields."""
        for row in rows:
            self._settle(row)
        self._label_texts(rows)

    def action(self, span: Span) -> Action:
        """What happens to a span's tokens."""
        return self.policy.buckets[buckets_of(span.score, self.policy.buckets)].action

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
        for labeler in self.policy.labelers:
            if labeler.reads_row:
                self._read_columns(labeler, rows)
                continue
            texts = [fields_of.get(row.raw, path) for row, path in wanted]
            for (row, path), found in zip(wanted, self._annotated(labeler, texts, wanted)):
                row.spans[path] += found
            if labeler.scope == "document":
                self._label_meant(labeler, wanted, texts, rows)

    def _label_meant(self, labeler: Labeler, wanted, texts: list[str], rows: list[Row]) -> None:
        """Label what fields mean besides their own text."""
        meant = [(row, path, one) for (row, path), text in zip(wanted, texts) for one in meant_by(path, text)]
        meant += [(row, one.fields[0][0], one) for row in rows for one in meant_together(row.raw, self.layout)]
        where = [(row, path) for row, path, _ in meant]
        for (row, _, one), found in zip(meant, self._annotated(labeler, [one.text for *_, one in meant], where)):
            for path, span in one.moved(found):
                if path in row.spans:
                    row.spans[path].append(span)

    def _annotated(
        self, labeler: Labeler, texts: list[str], wanted: list[tuple[Row, fields_of.Path]]
    ) -> list[list[Span]]:
        """The spans of texts. Equal texts are labeled once if the labeler reads nothing else."""
        if reads_rows(labeler):
            return labeler.annotate(texts, [fields_of.surroundings(row.raw, path) for row, path in wanted])
        different = list(dict.fromkeys(texts))
        spans = dict(zip(different, labeler.annotate(different, [{}] * len(different))))
        return [spans[text] for text in texts]

    def _read_columns(self, labeler: Labeler, rows: list[Row]) -> None:
        """Put the spans of a column beside the texts into the rows."""
        name = labeler.text_field or self.policy.text_field
        if name is None:
            raise SlungDataError(
                f"{labeler.key}.text_field: a data set of this type ({self.policy.where}) has several texts; name the column "
                "that the spans count characters of"
            )
        column = getattr(labeler, "field", None)
        anywhere = labeler.text_field is not None or self.layout.messages is None
        wanted = []
        for row in rows:
            source = self.layout.opened(row.source)
            found = list(described(source, name, column, self.layout, anywhere))
            if column and (missed := without_text(source, column, found)):
                raise SlungDataError(
                    f"{labeler.key}.text_field: {describe_row(row.number, row.raw)}, {_spelled(missed)}: found no text "
                    f"{name!r} for these spans; name the key of their text, or take the spans out"
                )
            wanted += [(row, one) for one in found]
        texts, beside = [one.text for _, one in wanted], [one.row for _, one in wanted]
        for (row, one), found in zip(wanted, labeler.annotate(texts, beside)):
            for path, bounds in one.fields:
                row.spans.setdefault(path, []).extend(within(bounds, found))
                row.from_columns.add(path)

    def _settle(self, row: Row) -> None:
        """Find the place of fields that have spans with a consequence and no certain place yet."""
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
        """Raise `SlungDataError` if the text of a column of spans has no place and may be, or should be, rendered."""
        field = fields_of.get(row.raw, path)
        where = f"{self.policy.where}: {describe_row(row.number, row.raw)}, {_spelled(path)}"
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

    # spans of texts

    def _label_texts(self, rows: list[Row]) -> None:
        """Put the spans of every text into it: those of its fields, and what is found outside of them."""
        whole, rest = [], []
        for row in rows:
            for text, places in zip(row.texts, row.places):
                by_path: dict[fields_of.Path, list[fields_of.Placed]] = {}
                for place in places:
                    by_path.setdefault(place.path, []).append(place)
                text.spans = [
                    s for path, of in by_path.items() for s in fields_of.moved(row.spans.get(path, []), of, text.text)
                ]
                self._label_copies(row, text, places)
                if not (len(places) == 1 and (places[0].start, places[0].end) == (0, len(text.text))):
                    whole.append((row, text))
                    rest += [(row, text, at, piece) for at, piece in self._placer.rest(text.text, places)]
        if any(labeler.scope == "document" and not labeler.reads_row for labeler in self.policy.labelers):
            for row in rows:
                # of names and short values a template's own words may be had by chance
                long = (text for text in row.lost if " " in text.strip())
                if any(self._placer.share_outside(row.texts, row.places, text) >= 0.8 for text in long):
                    row.inexact |= inexact.CHANGED
        for labeler in self.policy.labelers:
            if labeler.reads_row:
                continue
            if labeler.scope == "text":
                self._label_whole(labeler, whole)
                # windows of one text share it: they are not neighbors
                self._label_seams(labeler, [row for row in rows if len({id(text.text) for text in row.texts}) > 1])
                continue
            for (row, text, at, _), spans in zip(rest, self._label_rest(labeler, rest)):
                text.spans += [s._replace(start=s.start + at, end=s.end + at) for s in spans]
                row.inexact |= inexact.OUTSIDE if any(self.action(s) is not Action.TRAIN for s in spans) else 0

    def _label_whole(self, labeler: Labeler, whole: list[tuple[Row, Text]]) -> None:
        found = labeler.annotate([text.text for _, text in whole], [row.raw for row, _ in whole])
        for (_, text), spans in zip(whole, found):
            text.spans += spans

    def _label_seams(self, labeler: Labeler, rows: list[Row]) -> None:
        """Find spans across the edges of texts that a strategy tokenizes separately and then joins."""
        joined = ["".join(text.text for text in row.texts) for row in rows]
        for row, spans in zip(rows, labeler.annotate(joined, [row.raw for row in rows])):
            start = 0
            for text in row.texts:
                end = start + len(text.text)
                crossing = [s for s in spans if s.start < end and s.end > start and (s.start < start or s.end > end)]
                text.spans += [
                    s._replace(start=max(s.start, start) - start, end=min(s.end, end) - start) for s in crossing
                ]
                start = end

    def _label_copies(self, row: Row, text: Text, places) -> None:
        """Put the spans of fields on copies of their text that were not placed."""
        known = {
            (fields_of.get(row.raw, path)[span.start : span.end], span.score, span.labeler)
            for path, spans in row.spans.items()
            for span in spans
            if span.labeler not in self._of_texts and self.action(span) is not Action.TRAIN
        }
        unknown = self._placer.unknown(text.text, places) if known else []
        for risky, score, labeler in known if unknown else ():
            for start, end in copies(text.text, unknown, risky):
                text.spans.append(Span(start, end, score, labeler))
                row.inexact |= inexact.SEVERAL

    def _label_rest(self, labeler: Labeler, rest) -> list[list[Span]]:
        """The spans of pieces of templates. Most pieces repeat in every row, so their spans are kept."""
        if reads_rows(labeler):
            return labeler.annotate([piece for *_, piece in rest], [row.raw for row, *_ in rest])
        known = self._rest.setdefault(labeler.name, {})
        if len(known) > _MOST_KNOWN:
            known.clear()
        new = list(dict.fromkeys(piece for *_, piece in rest if piece not in known))
        known.update(zip(new, labeler.annotate(new, [{}] * len(new))))
        return [known[piece] for *_, piece in rest]


def reads_rows(labeler: Labeler) -> bool:
    """Whether a labeler may look at more than the text: a custom class also gets the row."""
    return isinstance(labeler, CustomLabeler) and not labeler.cached


def _spelled(path: fields_of.Path) -> str:
    """A path as one writes it: `messages[1].content`."""
    spelled = []
    for depth, key in enumerate(path):
        if isinstance(key, int):
            spelled.append(f"[{key}]")
        else:  # keys further in are the data's own, and may be names
            known = depth == 0 or (depth == 2 and isinstance(path[1], int)) or key in _CALL_KEYS
            spelled.append(f".{key}" if known and not isinstance(key, fields_of.Key) else ".*")
    return "".join(spelled).lstrip(".")
