"""`slung stats`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .looking import Looking, document_options, look
from .showing import report_options, show

WORDS = 40
"""Number of the most frequent risky words to quote."""
BYTES_PER_TOKEN = 21
"""In a prepared data set: 4 for the id, 8 each for the label and the position, 1 for the attention mask."""


@click.command()
@document_options
@report_options()
@click.option("--sequence-len", type=click.IntRange(1), help="Tokens per sequence. Default: the config's.")
@click.option("--batch-sequences", type=click.IntRange(1), help="Sequences per optimizer step. Default: the config's.")
@click.option(
    "--cores",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cores assumed by the estimate of labeling time.",
)
@click.option("--total-bytes", type=click.IntRange(1), help="Bytes of the whole corpus, for the estimate.")
def stats(sequence_len, batch_sequences, cores, total_bytes, html, figures, words, **options):
    """Report what the labels will do to a training run, before it starts.

    \b
        slung stats config.yml
        slung stats labeled/ -c config.yml --all --html risk.html

    SOURCES is an Axolotl config with a `slung:` block, or files that `slung label` wrote.

    \b
    The report counts:
      - documents and tokens, per bucket and per labeler
      - documents left without a loss
      - tokens that straddle the edge of a span
      - loss tokens per batch
      - the most frequent risky words, which it quotes

    For a config, the command labels the drawn documents itself. From the time that this takes, it estimates labeling
    time, the size of the prepared data set, and step time.
    """
    from ..label_stats.estimate import Sample, estimate
    from ..label_stats.statistics import risk_report
    from ..label_stats.statistics_view import sections

    looked = look(Looking(**options), default=2000)
    cfg = looked.cfg or {}
    sequence_len = sequence_len or cfg.get("sequence_len")
    steps = (cfg.get("micro_batch_size") or 1) * (cfg.get("gradient_accumulation_steps") or 1)
    start = time.monotonic()
    report = risk_report(
        looked.documents,
        looked.block.resolved_buckets(),
        sequence_len=sequence_len,
        sequences_per_batch=batch_sequences or steps,
        packing=bool(cfg.get("sample_packing", True)),
        words=WORDS if words else 0,
        labelers=_labelers(looked) if looked.cfg else (),
    )
    if not report.documents:
        raise click.ClickException(f"{looked.title}: no documents in it; check the data set's files and split")
    estimated = None
    if looked.cfg:
        size = sum(Path(path).stat().st_size for path in _files(cfg))
        sample_bytes = round(size * report.documents / looked.rows) if size else report.tokens * 4
        sample = Sample(report.documents, sample_bytes, time.monotonic() - start, 1, report.tokens * BYTES_PER_TOKEN)
        estimated = estimate(
            report, sample, total_bytes=total_bytes or size or None, total_documents=looked.rows, cores=cores
        )
    show(report, sections(report, estimated), f"slung stats: {looked.title}", html, figures, looked.warnings())


def _labelers(looked):
    from ..labeling.build import names_of

    configs = looked.block.labelers
    # spans of files have the names of the labelers that found them
    return [name for name, config in zip(names_of(configs), configs) if config.type != "spans"]


def _files(cfg):
    from ..training.data.local_files import local_files

    entries = [*(cfg.get("datasets") or []), *(cfg.get("pretraining_dataset") or [])]
    return [path for entry in entries for _, path in local_files(entry)]
