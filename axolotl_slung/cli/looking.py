"""The documents that a command reads: a config's data sets, or files that `slung label` wrote."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from pydantic import ValidationError

from ..config import SlungConfig
from ..errors import SlungError, validation_lines
from .block import read_block, read_tokenizer, read_yaml


@dataclass(frozen=True)
class Looking:
    """What `document_options` ask for, by the options' names.

    Attributes:
        sources: a config, or labeled files.
        config: with labeled files, a config with a `slung:` block.
        tokenizer: with labeled files, a folder or a hub id.
        limit: how many documents.
        everything: all of them.
        seed: of the draw.
        text_field, spans_field: columns of labeled files.
    """

    sources: tuple[str, ...]
    config: str | None
    tokenizer: str | None
    limit: int | None
    everything: bool
    seed: int
    text_field: str | None
    spans_field: str | None


@dataclass
class Read:
    """What was read.

    Attributes:
        rows: lines of labeled files.
        text_bytes: bytes of the documents' text, of a config.
    """

    rows: int = 0
    text_bytes: int = 0


@dataclass
class Looked:
    """Tokenized documents, and the settings that decide their actions.

    Attributes:
        documents: an iterator of `LabeledDocument`.
        block: the `slung:` block.
        rows: how many raw documents the data sets have; None if unknown.
        title: what to call them.
        cfg: Axolotl's config; None for files.
        files: the labeled files.
        read: what was read for `documents` so far.
    """

    documents: Iterator
    block: SlungConfig
    rows: int | None
    title: str
    cfg: dict | None
    files: tuple[Path, ...] = ()
    read: Read = field(default_factory=Read)


def document_options(command):
    """The arguments and options of commands that read documents."""
    for option in reversed((
        click.argument("sources", nargs=-1, required=True),
        click.option("-c", "--config", help="For labeled files: a config with a `slung:` block and a `base_model`."),
        click.option("--tokenizer", help="For labeled files: the model's tokenizer, as a folder or a hub id."),
        click.option("-n", "--documents", "limit", type=click.IntRange(1), help="Number of random documents."),
        click.option("--all", "everything", is_flag=True, help="Use all documents."),
        click.option("--seed", default=0, show_default=True, help="Seed of the random draw."),
        click.option("--text-field", help="The text column of labeled files. Default: text."),
        click.option("--spans-field", help="The spans column of labeled files. Default: spans."),
    )):  # fmt: skip
        command = option(command)
    return command


def look(looking: Looking, default: int) -> Looked:
    """The documents that the options ask for.

    Args:
        looking: the options.
        default: number of documents if neither --documents nor --all is given.

    Raises:
        click.UsageError: options that contradict each other, or a missing tokenizer.
    """
    if looking.everything and looking.limit:
        raise click.UsageError("--all, --documents: both are given; pass only one of them")
    limit = None if looking.everything else looking.limit or default
    sources = looking.sources
    if any(source.endswith((".yml", ".yaml")) for source in sources):
        if len(sources) > 1:
            raise click.UsageError(
                f"{', '.join(sources)}: expected one config, got {len(sources)} sources; pass one config"
            )
        if looking.config or looking.tokenizer or looking.text_field or looking.spans_field:
            raise click.UsageError(
                f"{sources[0]}: is a config; leave out --config, --tokenizer and the fields (for labeled files only)"
            )
        return _of_config(sources[0], limit, looking.seed)
    return _of_files(looking, limit)


def _of_config(path: str, limit: int | None, seed: int) -> Looked:
    block = read_block(path, ())
    with _quiet():
        from axolotl.cli.config import load_cfg
        from axolotl.loaders import load_tokenizer

        from ..training.data.look import data_sets

        try:
            cfg = load_cfg(path)
            found = data_sets(cfg, load_tokenizer(cfg))
        except SlungError:
            raise
        except (OSError, ValueError) as error:
            # pydantic's own message would quote the config, with its names
            lines = validation_lines(error) if isinstance(error, ValidationError) else [str(error)]
            raise click.ClickException(f"{path}: " + "; ".join(" ".join(line.split()) for line in lines)) from None
    title, sizes = Path(path).name, [one.size for one in found]
    if None in sizes:
        # nothing is known of a stream before it is read
        rows, shares = None, [limit and max(1, limit // len(found))] * len(found)
        title += "" if limit is None else f", the first {limit} documents of its stream"
    else:
        rows = sum(sizes)
        shares = [limit and max(1, round(limit * size / max(rows, 1))) for size in sizes]
    documents = itertools.chain.from_iterable(one.documents(share, seed) for one, share in zip(found, shares))
    read = Read()
    return Looked(_counted(documents, read), block, rows, title, cfg, read=read)


def _counted(documents, read: Read):
    for document in documents:
        read.text_bytes += sum(len(token.encode("utf-8", "replace")) for token in document.tokens)
        yield document


@contextmanager
def _quiet():
    """Silence Axolotl's logging, which prints the whole config, and its telemetry."""
    before = dict(os.environ)
    os.environ.update(AXOLOTL_LOG_LEVEL="ERROR", LOG_LEVEL="ERROR", AXOLOTL_DO_NOT_TRACK="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _of_files(looking: Looking, limit: int | None) -> Looked:
    from ..corpus.inputs import find_sources
    from ..inspection.of_files import documents_of_files

    block = SlungConfig(labelers=[{"type": "spans"}])
    tokenizer = looking.tokenizer
    if looking.config:
        block = read_block(looking.config, ("spans",))
        content = read_yaml(looking.config)
        tokenizer = tokenizer or content.get("tokenizer_config") or content.get("base_model")
    if not tokenizer:
        raise click.UsageError(
            "--tokenizer: no tokenizer given; pass --tokenizer, or --config with your Axolotl config"
        )
    sources, read = find_sources(looking.sources), Read()
    documents = documents_of_files(
        sources,
        read_tokenizer(tokenizer),
        block,
        limit,
        looking.seed,
        looking.text_field or "text",
        looking.spans_field or "spans",
        read,
    )
    files = tuple(Path(source.path) for source in sources if source.kind != "hub")
    return Looked(documents, block, None, ", ".join(Path(path).name for path in looking.sources), None, files, read)
