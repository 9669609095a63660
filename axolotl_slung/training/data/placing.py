"""Finds each field of a row in the texts that a strategy made from the row.

First, the row is rendered again with tracked strings. Templates cannot tell these from plain strings. A template may
write a field in another form (as JSON, joined from parts, indented). Such a field is searched for in the rest of the
text, plain and escaped. Text that then belongs to no field is labeled separately.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from ...labeling.rows.fields import Layout, Path, get, replaced, strings
from .following import following
from .places import Placed, uncovered
from .searching import aligned, carried, gaps, meanings, search
from .tagging import RowSeen, TaggingTokenizer, Text
from .tracked import MARKS, Piece, mark, track, unmark

_WORDS = re.compile(r"\w+")


class Placer:
    """Finds the fields of rows.

    Args:
        strategy: Axolotl's strategy.
        call: the strategy's `tokenize_prompt`, for one row.
        tokenizer: the strategy's tokenizer.
        layout: the layout of the rows.

    Attributes:
        loggers: those of the strategy.
    """

    def __init__(self, strategy: Any, call: Callable[[Mapping], object], tokenizer: TaggingTokenizer, layout: Layout):
        self._strategy, self._call, self._tokenizer, self._layout = strategy, call, tokenizer, layout
        makers = (*type(strategy).__mro__, *type(getattr(strategy, "prompter", None)).__mro__)
        self.loggers = [logging.getLogger(name) for name in {kind.__module__ for kind in makers}]
        tokens = {*tokenizer.all_special_tokens, *(str(t) for t in tokenizer.added_tokens_decoder.values())}
        longest_first = sorted(filter(str.strip, tokens), key=len, reverse=True)
        roles = getattr(getattr(strategy, "prompter", None), "roles", None)
        roles = roles.values() if isinstance(roles, Mapping) else ()
        self._own_words = {"system", "user", "assistant", "tool", *roles, *_WORDS.findall(layout.template or "")}
        self._special = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def place(self, row: Mapping, texts: Sequence[Text]) -> tuple[list[list[Placed]], list[list[Placed]], list[str]]:
        """The places of a row's fields in the texts.

        Args:
            row: the row that the strategy got.
            texts: the texts that the strategy tokenized and used.

        Returns:
            For each text, the fields in it. For each text, the possible places of fields that were searched for and
            found in several places. The fields that have no place.
        """
        fields = strings(row, self._layout)
        # one text, which a stream may have cut into several windows
        if len({id(text.text) for text in texts}) == 1:
            same = [path for path, text in fields.items() if text == texts[0].text]
            if len(same) == 1:
                return [[Placed(0, len(texts[0].text), same[0], 0)] for _ in texts], [[] for _ in texts], []
            if places := self._plain(texts[0].text, fields):
                return [list(places) for _ in texts], [[] for _ in texts], []
        tracked = {p: track(text, number) for number, (p, text) in enumerate(fields.items()) if not MARKS.search(text)}
        with following(self._layout.template, self._strategy):
            known = [unmark(text, escaped=True) for text in self._render(replaced(row, tracked))]
        by_text = dict(reversed(known))
        placed, choices, names = [], [], list(fields)
        for text in texts:
            same_number = known[text.number] if text.number < len(known) else ("", [])
            if same_number[0] == text.text:
                pieces = same_number[1]
            elif text.text in by_text:
                pieces = by_text[text.text]
            else:
                pieces = carried(*same_number, text.text)  # the template may write the time, for example
            places = [place for piece in pieces if (place := _placed(piece, names, fields, text.text))]
            found = {place.path for place in places}
            lost = {path: field for path, field in fields.items() if path not in found}
            more, others = search(text.text, gaps(text.text, places), lost) if lost else ([], [])
            placed.append(places + more)
            placed[-1] += self._cut(text.text, placed[-1], fields)
            choices.append(others)
        there = {place.path for of_text in placed for place in of_text}
        return placed, choices, [field for path, field in fields.items() if path not in there]

    def _plain(self, text: str, fields: Mapping[Path, str]) -> list[Placed] | None:
        """The places of all fields, if the text leaves no doubt about them: rendering the row again takes longer.

        Each field is in the text exactly once, no two overlap, and only the template's own words are outside. Then no
        field is written in a second form. A field of the template's own words may be absent, so it is never certain.
        """
        places = []
        for path, field in fields.items():
            start = text.find(field)
            if start < 0 or text.find(field, start + 1) >= 0 or self._own_words.issuperset(_WORDS.findall(field)):
                return None
            places.append(Placed(start, start + len(field), path, 0))
        ordered = sorted(places, key=lambda place: place.start)
        if any(first.end > second.start for first, second in pairwise(ordered)) or self.unknown(text, ordered):
            return None
        return places

    def _cut(self, text: str, places: list[Placed], fields: Mapping[Path, str]) -> list[Placed]:
        """The places of the other parts of fields that were placed only in part, if these parts are in the text."""
        found: list[Placed] = []
        by_path: dict[Path, list[Placed]] = {}
        for place in places:
            by_path.setdefault(place.path, []).append(place)
        for path, of_path in by_path.items():
            if any(place.length == len(fields[path]) for place in of_path):
                continue
            for start, end in uncovered(len(fields[path]), of_path):
                more, _ = search(text, gaps(text, places + found), {path: fields[path][start:end]})
                found += [place._replace(offset=place.offset + start) for place in more]
        return found

    def certain(self, row: Mapping, path: Path, texts: Sequence[Text]) -> list[list[Placed]] | None:
        """The places of one field in each text, from marks in the field. None if marks change the rendered text."""
        field = get(row, path)
        core = field.strip()
        lead = len(field) - len(field.lstrip())
        if MARKS.search(field):
            return None
        marked = field[:lead] + mark(core, 0, lead) + field[lead + len(core) :]
        known = [unmark(text, escaped=True) for text in self._render(replaced(row, {path: marked}))]
        by_text = dict(reversed(known))
        if any(text.text not in by_text for text in texts):
            return None
        places = [[_placed(piece, [path], {path: field}, text.text) for piece in by_text[text.text]] for text in texts]
        return None if any(place is None for of_text in places for place in of_text) else places

    def rest(self, text: str, places: Sequence[Placed]) -> Iterator[tuple[int, str]]:
        """The pieces of a text outside all fields and special tokens that have a letter or digit: `(start, piece)`."""
        for start, end in gaps(text, places):
            cuts = [start, *(at for m in self._special.finditer(text, start, end) for at in m.span()), end]
            for first, last in zip(cuts[::2], cuts[1::2]):
                piece = text[first:last].strip()
                if any(map(str.isalnum, piece)):
                    yield text.index(piece, first), piece

    def unknown(self, text: str, places: Sequence[Placed]) -> list[tuple[int, int]]:
        """The parts `[start, end)` outside all places that contain words other than the template's own."""
        return [
            (start, end)
            for start, end in gaps(text, places)
            if not self._own_words.issuperset(_WORDS.findall(self._special.sub(" ", text[start:end])))
        ]

    def share_outside(self, texts: Sequence[Text], places: Sequence[Sequence[Placed]], field: str) -> float:
        """The share (0 to 1) of a field's words that are in the texts outside all places."""
        words = set(_WORDS.findall(field.casefold()))
        outside = {
            word
            for text, of_text in zip(texts, places)
            for _, piece in self.rest(text.text, of_text)
            for word in _WORDS.findall(piece.casefold())
        }
        return len(words & outside) / len(words) if words else 0.0

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Silence the strategy's loggers. The row is also rendered for training, and its warnings are logged then."""
        before = [logger.disabled for logger in self.loggers]
        for logger in self.loggers:
            logger.disabled = True
        try:
            yield
        finally:
            for logger, disabled in zip(self.loggers, before):
                logger.disabled = disabled

    def _render(self, row) -> list[str]:
        """The texts that the strategy would tokenize for a changed row, up to its first error."""
        with self._tokenizer.rendering() as texts, self._quiet():
            try:
                self._call(row)
            except RowSeen:
                pass
            except Exception:
                pass
        return texts


def _placed(piece: Piece, paths, fields: Mapping[Path, str], text: str) -> Placed | None:
    """A piece as a place, or None if the text there is not the field's text in any known form."""
    path, written = paths[piece.field], text[piece.start : piece.end]
    field = fields[path][piece.offset :]
    if field.startswith(written) or written.casefold() == field[: len(written)].casefold():
        return Placed(piece.start, piece.end, path, piece.offset)
    for meaning, bounds in meanings(written):
        if field.startswith(meaning):
            return Placed(piece.start, piece.end, path, piece.offset, bounds + piece.start)
    bounds = aligned(field, written)
    return None if bounds is None else Placed(piece.start, piece.end, path, piece.offset, bounds + piece.start)
