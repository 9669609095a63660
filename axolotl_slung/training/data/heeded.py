"""Where Axolotl does not do what a row says of training: seen from the row, and from the labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ...labeling.rows.fields import Layout, Path
from . import inexact
from .flags import Flags, Range, Said, length_of, of_strings, parts_of, truth
from .places import Placed
from .row_labels import ADDED
from .row_spans import Row

_FLAG_KEYS = ("train", "training", "weight")
_RANGE_KEYS = ("train_detail", "training_detail")


class Heeded:
    """Compares what rows say with what Axolotl does.

    Args:
        strategy: Axolotl's strategy.
        layout: the layout of its rows.
        weights: keys of weights that a labeler reads, so that it does not matter what Axolotl makes of them.

    Attributes:
        flags: reads the rows.
    """

    def __init__(self, strategy: Any, layout: Layout, weights: Collection[str] = ()):
        self.flags, self._weights = Flags(strategy, layout, weights), weights
        self._left_out = None
        prompter = getattr(strategy, "prompter", None)
        if hasattr(prompter, "field_thinking"):
            field, known = prompter.field_thinking, prompter.chat_template_msg_variables
            if prompter.template_thinking_key in known and field not in {*known, *layout.mapped}:
                self._left_out = field

    def unheeded(self, row: Row) -> int:
        """The sum of the `inexact.UNHEEDED` reasons why Axolotl does not do what a row says. The row has tokens and places."""
        reasons, ranges = 0, {}
        for at, message in self.flags.messages(row.raw):
            said = self.flags.read(message)
            reasons |= self._passed_over(message, said)
            ranges.update(self._in_ranges(at, message, said))
            if said.train is not None and not said.ranges:
                whole = _expected(message.get(self.flags.content), (*at, self.flags.content), [Range(0, 0, True)])
                trained, _, _ = _tokens(row, whole)
                # a template may write a part of a message itself, such as the tags around its thinking
                reasons |= inexact.ELSEWHERE if len(trained) and trained.any() != said.train else 0
        trained, wanted, length = _tokens(row, ranges)
        against = (trained & (wanted == 0)) | (~trained & (wanted == length))
        return reasons | (inexact.ELSEWHERE if against.any() else 0)

    def across(self, row: Row) -> int:
        """The number of a row's tokens that have characters to train and characters not to train, by what it says."""
        ranges = {}
        for at, message in self.flags.messages(row.raw):
            ranges.update(self._in_ranges(at, message, self.flags.read(message)))
        _, wanted, length = _tokens(row, ranges)
        return int(((wanted > 0) & (wanted < length)).sum())

    def _in_ranges(self, at: Path, message: Mapping, said: Said) -> dict[Path, np.ndarray]:
        """What is expected of the texts of a message that have ranges, see `_expected`."""
        found = {}
        for key, ranges in said.ranges.items():
            found.update(_expected(message.get(key), (*at, key), ranges if said.trains else []))
        return found

    def _passed_over(self, message: Mapping, said: Said) -> int:
        """The sum of the reasons that are seen from a message."""
        flags, reasons = self.flags, 0
        for key in _FLAG_KEYS:
            value = message.get(key)
            if key != flags.flag and key not in self._weights and truth(value) is not None:
                reasons |= inexact.UNREAD if _fraction(value) or bool(value) != said.trains else 0
        if any(message.get(key) and key != flags.detail for key in _RANGE_KEYS):
            reasons |= inexact.RANGES_UNREAD
        if flags.flag and flags.flag not in self._weights and _fraction(message.get(flags.flag)):
            reasons |= inexact.FRACTION
        marked = [part for key in said.ranges for _, part in parts_of(message.get(key))]
        detail = message.get(flags.detail) if flags.detail else None
        for one in [*marked, *(detail or [])] if "weight" not in self._weights else ():
            reasons |= inexact.FRACTION if _fraction(one.get("weight")) else 0
            reasons |= inexact.BOTH if one.get("train") and one.get("weight") == 0 else 0
        if detail == [] and said.train is None and not said.trains and said.by_role:
            reasons |= inexact.EMPTY
        if detail:
            ranges = said.ranges[flags.content]
            reasons |= (
                inexact.OVERRULED if ranges[0].of_part else _of_ranges(ranges, length_of(message.get(flags.content)))
            )
        others = {flags.content, flags.thinking, "tool_calls"} - said.ranges.keys()
        if said.ranges and said.trains and any(message.get(key) for key in others):
            reasons |= inexact.REST
        if marked and said.train is None and not said.by_role:
            told = [part.get("train") if part.get("train") is not None else part.get("weight") for part in marked]
            reasons |= inexact.ROLE if None in told or not any(told) else 0
        return reasons | (inexact.THINKING if self._left_out and message.get(self._left_out) else 0)


