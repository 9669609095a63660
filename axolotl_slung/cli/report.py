"""`slung report`."""

from __future__ import annotations

from pathlib import Path

import click

from .showing import show


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="[LABEL[@QUANTITY]=]FOLDER...")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="report", show_default=True,
              help="The folder of the page and the pictures.")  # fmt: skip
@click.option("--json", "figures", type=click.Path(), help="Write the figures as JSON; - for the output.")
def report(sources, output, figures):
    """Results of lm_eval as one table, one page and its pictures.

    FOLDER is what `lm_eval --output_path` wrote, searched with all folders below it, or one file. LABEL is the method's
    name; without it, the model's, without a seed at its end. Models of one label are seeds of one method. QUANTITY is
    how many tokens of risky data it saw.

    \b
        slung report results/
        slung report control=out/olmo masked=out/masked-s1 masked=out/masked-s2
        slung report control=out/olmo masked@20M=out/m20 masked@320M=out/m320 -o report/

    What was measured in different ways is refused, never mixed.
    """
    from ..comparison.evaluations import evaluations
    from ..comparison.evaluations_view import sections
    from ..comparison.plots import draw
    from ..comparison.results import parse_source
    from ..render.sections import to_page

    found = evaluations(map(parse_source, sources))
    parts = sections(found, draw(found, output))
    page = output / "report.html"
    page.write_text(to_page("slung report", parts), encoding="utf-8")
    show(found, parts, "slung report", None, figures)
    # figures on the standard output are JSON and nothing else
    click.echo(page, err=figures == "-")
