"""`slung label -c config.yml` without inputs: the config's own data sets as sources, and their job."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import dill

from ..config import SlungConfig
from ..corpus.chunks import Chunk, cut
from ..corpus.job import Job, Labeled
from ..corpus.sources import Source
from ..corpus.tables import SourceError
from ..labeling.base import Labeler
from ..labeling.blocks import SpansConfig
from ..labeling.rows.fields import Layout


class DataSetRows:
    """The rows of a data set as lines of JSON, from a position on; see `corpus.chunks.Reader`."""

    def __init__(self, rows: Any, size: int, begin: Mapping):
        self._rows, self._size = rows, size
        self.number = begin.get("row", 0)

    def __iter__(self) -> Iterator[tuple[bytes, str | None]]:
        for row in self._rows.select(range(self.number, len(self._rows))):  # as training reads them, JSON decoded
            self.number += 1
            try:
                yield json.dumps(_finite(row), ensure_ascii=False, default=_in_json).encode(), None
            except UnicodeEncodeError:  # a lone surrogate: only its escape can be written
                yield json.dumps(_finite(row), default=_in_json).encode(), None

    def position(self) -> tuple[dict, int]:
        return {"row": self.number}, self._size * self.number // len(self._rows)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _in_json(value: Any) -> str:
    """The form in JSON of what has none: times in ISO 8601, bytes in base64, and other values as text."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@dataclass(frozen=True)
class DataSetSource(Source):
    """A data set of a config.

    Attributes:
        rows: a `datasets.Dataset`.
        digest: of everything that decides its labels.
    """

    rows: Any = None
    digest: str = ""

    @property
    def size(self) -> int:
        """Bytes of the rows in memory, approximately."""
        return int(self.rows.data.nbytes)

    def identity(self) -> str:
        return self.digest

    def check(self) -> None:
        """Nothing: Axolotl has opened it."""

    def chunks(self, begin: dict | None = None) -> Iterator[Chunk]:
        return cut(DataSetRows(self.rows, self.size, begin or {}))


@dataclass
class DataSetJob(Job):
    """How to label the data sets of a config: as training does.

    Attributes:
        sets: by the sources' names, `training.data.span_columns.SpanColumns`.
    """

    sets: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def labelers(self) -> list[Labeler]:
        """The labelers of all the data sets, opened."""
        found = [labeler for one in self.sets.values() for labeler in one.strategy.policy.labelers]
        return list({labeler.key: labeler for labeler in found}.values())

    @property
    def own_text(self) -> str:
        return self._set.strategy.policy.text_field or ""

    @property
    def layout(self) -> Layout:
        return self._set.strategy.layout

    def label(self, chunk: Chunk, name: str) -> Labeled:
        self._set = self.sets[name]
        return super().label(chunk, name)

    def problem(self, row: Mapping) -> str | None:
        messages = self.layout.opened(row).get(self.layout.messages) if self.layout.messages else None
        holders = [("the row", row), *(("a message", one) for one in messages or () if isinstance(one, Mapping))]
        # Arrow gives every row all columns, with None for missing ones
        present = [(what, {key: value for key, value in one.items() if value is not None}) for what, one in holders]
        return next(filter(None, (self._occupied(one, what) for what, one in present)), None)

    def columns(self, rows: Sequence[Mapping]):
        told = self._set.differs
        labeled = self._set.label(rows)
        if self._set.differs and not told:
            click.echo(
                f"\n{self._set.where}: the labelers also find something in text that only the chat template or the type "
                "writes. Files hold the spans of the rows' own texts: training on them does not label that text",
                err=True,
            )
        return labeled

    def __getstate__(self):
        # dill, as `datasets` does: Axolotl's strategies hold functions that pickle cannot name
        state = {key: value for key, value in self.__dict__.items() if key not in ("labelers", "_set")}
        return {**state, "sets": dill.dumps(self.sets)}

    def __setstate__(self, state):
        self.__dict__.update(state, sets=dill.loads(state["sets"]))


def open_data_sets(config: str, block: SlungConfig, output: Path, spans_field: str) -> tuple[list[Source], DataSetJob]:
    """The data sets of a config as sources, and the job that labels them.

    Args:
        config: the YAML file.
        block: its `slung:` block, or another one in its place.
        output: the folder for the outputs.
        spans_field: the name of the columns of spans.

    Raises:
        SlungError: a data set or a labeler cannot be opened.
    """
    from ..training.data.setup import Setup
    from ..training.data.span_columns import SpanColumns
    from .looking import open_config

    cfg, found = open_config(config, block, held_out=True)
    train = len(cfg.get("datasets") or []) + len(cfg.get("pretraining_dataset") or [])
    sources, sets = [], {}
    for number, one in enumerate(found):
        where = f"datasets[{number}]" if number < train else f"test_datasets[{number - train}]"
        place = Path(str(one.entry.get("path"))).expanduser()
        if place.is_dir() and output.resolve().is_relative_to(place.resolve()):
            raise SourceError(f"--output: {output}: lies in {where}.path: {place}; choose a folder outside it")
        if not hasattr(one.rows, "data"):
            raise SourceError(f"{where}.path: {place}: is a stream; give its files as INPUTS")
        name = where.replace("[", "-").replace("]", ".jsonl")
        sets[name] = SpanColumns(one.strategy, spans_field, where)
        digest = one.strategy.policy.fingerprint
        sources.append(DataSetSource(name, where, "config", rows=one.rows, digest=digest))
    return sources, DataSetJob(block, spans_field=spans_field, recorded=Setup(cfg).cuts, sets=sets)


def say_next(sources: Sequence[Source], output: Path, block: SlungConfig, spans_field: str) -> None:
    """Say what to change in the config to train on the output."""
    from .ending import say

    say("To train on it, change these keys of the config, and remove `name`, `split` and the like beside them:")
    for source in sources:
        say(f"  {source.path}: {{path: {output / source.name}, ds_type: json}}")
    weights = [one.weights_field for one in block.labelers if isinstance(one, SpansConfig) and one.weights_field]
    field = "" if spans_field == "spans" and not weights else f", field: {spans_field}"
    # the files keep the columns of weights
    labelers = [f"{{type: spans{field}, weights_field: {column}}}" for column in weights] or [f"{{type: spans{field}}}"]
    say(f"  slung.labelers: [{', '.join(labelers)}]")
