"""What a row itself says of training: flags of messages, parts and segments, and ranges of characters.

Axolotl reads them, and its labels follow them. They are checked before that, because Axolotl takes any string for true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...labeling.rows.fields import Layout, Path, spelled
from ...labeling.spans import is_finite


class Range(NamedTuple):
    """The characters `[start, end)` of a text, and whether they are trained. `of_part`: they are a content part."""

    start: int
    end: int
    train: bool
    of_part: bool = False


class Said(NamedTuple):
    """What a message says, as Axolotl reads it.

    Attributes:
        train: its own flag, or None.
        ranges: for the keys of its texts, the ranges in it. A text without any is left out.
        trains: whether Axolotl trains any of it.
        by_role: whether Axolotl would train it if it said nothing.
    """

    train: bool | None
    ranges: dict[str, list[Range]]
    trains: bool
    by_role: bool


class Flags:
    """Reads the flags of a strategy's rows. It finds none in the rows of a strategy that reads none.

    Args:
        strategy: Axolotl's strategy.
        layout: the layout of its rows.
        weights: keys of weights that a labeler reads.

    Attributes:
        weights: as given.
        flag, detail: the keys of a message's flag and of its ranges, or None.
        content, thinking: the keys of a message's texts.
    """

    flag: str | None = None
    detail: str | None = None

    def __init__(self, strategy: Any, layout: Layout, weights: Collection[str] = ()):
        self.weights = weights
        prompter = getattr(strategy, "prompter", None)
        self._segments = type(strategy).__module__ == "axolotl.prompt_strategies.input_output"
        self._messages = layout.messages if hasattr(prompter, "message_field_training") else None
        if self._messages is None:
            return
        mappings = prompter.message_property_mappings
        self.flag, self.detail = prompter.message_field_training, prompter.message_field_training_detail
        self._role, self.content = mappings.get("role", "role"), mappings.get("content", "content")
        self.thinking = mappings.get(prompter.template_thinking_key, prompter.template_thinking_key)
        self._roles, self._aliases = frozenset(strategy.roles_to_train), dict(prompter.roles)
        self._everyone = strategy.train_on_inputs

    def problem(self, row: Mapping) -> str | None:
        """What is wrong with the first flag or range that is not one, without its value. None if all are right.

        Args:
            row: a row whose JSON is parsed.
        """
        for path, value in self._values(row):
            if self._is_detail(path):
                if not self._are_ranges(value):
                    return (
                        f"{spelled(path)}: not a list of ranges; give each `begin_offset` and `end_offset`, which are "
                        "whole numbers, `train`, which is true or false, and, if you like, a number as its weight"
                    )
            elif truth(value) is None:
                return (
                    f"{spelled(path[:-1])}.{path[-1]}: not true, false or a number, and Axolotl would train that text whatever it says; "
                    "write true, false, 0 or 1, or leave it out"
                )
        return None

    def count(self, row: Mapping) -> Counter:
        """The number of flags and ranges, by what they say, such as `messages with train: false`."""
        counts: Counter = Counter()
        for path, value in self._values(row):
            if self._is_detail(path):
                counts.update(f"ranges with train: {_written(bool(one['train']))}" for one in value)
            else:
                what = path[0] if self._segments else "messages" if len(path) == 3 else "parts"
                counts[f"{what} with {path[-1]}: {_written(value)}"] += 1
        return counts

    def without(self, row: Mapping) -> dict:
        """The row without its flags and ranges. All its segments are trained."""
        if self._segments:
            return {**row, "segments": [{**segment, "label": True} for segment in row["segments"]]}
        messages = []
        for _, message in self.messages(row):
            plain = {key: value for key, value in message.items() if key not in (self.flag, self.detail)}
            for key in (self.content, self.thinking):
                if isinstance(plain.get(key), list):
                    plain[key] = [_plain(part) for part in plain[key]]
            messages.append(plain)
        return {**row, str(self._messages): messages} if messages else dict(row)

    def messages(self, row: Mapping) -> Iterator[tuple[Path, Mapping]]:
        """The messages of a row, with their paths."""
        messages = row.get(self._messages) if self._messages else None
        for number, message in enumerate(messages if isinstance(messages, (list, tuple)) else ()):
            if isinstance(message, Mapping):
                yield (str(self._messages), number), message

    def read(self, message: Mapping) -> Said:
        """What a message says. Its flags and ranges have no `problem`."""
        own = message.get(self.flag) if self.flag else None
        detail = message.get(self.detail) if self.detail else None
        ranges = {}
        for key in (self.content, self.thinking):
            if any(part.get(name) is not None for _, part in parts_of(message.get(key)) for name in _OF_PARTS):
                ranges[key] = list(_of_parts(message[key]))
        if detail and self.content not in ranges:
            ranges[self.content] = [
                Range(int(one["begin_offset"]), int(one["end_offset"]) + 1, bool(one["train"])) for one in detail
            ]
        role = message.get(self._role)
        by_role = bool(self._everyone) or (isinstance(role, str) and self._aliases.get(role, role) in self._roles)
        if own is not None:
            trains = bool(own)
        elif detail is not None or ranges:
            trains = any(ranges.values())
        else:
            trains = by_role
        return Said(None if own is None else bool(own), ranges, trains, by_role)

    def read_by_axolotl(self) -> set[str]:
        """The keys of messages and parts that Axolotl reads as flags or ranges."""
        return {*_OF_PARTS, *filter(None, (self.flag, self.detail))}

    def weights_of_ranges(self, row: Mapping) -> dict[Path, np.ndarray]:
        """For each string that ranges with a weight count, the weight of each character, float64 `[characters]`."""
        found: dict[Path, np.ndarray] = {}
        for at, message in self.messages(row) if self.detail and self.weights else ():
            weights = np.ones(length_of(message.get(self.content)))
            path = (*at, self.content)
            for one in message.get(self.detail) or () if self._counts(message) else ():
                for key in self.weights:
                    first, last = max(int(one["begin_offset"]), 0), max(int(one["end_offset"]) + 1, 0)
                    weights[first:last] *= 1.0 if one.get(key) is None else float(one[key])
            if (weights != 1).any():
                found.update(of_strings(message[self.content], path, weights))
        return found

    def counts(self, row: Mapping, path: Path) -> bool:
        """Whether ranges count characters of the string at `path`. Those of parts with flags move with their parts."""
        for at, message in self.messages(row):
            if path[:2] == at and path[2:3] == (self.content,):
                return self._counts(message)
        return False

    def _counts(self, message: Mapping) -> bool:
        """Whether Axolotl uses the ranges of a message."""
        return any(not one.of_part for one in self.read(message).ranges.get(self.content, ()))

    def _values(self, row: Mapping) -> Iterator[tuple[Path, Any]]:
        """The values that Axolotl reads as flags or ranges and that are not None, with their paths."""
        if self._segments:
            for number, segment in enumerate(row.get("segments") or []):
                if segment.get("label") is not None:
                    yield ("segments", number, "label"), segment["label"]
        for at, message in self.messages(row):
            for key in (self.flag, self.detail):
                if key and message.get(key) is not None:
                    yield (*at, key), message[key]
            for key in (self.content, self.thinking):
                for number, part in parts_of(message.get(key)):
                    for name in _OF_PARTS:
                        if part.get(name) is not None:
                            yield (*at, key, number, name), part[name]

    def _are_ranges(self, value: Any) -> bool:
        whole, numbers = ("begin_offset", "end_offset"), ("weight", *self.weights)
        return isinstance(value, (list, tuple)) and all(
            isinstance(one, Mapping)
            and all(truth(one.get(key)) is not None and one[key] == int(one[key]) for key in whole)
            and truth(one.get("train")) is not None
            and all(one.get(key) is None or truth(one[key]) is not None for key in numbers)
            for one in value
        )

    def _is_detail(self, path: Path) -> bool:
        return not self._segments and len(path) == 3 and path[-1] == self.detail


_OF_PARTS = ("train", "weight")


def truth(value: Any) -> bool | None:
    """The truth of a boolean or a finite number, None for anything else."""
    return bool(value) if isinstance(value, (bool, int, float)) and is_finite(value) else None


def parts_of(value: Any) -> Iterator[tuple[int, Mapping]]:
    """The content parts of a message's text, with their numbers."""
    for number, part in enumerate(value if isinstance(value, (list, tuple)) else ()):
        if isinstance(part, Mapping):
            yield number, part


