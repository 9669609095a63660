"""`slung stats`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .looking import document_options, look
from .showing import report_options, show

WORDS = 40
"""How many of the most frequent risky words are quoted."""
BYTES_A_TOKEN = 21
"""Of a prepared data set: ids in 4, labels and positions in 8 each, the attention mask in 1."""


@click.command()
@document_options
@report_options()
@click.option("--sequence-len", type=click.IntRange(1), help="Tokens a sequence; the config's, where there is one.")
@click.option("--batch-sequences", type=click.IntRange(1), help="Sequences an optimizer step; the config's.")
@click.option("--cores", type=click.IntRange(1), default=1, show_default=True, help="For the estimate of labeling.")
@click.option("--total-bytes", type=click.IntRange(1), help="Of the whole corpus, for the estimate.")
def stats(sequence_len, batch_sequences, cores, total_bytes, html, figures, words, **options):
    """What the labels will do to a training run, before it.

    SOURCES is an Axolotl config with a `slung:` block, or files that `slung label` wrote.

    \b
        slung stats config.yml
        slung stats labeled/ -c config.yml --all --html risk.html

    Documents and tokens a bucket and a labeler, documents left without a loss, tokens that straddle a span, loss tokens a
    batch, the risky words that are most frequent; and an estimate of labeling time, of the prepared data set's size and of step time. A config's
    documents are labeled on the spot, which is what the estimate is made from. The report quotes risky words.
    """
    from ..label_stats.estimate import Sample, estimate
    from ..label_stats.statistics import risk_report
    from ..label_stats.statistics_view import sections

    looked = look(**options, default=2000)
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
    )
    if not report.documents:
        raise click.ClickException(f"{looked.title}: no documents")
    estimated = None
    if looked.cfg:
        size = sum(Path(path).stat().st_size for path in _files(cfg))
        sample_bytes = round(size * report.documents / looked.rows) if size else report.tokens * 4
        sample = Sample(report.documents, sample_bytes, time.monotonic() - start, 1, report.tokens * BYTES_A_TOKEN)
        estimated = estimate(
            report, sample, total_bytes=total_bytes or size or None, total_documents=looked.rows, cores=cores
        )
    show(report, sections(report, estimated), f"slung stats: {looked.title}", html, figures)


def _files(cfg):
    from ..training.data.local_files import local_files

    entries = [*(cfg.get("datasets") or []), *(cfg.get("pretraining_dataset") or [])]
    return [path for entry in entries for _, path in local_files(entry)]
