"""`slung inspect`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from .looking import document_options, look


@click.command()
@document_options
@click.option("-o", "--output", default="inspect.html", show_default=True, type=click.Path(path_type=Path),
              help="The page to write.")  # fmt: skip
@click.option("--terminal", is_flag=True, help="Print the documents, colored, instead of writing a page.")
def inspect(output, terminal, **options):
    """See documents in the model's own tokens, colored by what the loss will do with them.

    SOURCES is an Axolotl config with a `slung:` block, or files that `slung label` wrote.

    \b
        slung inspect config.yml
        slung inspect config.yml -n 5 --terminal
        slung inspect labeled/ --tokenizer allenai/OLMo-1B-hf

    The page is one file that opens in any browser and fetches nothing. Move the thresholds, compare labelers side by side,
    and copy the `buckets:` back into your config. It holds the documents' text: keep it as carefully as these.
    """
    from ..inspection.page import inspection_page
    from ..inspection.terminal import terminal_view

    looked = look(**options, default=5 if terminal else 50)
    documents = list(looked.documents)
    if not documents:
        raise click.ClickException(f"{looked.title}: no documents")
    buckets = looked.block.resolved_buckets()
    if terminal:
        for line in terminal_view(documents, buckets, shutil.get_terminal_size((100, 24)).columns, sys.stdout.isatty()):
            click.echo(line, color=True)
        return
    total = "" if looked.rows is None else f" of {looked.rows}"
    notes = {"documents": f"{len(documents)}{total}, seed {options['seed']}", "overlap": looked.block.overlap}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(inspection_page(documents, buckets, f"slung inspect: {looked.title}", notes), encoding="utf-8")
    click.echo(f"{output}: {len(documents)} documents")