def text_of(part: Mapping) -> tuple[str, str]:
    """The text of a part and its key: the one that Axolotl reads."""
    key = next((key for key in ("text", "content", "value") if part.get(key)), "text")
    return part.get(key) or "", key


def length_of(value: Any) -> int:
    """The number of characters of a message's text, which may have parts."""
    return len(value) if isinstance(value, str) else sum(len(text_of(part)[0]) for _, part in parts_of(value))


def of_strings(value: Any, path: Path, of_characters: np.ndarray) -> dict[Path, np.ndarray]:
    """What is known of each character of a message's text, for each of its strings.

    Args:
        value: the text, a string or content parts.
        path: its path.
        of_characters: `[characters]`.
    """
    if isinstance(value, str):
        return {path: of_characters}
    found, start = {}, 0
    for number, part in parts_of(value):
        text, name = text_of(part)
        found[*path, number, name] = of_characters[start : start + len(text)]
        start += len(text)
    return found


def _of_parts(value: Sequence) -> Iterator[Range]:
    start = 0
    for _, part in parts_of(value):
        end = start + len(text_of(part)[0])
        flag = part.get("train") if part.get("train") is not None else part.get("weight")
        yield Range(start, end, flag is None or bool(flag), of_part=True)
        start = end


def _plain(part: Any) -> Any:
    return {k: value for k, value in part.items() if k not in _OF_PARTS} if isinstance(part, Mapping) else part


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if value in (0, 1) else "another number"
