"""`slung sweep`."""

from __future__ import annotations

import click

from .looking import Looking, document_options, look
from .showing import report_options, show


@click.command()
@document_options
@report_options(words=False)
@click.option("-t", "--threshold", "thresholds", multiple=True,
              help="Bounds to try: one, or one per bound of the config, such as 0.1,0.9. Can be repeated.")  # fmt: skip
def sweep(thresholds, html, figures, **options):
    """Count tokens and documents per bucket, and the loss tokens they cost, for any thresholds.

    \b
        slung sweep labeled/ -c config.yml
        slung sweep labeled/ --tokenizer allenai/OLMo-1B-hf -t 0.5 -t 0.1,0.9 --all

    SOURCES is what `slung label` wrote, or an Axolotl config with a `slung:` block.

    Files from `slung label` are not labeled again. They contain scores, so any threshold can be tried.
    """
    from ..label_stats.sweep import sweep as swept
    from ..label_stats.sweep_view import sections

    looked = look(Looking(**options), default=10_000)
    report = swept(looked.documents, looked.block.resolved_buckets(), [_bounds(text) for text in thresholds])
    show(report, sections(report), f"slung sweep: {looked.title}", html, figures, looked.warnings())


def _bounds(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(
            f"--threshold: {text!r}: expected a number or a list of numbers, such as 0.1,0.9"
        ) from None
