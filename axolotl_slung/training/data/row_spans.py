"""The spans of rows: those of each field, moved into the texts, and those outside the fields."""

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
"""Keys inside messages that errors may name. They belong to the chat formats, never to the data."""

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
        from_columns: the fields whose spans come from a column.
        number: the row's index in the batch.
        inexact: the sum of the reasons why the row is not exact, see `inexact.REASONS`.
        removed: the number of trainable tokens that actions on text removed from it, and from dropped rows before it.
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
        self._label_fields(rows)
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

    def _label_fields(self, rows: list[Row]) -> None:
        """Put the spans of fields into their rows. Fields that are in no text of the row are not labeled."""
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
        """Label the texts that fields imply besides their own, see `meant`."""
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
        """The spans of each text. Equal texts are labeled once if the labeler reads only the text."""
        if reads_rows(labeler):
            return labeler.annotate(texts, [fields_of.surroundings(row.raw, path) for row, path in wanted])
        different = list(dict.fromkeys(texts))
        spans = dict(zip(different, labeler.annotate(different, [{}] * len(different))))
        return [spans[text] for text in texts]

    def _read_columns(self, labeler: Labeler, rows: list[Row]) -> None:
        """Put the spans of a column into the rows."""
        name = labeler.text_field or self.policy.text_field
        if name is None:
            raise SlungDataError(
                f"{labeler.key}.text_field: not set: a data set of this type ({self.policy.where}) has several texts; "
                "name the column whose characters the spans count"
            )
        column = getattr(labeler, "field", None)
        anywhere = labeler.text_field is not None or self.layout.messages is None
        wanted = []
        for row in rows:
            source = self.layout.opened(row.source)
            found = list(described(source, name, column, self.layout, anywhere))
            if column and (missed := without_text(source, column, found)):
                raise SlungDataError(
                    f"{labeler.key}.text_field: {describe_row(row.number, row.raw)}, {_spelled(missed)}: these spans "
                    f"have no text {name!r}; name the key of their text, or remove the spans"
                )
            wanted += [(row, one) for one in found]
        texts, beside = [one.text for _, one in wanted], [one.row for _, one in wanted]
        for (row, one), found in zip(wanted, labeler.annotate(texts, beside)):
            for path, bounds in one.fields:
                row.spans.setdefault(path, []).extend(within(bounds, found))
                row.from_columns.add(path)

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
        """Raise `SlungDataError` if the template changes the field of a column of spans, or does not render it."""
        field = fields_of.get(row.raw, path)
        where = f"{self.policy.where}: {describe_row(row.number, row.raw)}, {_spelled(path)}"
        if self._placer.share_outside(row.texts, row.places, field) >= 0.5:
            raise SlungDataError(
                f"{where}: its column of spans cannot be placed: the data set's chat_template or type changes this "
                "text; use another one, or move the text to a field that it writes unchanged"
            )
        if not self.layout.renders(path):
            raise SlungDataError(
                f"{where}: its column of spans has no text in the prompt: the data set's chat_template does not write "
                "this field; remove the column, or use a template that writes the field"
            )

    # spans of texts

    def _label_texts(self, rows: list[Row]) -> None:
        """Put spans into every text: those of its fields, and those found outside its fields."""
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
        found = labeler.annotate([text.text for _, text in whole], [row.raw for row, _ in whole])
        for (_, text), spans in zip(whole, found):
            text.spans += spans

    def _label_seams(self, labeler: Labeler, rows: list[Row]) -> None:
        """Find spans that cross the edges of texts. A strategy may tokenize texts separately and join them."""
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
        """Put the spans of fields on copies of their text outside the places."""
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
        """The spans of template pieces. Most pieces repeat in every row, so their spans are cached."""
        if reads_rows(labeler):
            return labeler.annotate([piece for *_, piece in rest], [row.raw for row, *_ in rest])
        known = self._rest.setdefault(labeler.name, {})
        if len(known) > _MOST_KNOWN:
            known.clear()
        new = list(dict.fromkeys(piece for *_, piece in rest if piece not in known))
        known.update(zip(new, labeler.annotate(new, [{}] * len(new))))
        return [known[piece] for *_, piece in rest]


def reads_rows(labeler: Labeler) -> bool:
    """Whether a labeler may read more than the text. A custom class also gets the row."""
    return isinstance(labeler, CustomLabeler) and not labeler.cached


def _spelled(path: fields_of.Path) -> str:
    """A path as text, such as `messages[1].content`. Keys of the data are written as `*`."""
    spelled = []
    for depth, key in enumerate(path):
        if isinstance(key, int):
            spelled.append(f"[{key}]")
        else:  # deeper keys belong to the data and may be names
            known = depth == 0 or (depth == 2 and isinstance(path[1], int)) or key in _CALL_KEYS
            spelled.append(f".{key}" if known and not isinstance(key, fields_of.Key) else ".*")
    return "".join(spelled).lstrip(".")
