"""`slung label`."""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path

import click


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The folder to write to.")
@click.option("-c", "--config", help="A YAML file with a `slung:` block, such as your Axolotl config.")
@click.option("-l", "--labeler", "labelers", multiple=True, help="A labeler, as YAML or by its type. Can be repeated.")
@click.option("--form", type=click.Choice(["spans", "dolma"]), default="spans", show_default=True,
              help="What to write: documents with a column of spans, or Dolma attribute files.")  # fmt: skip
@click.option("--text-field", default="text", show_default=True, help="The column to label.")
@click.option("--id-field", default="id", show_default=True, help="The column of ids. Dolma attribute files need it.")
@click.option("--spans-field", default="spans", show_default=True, help="The column to write spans to.")
@click.option("--columns", help="Columns of Parquet files and hub data sets to keep, separated by commas.")
@click.option("--subset", help="The subset (configuration) of hub data sets.")
@click.option("--split", default="train", show_default=True, help="The split of hub data sets.")
@click.option("-j", "--workers", type=click.IntRange(1), help="Number of processes. Default: one per core.")
@click.option(
    "--cache/--no-cache",
    default=None,
    help="Cache the results of slow labelers for later runs. Default: the block's `cache`.",
)
def label(inputs, output, config, labelers, columns, subset, split, workers, cache, **fields):
    """Score the documents of files, folders or hub data sets, on all cores.

    \b
        slung label corpus/ -o labeled/ -l profanity
        slung label corpus/ -o labeled/ -c my-axolotl-config.yml
        slung label corpus/ -o attributes/ -l '{type: entities, path: names.txt}' --form dolma

    INPUTS are JSON lines (plain, .gz, .zst), Parquet files, folders of these, or ids of hub data sets (owner/name).

    Each document gets a column of spans: [start, end, score] in characters, per labeler. Files contain scores and no
    thresholds. `slung sweep` and training choose thresholds later.

    To train on the output, set its folder as the data set's `path` and use the labeler {type: spans, field: spans}.
    OUTPUT/.slung/cuts.yml says what the scores mean, for all commands and for training. Keep it with the files.

    You can stop or kill the run at any time. The same command resumes it. Lines that cannot be labeled are counted and
    listed in OUTPUT/.slung. All other lines are labeled.
    """
    from ..corpus.inputs import find_sources
    from ..corpus.job import Job
    from ..corpus.output import STATE
    from ..corpus.run import label_sources
    from .block import read_block
    from .warned import warned

    block = read_block(config, labelers, cache=cache)
    columns = [column.strip() for column in columns.split(",")] if columns else None
    sources = find_sources(inputs, output, subset, split, columns)
    job = Job(block, **fields)
    job.open_labelers()  # before the progress bar starts
    with _Bar(sources) as bar:
        outputs = label_sources(sources, output, job, workers, bar.report)
    documents = sum(one.progress.documents for one in outputs)
    click.echo(f"{documents} documents labeled into {output}")
    outcome = job.outcome()
    for one in outputs:
        outcome.add_json(one.progress.outcome)
    for text in outcome.warnings():
        warned().say(text)
    bad = [one for one in outputs if one.progress.bad]
    if bad:
        lines = sum(one.progress.bad for one in bad)
        click.echo(
            f"{lines} lines could not be labeled; they are listed in {output / STATE}/*.bad_lines.txt. The first ones:",
            err=True,
        )
        with open(bad[0].bad_lines, encoding="utf-8") as listed:
            for line in islice(listed, 5):
                click.echo(f"  {line}", err=True, nl=False)
    if not documents:
        raise click.ClickException(f"{output}: no document was labeled; check the inputs and --text-field")


class _Bar:
    """A progress bar over all sources, with documents per second and the remaining time."""

    def __init__(self, sources):
        from tqdm import tqdm

        sizes = [source.size for source in sources]
        self._known = None not in sizes
        # a log file needs fewer lines than a terminal
        every = 0.1 if sys.stderr.isatty() else 30
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]" if self._known else None
        self._bar = tqdm(total=sum(sizes) if self._known else None, unit="B" if self._known else " documents",
                         unit_scale=True, mininterval=every, bar_format=form, smoothing=0.05)  # fmt: skip
        self._seen: dict[str, tuple[int, int]] = {}
        self._documents = 0
        self._start = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def report(self, source, progress):
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
