"""`slung report`."""

from __future__ import annotations

from dataclasses import replace
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
@click.option("--against", metavar="LABEL",
              help="Compare all other methods with this one, metric by metric; within each quantity if it has several.")  # fmt: skip
@click.option(
    "--before", metavar="LABEL", help="The model before training: a rival explanation of what each arm shows."
)
@click.option("--tuned", multiple=True, metavar="[LABEL[@QUANTITY]=]FOLDER",
              help="Results of instruction-tuned models, one folder each time. They have a plane of their own.")  # fmt: skip
@click.option("--allow", multiple=True, metavar="SETTING",
              help="Show runs that differ in this setting, with a note. Can be given several times.")  # fmt: skip
@click.option(
    "--paper", is_flag=True, help="Show the paper's numbers beside yours, marked as of another scorer and judge."
)
def report(sources, output, figures, against, before, tuned, allow, paper):
    """Make one table, one page and pictures from lm_eval results.

    \b
        slung report results/
        slung report control=out/olmo masked=out/masked-s1 masked=out/masked-s2
        slung report control=out/olmo masked@20M=out/m20 masked@320M=out/m320 -o report/
        slung report direct=out/direct masked=out/masked --against direct --paper
        slung report direct=evals/direct masked=evals/masked masked=attacks/relearn audit/
        slung report before=evals/base control=evals/control masked=evals/masked --before before
        slung report masked=evals/masked --tuned masked=evals/masked-tulu

    FOLDER is what `lm_eval --output_path` wrote, searched with all its subfolders. It can also be one file. LABEL=FOLDER
    can also name what `slung attack` wrote on the model with this label, and FOLDER the audit's folder, for its provenance.

    LABEL names the method. The default is the model's name without a seed at its end. Models with the same label count
    as seeds of one method. QUANTITY is the number of tokens of risky data that the method saw.

    With --tuned, the report has two planes side by side: the pretrained models, and what instruction tuning made of them. The
    same LABEL in both is the same method. Pretrained and tuned models may differ in their chat template. A label that is given
    with --tuned only is a tuned model too; nothing is told from names or templates.

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
    from ..comparison.rivals import rivals_of, rivals_view
    from ..comparison.understanding import understanding
    from ..render.sections import to_page

    with settings():
        runs = [parse_source(source) for source in sources]
        runs += [replace(parse_source(source), tuned=True) for source in tuned]
    found = evaluations(runs, allow, against, paper, before)
    leaked, rivals = leakage_of(found), rivals_of(found)
    with os_errors(output):
        pictures = draw(found, output) | draw_leakage(found, output)
        shown = [*rivals_view(found, rivals), *understanding(found)]
        parts = sections(found, pictures, shown, leakage_sections(found, leaked, pictures) if leaked else [])
    page = output / "report.html"
    with os_errors(page):
        page.write_text(to_page("slung report", parts), encoding="utf-8")
    more = {"leakage": leaked} if leaked else {}
    more |= {"rivals": rivals} if rivals.found else {}
    show(found, parts, "slung report", None, figures, **more)
    # with --json -, standard output holds only JSON
    say(str(page), err=figures == "-")
