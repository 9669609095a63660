"""`slung report`."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import os_errors
from .ending import say, settings
from .showing import show


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="[LABEL[@QUANTITY]=]FOLDER...")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="report", show_default=True,
              help="The folder for the page and the pictures.")  # fmt: skip
@click.option(
    "--json", "figures", type=click.Path(), help="Write the figures as JSON to this file; - is standard output."
)
def report(sources, output, figures):
    """Make one table, one page and pictures from lm_eval results.

    \b
        slung report results/
        slung report control=out/olmo masked=out/masked-s1 masked=out/masked-s2
        slung report control=out/olmo masked@20M=out/m20 masked@320M=out/m320 -o report/

    FOLDER is what `lm_eval --output_path` wrote, searched with all its subfolders. It can also be one file.

    LABEL names the method. The default is the model's name without a seed at its end. Models with the same label count
    as seeds of one method. QUANTITY is the number of tokens of risky data that the method saw.

    Runs that were measured differently are refused, not mixed.
    """
    from ..comparison.evaluations import evaluations
    from ..comparison.evaluations_view import sections
    from ..comparison.plots import draw
    from ..comparison.results import parse_source
    from ..comparison.understanding import understanding
    from ..render.sections import to_page

    with settings():
        runs = [parse_source(source) for source in sources]
    found = evaluations(runs)
    with os_errors(output):
        parts = sections(found, draw(found, output), understanding(found))
    page = output / "report.html"
    with os_errors(page):
        page.write_text(to_page("slung report", parts), encoding="utf-8")
    show(found, parts, "slung report", None, figures)
    # with --json -, standard output holds only JSON
    say(str(page), err=figures == "-")
