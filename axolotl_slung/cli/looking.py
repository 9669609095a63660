"""The documents that a command reads: a config's data sets, or files that `slung label` wrote."""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import yaml
from pydantic import ValidationError

from ..config import SlungConfig
from ..errors import SlungError
from ..faults import lines_of
from ..labeling.blocks import SpansConfig
from ..labeling.record import recorded_cuts
from ..labeling.scores import ANY
from ..labeling.spans import SpansLabeler
from ..labels.outcome import Outcome
from .block import read_block, read_tokenizer, read_yaml
from .ending import settings
from .warned import warned


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
        text_field, spans_field, messages_field: columns of labeled files.
    """

    sources: tuple[str, ...]
    config: str | None
    tokenizer: str | None
    limit: int | None
    everything: bool
    seed: int
    text_field: str | None
    spans_field: str | None
    messages_field: str | None


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
        outcome: counts the documents that were taken.
        block: the `slung:` block.
        rows: how many raw documents the data sets have; None if unknown.
        title: what to call them.
        cfg: Axolotl's config; None for files.
        files: the labeled files.
        read: what was read for `documents` so far.
    """

    documents: Iterator
    outcome: Outcome
    block: SlungConfig
    rows: int | None
    title: str
    cfg: dict | None
    files: tuple[Path, ...] = ()
    read: Read = field(default_factory=Read)

    def warnings(self) -> list[str]:
        """Everything that the command warned of, after the documents: printed, and given for the page."""
        for text in self.outcome.warnings():
            warned().say(text)
        return warned().messages


