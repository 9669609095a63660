"""`slung sweep`."""

from __future__ import annotations

import click

from .looking import document_options, look
from .showing import report_options, show


@click.command()
@document_options
@report_options(words=False)
@click.option("-t", "--threshold", "thresholds", multiple=True,
              help="Bounds to try: one, or as many as there are, such as 0.1,0.9. May be repeated.")  # fmt: skip
def sweep(thresholds, html, figures, **options):
    """Tokens and documents a bucket, and what they cost in loss tokens, for any thresholds.

    SOURCES is what `slung label` wrote, or an Axolotl config with a `slung:` block.

    \b
        slung sweep labeled/ -c config.yml
        slung sweep labeled/ --tokenizer allenai/OLMo-1B-hf -t 0.5 -t 0.1,0.9 --all

    Nothing is labeled again: files hold scores, and thresholds only cut them.
    """
    from ..label_stats.sweep import sweep as swept
    from ..label_stats.sweep_view import sections

    looked = look(**options, default=10_000)
    report = swept(looked.documents, looked.block.resolved_buckets(), [_bounds(text) for text in thresholds])
    show(report, sections(report), f"slung sweep: {looked.title}", html, figures)


def _bounds(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--threshold: {text!r} is no number or list of numbers, such as 0.1,0.9") from None
