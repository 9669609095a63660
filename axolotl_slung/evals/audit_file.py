"""Reads the folder that `slung audit` writes: the sampled spans, the occurrences of entities, and what was drawn.

The folder holds risky text. No error here quotes it: errors name a file, a line and a key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FileError, few, kind_of, os_errors

FORMAT = 1
SPANS, ENTITIES, ABOUT = "spans.jsonl", "entities.jsonl", "audit.json"
"""The files of the folder."""

TRAINED, HELDOUT, LOW_RISK = SETS = ("trained", "heldout", "low_risk")
PREFIXES = ("25", "50", "100", "whole")
"""Lengths of the text in front of a span, in tokens."""

FREQUENCIES = ("once", "few", "often")

_FIX = "draw the audit again with `slung audit`"


def frequency_of(count: int) -> str:
    """The class of a number of occurrences: `once` (1), `few` (2 to 9) or `often` (10 and more)."""
    return FREQUENCIES[(count > 1) + (count > 9)]


def span_id(salt: str, of_set: str, labeler: str, kind: str, text: str) -> str:
    """The id of a span: 16 hex digits. Without the salt, a list of names does not give the ids back.

    Args:
        salt: hex digits, from audit.json.
        of_set, labeler, kind, text: of the span.
    """
    parts = json.dumps([of_set, labeler, kind, text]).encode()
    return hashlib.blake2b(parts, key=bytes.fromhex(salt), digest_size=8).hexdigest()


@dataclass(frozen=True)
class AuditSpan:
    """One sampled span: a line of spans.jsonl, with the keys in this order.

    Attributes:
        id: see `span_id`.
        set: one of `SETS`: in the training data, in rows that were never trained on, or a stretch of low-risk text of
            the training data.
        labeler: its name; empty for low-risk stretches.
        kind: the kind that the labeler gave, else the labeler's name; `low_risk` for low-risk stretches.
        bucket: the index of its bucket.
        action: of its bucket.
        count: occurrences of the text in the data of its set. `frequency`: their class.
        text: the span.
        before: all text in front of it in its document, as the model sees it.
        prefixes: for each of `PREFIXES` that `before` has, where in `before` its last so many tokens begin, in
            characters. `whole` is always 0.
        after: low-risk text that follows the span, up to 100 tokens and up to the next risky span. May be empty.
        decoys: other texts of its kind. The real ones come first.
        decoys_made: how many decoys, at the end of the list, are made up. These occur nowhere in the data.
    """

    id: str
    set: str
    labeler: str
    kind: str
    bucket: int
    action: str
    count: int
    frequency: str
    text: str
    before: str
    prefixes: Mapping[str, int]
    after: str
    decoys: tuple[str, ...]
    decoys_made: int

    def prefix(self, length: str) -> str | None:
        """The end of `before` with this length, one of `PREFIXES`. None if `before` is shorter."""
        return self.before[self.prefixes[length] :] if length in self.prefixes else None


@dataclass(frozen=True)
class Entity:
    """One occurrence of an entity that the data names often: a line of entities.jsonl.

    Attributes:
        id: the same for all occurrences of the entity. The `id` of its span, if that was sampled.
        kind: as in `AuditSpan`.
        before, text, after: all text in front of it in its document, the span, and up to 100 tokens that follow it.
    """

    id: str
    kind: str
    before: str
    text: str
    after: str


def read_spans(folder: str | Path) -> list[AuditSpan]:
    """The sampled spans of an audit folder, in the file's order.

    Raises:
        FileError: a file is missing, or not as `slung audit` writes it.
    """
    path = Path(folder, SPANS)
    spans: dict[str, AuditSpan] = {}
    for number, row in _rows(path):
        if problem := _problem(row, AuditSpan) or _span_problem(row):
            raise FileError(f"{path}: line {number}: {problem}; {_FIX}")
        span = AuditSpan(**{**row, "decoys": tuple(row["decoys"])})
        if spans.setdefault(span.id, span) is not span:
            raise FileError(f"{path}: line {number}: `id` of an earlier line; {_FIX}")
    if not spans:
        raise FileError(f"{path}: no spans in it; {_FIX}")
    return list(spans.values())


def only_heldout(spans: Sequence[AuditSpan]) -> set[str]:
    """The labelers whose spans are all of held-out rows: they had nothing to label in the training data."""
    labelers = {of_set: {span.labeler for span in spans if span.set == of_set} for of_set in (TRAINED, HELDOUT)}
    return labelers[HELDOUT] - labelers[TRAINED]


def read_entities(folder: str | Path) -> list[Entity]:
    """The occurrences of entities of an audit folder, in the file's order. Empty if no text occurs often enough.

    Raises:
        FileError: the file is missing, or not as `slung audit` writes it.
    """
    path, found = Path(folder, ENTITIES), []
    for number, row in _rows(path):
        if problem := _problem(row, Entity):
            raise FileError(f"{path}: line {number}: {problem}; {_FIX}")
        found.append(Entity(**row))
    return found


def read_about(folder: str | Path) -> dict[str, Any]:
    """The content of audit.json. It has no risky text.

    Raises:
        FileError: the file is missing, or not as `slung audit` writes it.
    """
    path = Path(folder, ABOUT)
    with os_errors(path):
        content = path.read_bytes()
    about = _json(content)
    if not isinstance(about, dict) or not {"salt", "seed", "provenance", "counts"} <= about.keys():
        raise FileError(f"{path}: is not what `slung audit` writes; {_FIX}")
    if about.get("format") != FORMAT:
        raise FileError(f"{path}: format: is not {FORMAT}, the one that this version reads; {_FIX}")
    return about


def _rows(path: Path) -> Iterator[tuple[int, dict]]:
    with os_errors(path), open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            row = _json(line)
            if not isinstance(row, dict):
                raise FileError(f"{path}: line {number}: is not a JSON object; {_FIX}")
            yield number, row


def _json(content: bytes) -> Any:
    """The value, or None for what is not JSON. An exception would hold the content."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


_TYPES = {"str": str, "int": int, "Mapping[str, int]": dict, "tuple[str, ...]": list}


def _problem(row: dict, kind: type[AuditSpan] | type[Entity]) -> str | None:
    """What is wrong with a row's keys and the types of its values."""
    wanted = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    if missing := [name for name in wanted if name not in row]:
        return f"no {few(missing)}"
    if len(row) > len(wanted):
        return f"{len(row) - len(wanted)} keys too many"
    for name, its in wanted.items():
        if not isinstance(row[name], its) or isinstance(row[name], bool):
            return f"`{name}` is {kind_of(row[name])}"
    return None


def _span_problem(row: dict) -> str | None:
    """What is wrong with the values of a sampled span."""
    starts = row["prefixes"]
    if row["set"] not in SETS:
        return f"`set` is not one of {few(SETS)}"
    if not row["text"]:
        return "`text` is empty"
    if row["count"] < 1 or row["frequency"] != frequency_of(row["count"]):
        return "`frequency` does not fit `count`"
    if starts.get("whole") != 0 or not starts.keys() <= {*PREFIXES}:
        return f"`prefixes` are not among {few(PREFIXES)}, with whole: 0"
    if not all(type(start) is int and 0 <= start <= len(row["before"]) for start in starts.values()):
        return "`prefixes` lie outside `before`"
    if not all(isinstance(decoy, str) and decoy and decoy != row["text"] for decoy in row["decoys"]):
        return "`decoys` are not other texts"
    if not 0 <= row["decoys_made"] <= len(row["decoys"]):
        return "`decoys_made` is not a number of decoys"
    return None