def _fraction(value: Any) -> bool:
    return truth(value) is not None and value not in (0, 1)


def _of_ranges(ranges: Sequence[Range], length: int) -> int:
    """The sum of the reasons that are seen from the ranges of a text of this length."""
    outside = any(one.start >= min(one.end, length) or one.end <= 0 for one in ranges)
    differ = any(
        one.train != other.train and max(one.start, other.start) < min(one.end, other.end)
        for number, one in enumerate(ranges)
        for other in ranges[:number]
    )
    return (inexact.OUT_OF_TEXT if outside else 0) | (inexact.OVERLAP if differ else 0)


def _expected(value: Any, path: Path, ranges: Sequence[Range]) -> dict[Path, np.ndarray]:
    """For each string of a text, whether each of its characters is to be trained, bool `[characters]`."""
    trained = np.zeros(length_of(value), dtype=bool)
    for one in ranges:
        if one.train:
            trained[max(one.start, 0) : max(one.end, 0)] = True
    return of_strings(value, path, trained)


def _tokens(row: Row, expected: Mapping[Path, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of a row of which all characters are in these texts.

    Returns:
        Whether Axolotl trains the token, bool `[tokens]`, its number of characters that are to be trained and its number
        of characters, both int64 `[tokens]`.
    """
    found = [(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    if not expected:
        return found[0]
    trained = np.zeros(max((text.first + len(text.ids) for text in row.texts), default=0), dtype=bool)
    used = np.zeros_like(trained)
    for part in row.parts:
        own = part.places != ADDED
        used[part.places[own]] = True
        trained[part.places[own]] = part.trained[own]
    for text, places in zip(row.texts, row.places):
        inside, wanted = np.zeros((2, len(text.text)), dtype=bool)
        for place in places:
            if place.path in expected:
                chars = np.arange(place.start, place.end)
                of_place = expected[place.path][place.offset : place.offset + place.length]
                inside[chars] = True
                wanted[chars] = of_place if place.bounds is None else _spread(of_place, place, len(chars))
        starts, ends = np.asarray(text.offsets, dtype=np.int64).reshape(-1, 2).T
        sums = [np.concatenate([[0], np.cumsum(flags)]) for flags in (inside, wanted)]
        known, ones = (of_flags[ends] - of_flags[starts] for of_flags in sums)
        here = slice(text.first, text.first + len(text.ids))
        chosen = used[here] & (starts < ends) & (known == ends - starts)
        found.append((trained[here][chosen], ones[chosen], (ends - starts)[chosen]))
    return tuple(map(np.concatenate, zip(*found)))  # pyright: ignore[reportReturnType] - of three columns


def _spread(of_field: np.ndarray, place: Placed, length: int) -> np.ndarray:
    """Flags of a field's characters as flags of the prompt's, for a field that is written in escapes, bool `[length]`."""
    spread = np.zeros(length, dtype=bool)
    for (start, end), flag in zip(place.bounds - place.start, of_field):
        spread[start:end] = flag
    return spread
