"""`slung label`."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import click
from click.core import ParameterSource


@click.command()
@click.argument("inputs", nargs=-1)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write to.")
@click.option("-c", "--config", help="A YAML file with a `slung:` block, such as your Axolotl config.")
@click.option("-l", "--labeler", "labelers", multiple=True, help="A labeler, as YAML or by its type. Can be repeated.")
@click.option("--form", type=click.Choice(["spans", "dolma"]), default="spans", show_default=True,
              help="What to write: documents with a column of spans, or Dolma attribute files.")  # fmt: skip
@click.option("--text-field", help="The column to label, or a.b in nested mappings. Default: text; in chats content, "
              "the key of each message.")  # fmt: skip
@click.option("--messages-field", help="For chats without a config: the column of messages.")
@click.option("--id-field", default="id", show_default=True, help="The column of ids. Dolma attribute files need it.")
@click.option("--spans-field", default="spans", show_default=True, help="The column to write spans to. In chats, each "
              "message gets it, too.")  # fmt: skip
@click.option("--columns", help="Columns of Parquet files and hub data sets to keep, separated by commas.")
@click.option("--subset", help="The subset (configuration) of hub data sets.")
@click.option("--split", default="train", show_default=True, help="The split of hub data sets.")
@click.option("-j", "--workers", type=click.IntRange(1), help="Number of processes. Default: one per core.")
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Cache the results of slow labelers for later runs. Default: the block's `cache`.",
)
@click.pass_context
def label(context, inputs, output, config, labelers, columns, subset, split, workers, cache, **fields):
    """Score the documents of files, folders or hub data sets, on all cores.

    \b
        slung label corpus/ -o labeled/ -l toxic_spans
        slung label corpus/ -o labeled/ -c my-axolotl-config.yml
        slung label corpus/ -o attributes/ -l '{type: entities, path: names.txt}' --form dolma
        slung label -c my-axolotl-config.yml -o labeled/
        slung label chats.jsonl -o labeled/ -l presidio --messages-field messages

    Without INPUTS, the config's own data sets are labeled, in the form in which training reads them: messages, parts,
    arguments of tools, prompts.

    INPUTS are JSON lines (plain, .gz, .zst, .bz2, .xz), Parquet files, folders of these, or ids of hub data sets
    (owner/name). Hidden files are left out, and what else is left out of a folder is said.

    Each document gets a column of spans: [start, end, score] in characters, per labeler. Files contain scores and no
    thresholds. `slung sweep` and training choose thresholds later.

    To train on the output, set its folder as the data set's `path` and use the labeler {type: spans, field: spans}.
    OUTPUT/.slung/cuts.yml says what the scores mean, for all commands and for training. Keep it with the files.

    You can stop or kill the run at any time. The same command resumes it. Lines that cannot be labeled are counted and
    listed in OUTPUT/.slung. All other lines are labeled. Who may not read an input may not read its output either.

    At the end the command says how many spans each labeler found, and how many names of a list were never found. These
    names are listed in OUTPUT/.slung/LABELER.never_found.txt, which only you can read.
    """
    from ..corpus.inputs import find_sources
    from ..corpus.job import Job
    from ..corpus.output import STATE
    from ..corpus.told import told
    from ..labeling.record import recorded_cuts
    from .block import read_block
    from .ending import say, settings
    from .label_config import open_data_sets, say_next
    from .looking import quiet
    from .warned import warned

    with settings():
        block = read_block(config, labelers, cache=cache)
    if not inputs:
        _only_for_inputs(context, config)
        with quiet():
            with settings():
                sources, job = open_data_sets(config, block, output, fields["spans_field"])
            outputs, used = _labeled(sources, output, job, workers)
    else:
        if fields["text_field"] is None:
            fields["text_field"] = "text" if fields["messages_field"] is None else "content"
        if fields["form"] == "dolma" and fields["messages_field"] is not None:
            raise click.UsageError("--form, --messages-field: attribute files have one text per document, not chats")
        with settings():
            columns = [column.strip() for column in columns.split(",")] if columns else None
            sources = find_sources(inputs, output, subset, split, columns)
            recorded = recorded_cuts(source.path for source in sources if source.kind != "hub")
        job = Job(block, recorded=recorded, **fields)
        outputs, used = _labeled(sources, output, job, workers)
    documents = sum(one.progress.documents for one in outputs)
    if used:
        say(f"{documents} documents labeled into {output}")
    else:
        say(f"nothing to do: {output} has the labels of all {len(outputs)} sources ({documents} documents)")
    lines, warnings = told(outputs, output, job)
    for line in lines:
        say(f"  {line}")
    for text in warnings:
        warned().say(text)
    bad = [one for one in outputs if one.progress.bad]
    if bad:
        lines = sum(one.progress.bad for one in bad)
        say(
            f"{lines} lines could not be labeled; they are listed in {output / STATE}/*.bad_lines.txt. The first ones:",
            err=True,
        )
        with open(bad[0].bad_lines, encoding="utf-8") as listed:
            for line in islice(listed, 5):
                say(f"  {line.rstrip()}", err=True)
    if empty := [one.source.path for one in outputs if not one.progress.documents and not one.progress.bad]:
        say(f"{len(empty)} sources are empty: {_few(empty)}", err=True)
    if not documents:
        raise click.ClickException(f"{output}: no document was labeled; check the inputs and --text-field")
    if barren := [one for one in bad if not one.progress.documents]:
        shown = _few([f"{one.source.path} ({one.progress.bad} lines)" for one in barren])
        raise click.ClickException(f"{shown}: gave no document; fix these files, or leave them out")
    if not inputs:
        say_next(sources, output, block, fields["spans_field"])


def _only_for_inputs(context, config: str | None) -> None:
    """Check that the options fit a config without inputs."""
    if config is None:
        raise click.UsageError("INPUTS: none given; give files, folders or hub data sets, or --config with data sets")
    names = {"text_field", "id_field", "messages_field", "form", "columns", "subset", "split"}
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        options = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in given))
        raise click.UsageError(f"{options}: for INPUTS only, and there are none: the config says what to read")


def _labeled(sources, output, job, workers):
    """The outputs, and whether there was anything to do."""
    from ..corpus.run import label_sources
    from ..errors import FileError
    from ..labeling.base import LabelerError
    from .ending import USAGE, Ended

    try:
        with _Bar(sources) as bar:
            return label_sources(sources, output, job, workers, bar.report), bar.used
    except (LabelerError, FileError) as error:
        if bar.used:
            raise
        raise Ended(str(error), USAGE) from None  # a file that the config names, for example


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class _Bar:
    """A progress bar over all sources, with documents per second and the remaining time."""

    def __init__(self, sources):
        self._sources, self._bar = sources, None
        self._seen: dict[str, tuple[int, int]] = {}
        self._documents = 0

    @property
    def used(self) -> bool:
        """Whether anything was reported."""
        return self._bar is not None

    def _open(self):
        from tqdm import tqdm

        sizes = [source.size for source in self._sources]
        self._known = None not in sizes
        # a log file needs fewer lines than a terminal
        every = 0.1 if sys.stderr.isatty() else 30
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]" if self._known else None
        self._bar = tqdm(total=sum(sizes) if self._known else None, unit="B" if self._known else " documents",
                         unit_scale=True, mininterval=every, bar_format=form, smoothing=0.05)  # fmt: skip
        self._start = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()

    def report(self, source, progress):
        if self._bar is None:
            self._open()  # not before: labelers that are opened write to the terminal
        first = source.name not in self._seen
        read, documents = self._seen.get(source.name, (0, 0))
        self._seen[source.name] = (progress.read, progress.documents)
        if first and progress.read:
            # labeled by an earlier run, so not part of this run's rate
            if self._known:
                self._bar.initial += progress.read
                self._bar.total -= progress.read if progress.finished else 0
            return
        self._documents += progress.documents - documents
        rate = self._documents / max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(f"{rate:,.0f} documents/s", refresh=False)
        self._bar.update(progress.read - read if self._known else progress.documents - documents)
