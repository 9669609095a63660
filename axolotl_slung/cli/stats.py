"""`slung stats`."""

from __future__ import annotations

import time

import click

from .looking import Looking, document_options, look
from .showing import report_options, show

WORDS = 40
"""Number of the most frequent risky words to quote."""
TEXT_FILES = (".jsonl", ".json", ".ndjson", ".csv", ".txt")
"""Files whose size is about that of their text."""
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
@click.option(
    "--total-bytes",
    type=click.IntRange(1),
    help="Bytes of the whole corpus, for the estimate. Default: the size of the files given.",
)
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

    The estimate for the whole corpus gives labeling time, disk, and step time. For a config, the command labels the drawn
    documents itself and takes the time. For labeled files, it takes the time from the journals of `slung label`.
    """
    from ..label_stats.estimate import estimate
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
    if looked.cfg:
        sample, whole = _of_config(looked, report, time.monotonic() - start)
    else:
        sample, whole = _of_files(looked, report)
    rows = looked.rows
    estimated = estimate(report, sample, total_bytes=total_bytes or whole, total_documents=rows, cores=cores)
    title = f"slung stats: {looked.title}"
    show(report, sections(report, estimated), title, html, figures, looked.warnings(), estimate=estimated)


def _labelers(looked):
    from ..labeling.build import names_of

    configs = looked.block.labelers
    # spans of files have the names of the labelers that found them
    return [name for name, config in zip(names_of(configs), configs) if config.type != "spans"]


def _of_config(looked, report, seconds: float):
    """What the drawn documents cost, and the bytes of the whole data set; None if these are unknown."""
    from ..label_stats.estimate import Sample
    from ..training.data.look import files_of

    files = files_of(looked.cfg)
    size = sum(path.stat().st_size for path in files)
    prepared = report.tokens * BYTES_PER_TOKEN
    if looked.rows is not None:
        sample_bytes = round(size * report.documents / max(looked.rows, 1)) if size else report.tokens * 4
        return Sample(report.documents, sample_bytes, seconds, 1, prepared), size or None
    # a stream: the documents' text is compared with the files, if these are text
    is_text = all(path.suffix in TEXT_FILES for path in files)
    return Sample(report.documents, looked.read.text_bytes, seconds, 1, prepared), size if size and is_text else None


def _of_files(looked, report):
    """As `_of_config`, for labeled files. Bytes are those of the corpus before it was labeled."""
    from ..corpus.progress import recorded_beside
    from ..label_stats.estimate import Sample

    journals = [recorded_beside(path) for path in looked.files]
    labeled = sum(path.stat().st_size for path in looked.files)
    # with a journal, the bytes that were read and the time are known; without one, the labeled files stand for both
    known = all(journal is not None and journal.finished for journal in journals)
    whole = sum(journal.read for journal in journals) if known else labeled
    drawn = report.documents / max(looked.read.rows, 1)
    seconds = sum(journal.seconds for journal in journals) * drawn if known else None
    sample = Sample(
        report.documents,
        round(whole * drawn),
        seconds or None,
        1,
        report.tokens * BYTES_PER_TOKEN,
        round(labeled * drawn),
    )
    return sample, whole
