"""Rows for relearning: rows of the config's data with risky spans of the audited kinds, and nothing of the sample."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..audit.found import finds
from ..errors import SlungError, few, os_errors
from ..evals.audit_file import HELDOUT, TRAINED, AuditSpan
from ..labels.spanned import SpannedText
from ..storage import opener, write_private
from ..training.data.look import BATCH, DataSet
from ..training.data.row_texts import spanned_texts

NAME = "rows.json"
_SOURCES = (
    "path", "name", "split", "data_files", "data_dir", "revision", "ds_type", "trust_remote_code", "shards", "shards_idx",
    "preprocess_shards", "skip",
)  # fmt: skip
"""Keys of an entry that say where its rows are."""


class Sample:
    """What must not be learned again: the sampled spans, and the rows that they are from.

    Args:
        spans: of the audit.

    Attributes:
        kinds: labeler and kind of each span that was in the training data.
    """

    def __init__(self, spans: Sequence[AuditSpan]):
        self.kinds = {(span.labeler, span.kind) for span in spans if span.set == TRAINED}
        self._texts = {span.text.casefold() for span in spans if span.set in (TRAINED, HELDOUT)}
        self._starts = {span.before + span.text for span in spans}

    def shows_in(self, text: str) -> bool:
        """Whether a document has a sampled span in it, or is one that a span was sampled from."""
        folded = text.casefold()
        return any(sampled in folded for sampled in self._texts) or any(map(text.startswith, self._starts))

    def has_part(self, text: str) -> bool:
        """Whether a text is a part of a sampled span, as a surname is of a name."""
        folded = text.casefold()
        return any(folded in sampled for sampled in self._texts)

    def has_kind(self, texts: Sequence[SpannedText], buckets) -> bool:
        """Whether a row has a span of an audited kind."""
        return any((find.labeler, find.kind) in self.kinds for text in texts for find in finds(text, buckets))

    def shown_by(self, texts: Sequence[SpannedText], buckets) -> bool:
        """Whether a row has anything of the sample."""
        return any(self.shows_in(text.text) for text in texts) or any(
            self.has_part(text.text[find.start : find.end]) for text in texts for find in finds(text, buckets)
        )


def kept_rows(sets: Sequence[DataSet], sample: Sample, folder: Path, most: int, seed: int) -> dict[str, Any]:
    """Write rows to learn again as Parquet files that only the owner may read, and rows.json, which describes them.

    Args:
        sets: the config's data sets.
        sample: what is left out.
        folder: for the files.
        most: the number of rows, shared by the data sets according to their sizes. Streams share it evenly.
        seed: of the draw. Of a stream, the first rows are taken.

    Returns:
        `entries` for `datasets:`, the number of `rows`, and how many rows were `read` for them.

    Raises:
        SlungError: no row can be used, or the data cannot be labeled.
    """
    sizes = [one.size for one in sets]
    total = 0 if None in sizes else sum(sizes)
    entries, rows, read, audited = [], 0, 0, 0
    for number, one in enumerate(sets):
        share = most // len(sets) if not total else round(most * one.size / total)
        raw, seen, of_kinds = _drawn(one, sample, max(1, share), seed)
        read += seen
        audited += of_kinds
        if len(raw):
            path = folder / f"rows-{number}.parquet"
            with os_errors(path), open(path, "wb", opener=opener(0o600)) as file:
                raw.to_parquet(file)
            entries.append(entry_of(one.entry, path))
            rows += len(raw)
    if not rows:
        if audited:
            cause = f"{audited} have a span of the audited kinds, but show the sample; draw a smaller audit"
        else:
            kinds = few(sorted({kind or labeler for labeler, kind in sample.kinds}))
            cause = (
                f"the labelers of this config find no span of the audited kinds ({kinds}); correct them, or the data"
            )
        raise SlungError(f"CONFIG: none of the {read} rows read can be learned again: {cause}")
    found = {"entries": entries, "rows": rows, "read": read}
    write_private(folder / NAME, json.dumps(found, indent=2) + "\n")
    return found


def _drawn(one: DataSet, sample: Sample, most: int, seed: int) -> tuple[Dataset, int, int]:
    """Rows that may be learned again, how many were read for them, and how many of these have a span of an audited kind."""
    kept: list = []
    read = audited = 0
    buckets = one.strategy.policy.buckets
    for numbers, batch in _batches(one, seed):
        read += len(next(iter(batch.values())))
        for row in one.strategy.labeled(batch, edited=False, numbers=numbers):
            texts = spanned_texts(row, one.strategy.tokenizer)
            if len(kept) == most or not sample.has_kind(texts, buckets):
                continue
            audited += 1
            if not sample.shown_by(texts, buckets):
                kept.append(numbers[row.number] if one.size is not None else row.source)
        if len(kept) == most:
            break
    if one.size is None:
        return Dataset.from_list(kept, features=one.rows.features), read, audited
    return one.rows.select(sorted(kept)), read, audited


def _batches(one: DataSet, seed: int) -> Iterator[tuple[list[int], Mapping[str, list]]]:
    """Numbers and columns of rows: all rows in random order, or a stream from its start."""
    if one.size is None:
        first = 0
        for batch in one.rows.iter(BATCH):
            count = len(next(iter(batch.values())))
            yield list(range(first, first + count)), batch
            first += count
        return
    order = random.Random(seed).sample(range(one.size), one.size)
    for start in range(0, one.size, BATCH):
        numbers = order[start : start + BATCH]
        yield numbers, one.rows[numbers]


def entry_of(entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """An entry of `datasets:` that reads the rows of this one from a Parquet file."""
    rest = {
        key: value for key, value in json.loads(json.dumps(entry)).items() if key not in _SOURCES and value is not None
    }
    if rest.get("type") in ("pretrain", "completion"):
        rest |= {"type": "completion", "field": rest.pop("text_column", None) or rest.get("field") or "text"}
    return {"path": str(path.resolve()), "ds_type": "parquet", **rest}