def document_options(command):
    """The arguments and options of commands that read documents."""
    for option in reversed((
        click.argument("sources", nargs=-1, required=True),
        click.option("-c", "--config", help="For labeled files: a config with a `slung:` block and a `base_model`."),
        click.option("--tokenizer", help="For labeled files: the model's tokenizer, as a folder or a hub id."),
        click.option("-n", "--documents", "limit", type=click.IntRange(1), help="Number of random documents."),
        click.option("--all", "everything", is_flag=True, help="Use all documents."),
        click.option("--seed", default=0, show_default=True, help="Seed of the random draw."),
        click.option("--text-field", help="The text column of labeled files. Default: text; in chats content, the key "
                     "of each message."),
        click.option("--spans-field", help="The spans column of labeled files. Default: spans."),
        click.option("--messages-field", help="For labeled chats: the column of messages. All their texts count as "
                     "trained; for the texts that training takes, give the config that reads the files."),
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
        if looking.config or looking.tokenizer or looking.text_field or looking.spans_field or looking.messages_field:
            raise click.UsageError(
                f"{sources[0]}: is a config; leave out --config, --tokenizer and the fields (for labeled files only)"
            )
        return _of_config(sources[0], limit, looking.seed)
    return _of_files(looking, limit)


def _of_config(path: str, limit: int | None, seed: int) -> Looked:
    from ..training.args import check_config

    with settings():
        block = read_block(path, ())
        check_config(read_yaml(path))  # Axolotl takes half a minute to come to it
    with quiet(), settings():
        from ..training.data.setup import Setup

        cfg, found = open_config(path, block)
        setup = Setup(cfg)
    title, sizes = Path(path).name, [one.size for one in found]
    if None in sizes:
        # nothing is known of a stream before it is read
        rows, shares = None, [limit and max(1, limit // len(found))] * len(found)
        title += "" if limit is None else f", the first {limit} documents of its stream"
    else:
        rows = sum(sizes)
        shares = [limit and max(1, round(limit * size / max(rows, 1))) for size in sizes]
    documents = itertools.chain.from_iterable(one.documents(share, seed) for one, share in zip(found, shares))
    outcome, read = Outcome(setup.buckets, setup.finders), Read()
    documents = _counted(outcome.watched(documents), read)
    return Looked(documents, outcome, setup.config, rows, title, cfg, read=read)


def _counted(documents, read: Read):
    for document in documents:
        read.text_bytes += sum(len(token.encode("utf-8", "replace")) for token in document.tokens)
        yield document


def open_config(path: str, block: SlungConfig, held_out: bool = False) -> tuple[dict, list]:
    """Axolotl's config, validated, and its data sets (`training.data.look.DataSet`).

    Args:
        path: the YAML file.
        block: its `slung:` block, or another one in its place.
        held_out: whether `test_datasets:` are among them.

    Raises:
        SlungError: the config is not valid, or a data set cannot be opened.
    """
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.dict import DictDefault

    from ..training.data.look import data_sets

    with axolotl_errors(path), tempfile.TemporaryDirectory(prefix="slung-") as folder:
        cfg = load_apart(read_yaml(path), folder)
        cfg["slung"] = DictDefault(block.model_dump(mode="json", exclude_unset=True))
        return cfg, data_sets(cfg, load_tokenizer(cfg), held_out)


def load_apart(config: dict, folder: str):
    """Axolotl's config, validated, with an `output_dir` in a temporary folder.

    Axolotl writes its log to `output_dir`. There it would replace the log of a training, and hold what this command prints.
    """
    from axolotl.cli.config import load_cfg

    path = Path(folder, "config.yml")
    path.write_text(yaml.safe_dump({**config, "output_dir": str(Path(folder, "out"))}), encoding="utf-8")
    return load_cfg(str(path))


@contextmanager
def axolotl_errors(path: str):
    """Errors of Axolotl and of `datasets` about the config, as a `SlungError`."""
    try:
        yield
    except SlungError:
        raise
    except Exception as error:
        if type(error).__module__.startswith("datasets"):
            # its message may quote a file
            what = f"a data set cannot be read ({type(error).__name__}); check its files, `ds_type` and `split`"
            raise SlungError(f"{path}: datasets: {what}") from None
        if not isinstance(error, (OSError, ValueError)):
            raise
        # pydantic's own message would quote the config, with its names
        lines = lines_of(error) if isinstance(error, ValidationError) else [" ".join(str(error).split())]
        raise SlungError(*(f"{path}: {line}" for line in lines)) from None


@contextmanager
def quiet():
    """Silence Axolotl's logging, which prints the whole config, its copy of all that is printed, and its telemetry."""
    before, level = dict(os.environ), logging.getLogger().level
    os.environ.update(AXOLOTL_LOG_LEVEL="ERROR", LOG_LEVEL="ERROR", AXOLOTL_TEE_STDOUT="0", AXOLOTL_DO_NOT_TRACK="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        logging.getLogger().setLevel(level)  # Axolotl sets it from the environment


def _weights(block: SlungConfig, spans_field: str) -> list[SpansLabeler]:
    """The labelers that read weights from labeled files, whose spans are in `spans_field`."""
    found = []
    for index, one in enumerate(block.labelers):
        if not isinstance(one, SpansConfig) or one.weights_field is None:
            continue
        key = f"slung.labelers[{index}]"
        if one.datasets is None:
            found.append(SpansLabeler(key, spans_field, one.text_field, one.weights_field))
        else:
            warned().say(
                f"{key}.weights_field: is for some data sets only, and labeled files do not say which they are; their "
                "weights are not shown, so give the config in place of the files"
            )
    return found


def _of_files(looking: Looking, limit: int | None) -> Looked:
    from ..corpus.inputs import find_sources
    from ..inspection.of_files import documents_of_files

    with settings():
        sources = find_sources(looking.sources)
    block, own, weights = SlungConfig(labelers=[{"type": "spans"}]), {}, []
    tokenizer = looking.tokenizer
    if looking.config:
        with settings():
            block = read_block(looking.config, ())
            content = read_yaml(looking.config)
        weights = _weights(block, looking.spans_field or "spans")
        own, block = block.cuts_by_name(), block.of_a_column()
        tokenizer = tokenizer or content.get("tokenizer_config") or content.get("base_model")
    if not tokenizer:
        why = f"{looking.config} has no `base_model`" if looking.config else "no tokenizer given"
        raise click.UsageError(f"--tokenizer: {why}; pass --tokenizer, or --config with your Axolotl config")
    recorded = recorded_cuts(source.path for source in sources if source.kind != "hub")
    # the config's come first, so that its first labeler gives the scale
    cuts = {**own, **{name: one for name, one in recorded.items() if name not in own}}
    block, read = block.with_recorded(cuts), Read()
    documents = documents_of_files(
        sources,
        read_tokenizer(tokenizer),
        block,
        limit,
        looking.seed,
        looking.text_field or ("text" if looking.messages_field is None else "content"),
        looking.spans_field or "spans",
        looking.messages_field,
        read,
        weights,
    )
    if looking.messages_field is not None:
        warned().say(
            "labeled chats are read without a chat template: the texts of all roles count as trained. The config that "
            "trains on the files says what is really trained"
        )
    outcome = Outcome(block.resolved_buckets(), {name for name, one in cuts.items() if one == ANY})
    files = tuple(Path(source.path) for source in sources if source.kind != "hub")
    title = ", ".join(Path(path).name for path in looking.sources)
    return Looked(outcome.watched(documents), outcome, block, None, title, None, files, read)
