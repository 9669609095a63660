"""`slung inspect`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from .looking import Looking, document_options, look


@click.command()
@document_options
@click.option("-o", "--output", default="inspect.html", show_default=True, type=click.Path(path_type=Path),
              help="The HTML page to write.")  # fmt: skip
@click.option(
    "--sort",
    type=click.Choice(["order", "nearness"]),
    default="order",
    show_default=True,
    help="The documents' order, or those first with a score near a threshold.",
)
@click.option("--terminal", is_flag=True, help="Print colored documents instead of writing a page.")
def inspect(output, terminal, sort, **options):
    """Show documents in the model's tokens, colored by what the loss does with each token.

    \b
        slung inspect config.yml
        slung inspect config.yml -n 5 --terminal
        slung inspect labeled/ --tokenizer allenai/OLMo-1B-hf

    SOURCES is an Axolotl config with a `slung:` block, or files that `slung label` wrote.

    The page is one file. It opens in any browser and loads nothing from the network. On it you can move thresholds,
    compare labelers side by side, and copy the `buckets:` (with a method, the `cuts:`) back into your config. The page
    contains the documents' text. Only you can read it. It replaces an earlier page of the same name, and no other file.
    """
    from ..inspection.effects import nearness
    from ..inspection.page import inspection_page
    from ..inspection.terminal import terminal_view
    from .ending import say, settings
    from .writing import PAGE, check, write

    if not terminal:
        with settings():
            check(output, PAGE)
    looked = look(Looking(**options), default=5 if terminal else 50)
    documents = list(looked.documents)
    if not documents:
        raise click.ClickException(f"{looked.title}: no documents in it; check the data set's files and split")
    buckets, warnings = looked.block.resolved_buckets(), looked.warnings()
    if sort == "nearness":
        documents.sort(key=lambda document: nearness(document, buckets))
    if terminal:
        # https://no-color.org: any value but the empty one
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        for line in terminal_view(documents, buckets, shutil.get_terminal_size((100, 24)).columns, color):
            click.echo(line, color=True)
        return
    total = "" if looked.rows is None else f" of {looked.rows}"
    notes = {"documents": f"{len(documents)}{total}, seed {options['seed']}", "overlap": looked.block.overlap}
    notes |= {"warning": "; ".join(warnings)} if warnings else {}
    cuts = None if looked.block.buckets else looked.block.cuts_by_name(fixed=False)
    page = inspection_page(documents, buckets, f"slung inspect: {looked.title}", notes, cuts)
    say(f"{write(output, page)}: {len(documents)} documents")
