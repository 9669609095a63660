"""`slung report`."""

from __future__ import annotations

from pathlib import Path

import click

from ..comparison.settings import SETTINGS
from ..errors import os_errors
from .ending import say, settings
from .showing import show

_COMPARED = "\n".join(
    ["\b", "Settings in which runs are compared (note: they may differ):"]
    + [f"  {each.name:<20} {'' if each.refused else 'note: '}{each.what.replace('`', '')}" for each in SETTINGS]
)


@click.command(epilog=_COMPARED)
@click.argument("sources", nargs=-1, required=True, metavar="[LABEL[@QUANTITY]=]FOLDER...")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="report", show_default=True,
              help="The folder for the page and the pictures.")  # fmt: skip
@click.option(
    "--json", "figures", type=click.Path(), help="Write the figures as JSON to this file; - is standard output."
)
@click.option("--against", metavar="LABEL", help="Compare all other methods with this one, metric by metric.")
@click.option("--allow", multiple=True, metavar="SETTING",
              help="Show runs that differ in this setting, with a note. Can be given several times.")  # fmt: skip
@click.option(
    "--paper", is_flag=True, help="Show the paper's numbers beside yours, marked as of another scorer and judge."
)
def report(sources, output, figures, against, allow, paper):
    """Make one table, one page and pictures from lm_eval results.

    \b
        slung report results/
        slung report control=out/olmo masked=out/masked-s1 masked=out/masked-s2
        slung report control=out/olmo masked@20M=out/m20 masked@320M=out/m320 -o report/
        slung report direct=out/direct masked=out/masked --against direct --paper
        slung report direct=evals/direct masked=evals/masked masked=attacks/relearn audit/

    FOLDER is what `lm_eval --output_path` wrote, searched with all its subfolders. It can also be one file. LABEL=FOLDER
    can also name what `slung attack` wrote on the model with this label, and FOLDER the audit's folder, for its provenance.

    LABEL names the method. The default is the model's name without a seed at its end. Models with the same label count
    as seeds of one method. QUANTITY is the number of tokens of risky data that the method saw.

    Runs that were measured differently are refused, not mixed. Runs are compared in these settings; * is only a note:

    
    """
    from ..comparison.evaluations_view import sections
    from ..comparison.gathered import evaluations
    from ..comparison.leakage import leakage_of
    from ..comparison.leakage_plots import draw_leakage
    from ..comparison.leakage_view import leakage_sections
    from ..comparison.plots import draw
    from ..comparison.results import parse_source
    from ..comparison.understanding import understanding
    from ..render.sections import to_page

    with settings():
        runs = [parse_source(source) for source in sources]
    found = evaluations(runs, allow, against, paper)
    leaked = leakage_of(found)
    with os_errors(output):
        pictures = draw(found, output) | draw_leakage(found, output)
        parts = sections(
            found, pictures, understanding(found), leakage_sections(found, leaked, pictures) if leaked else []
        )
    page = output / "report.html"
    with os_errors(page):
        page.write_text(to_page("slung report", parts), encoding="utf-8")
    show(found, parts, "slung report", None, figures, **({"leakage": leaked} if leaked else {}))
    # with --json -, standard output holds only JSON
    say(str(page), err=figures == "-")
