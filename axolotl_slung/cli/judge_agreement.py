"""`slung judge-agreement`."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from .ending import say, settings
from .showing import report_options, show

ASKED = {
    "correct": "write correct into `verdict` if the candidate contains the information in the reference, otherwise incorrect",
    "partially_correct": "write yes into `verdict` if the candidate contains any information of the reference that is not "
    "in the question, otherwise no",
}  # fmt: skip


@click.command("judge-agreement")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a new sheet, .jsonl or .csv. FILES are then samples_slung_tofu_*.jsonl.")  # fmt: skip
@click.option("-n", "--answers", "number", type=click.IntRange(1), default=30, show_default=True,
              help="Number of answers in a new sheet.")  # fmt: skip
@click.option("--metric", type=click.Choice(list(ASKED)), default="correct", show_default=True,
              help="Which of the judge's verdicts a new sheet is about.")  # fmt: skip
@click.option("--verdicts", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The judge's verdicts for a filled sheet. Default: SHEET.judge.json beside it.")  # fmt: skip
@report_options(words=False)
@click.pass_context
def judge_agreement(ctx, files, output, number, metric, verdicts, html, figures):
    """Compare a judge's verdicts with people's, on a sheet of answers.

    \b
        slung judge-agreement results/*/samples_slung_tofu_*.jsonl -o sheet.csv -n 30
        (people fill the column `verdict`)
        slung judge-agreement sheet.csv

    The first command draws answers that a judge judged, and writes a sheet: question, reference answer, candidate, and
    an empty column `verdict`. Half of them are answers that the judge accepts, if there are enough. The sheet does not
    show which: the judge's verdicts are in SHEET.judge.json. Let people fill the sheet who do not look there. Only you
    may read both files, because they quote the data and the model. The same samples always give the same sheet.

    People write correct or incorrect, and with --metric partially_correct yes or no. Every row needs a verdict.

    The second command reads the filled sheet. It prints how the verdicts fall, agreement with its exact 95 % interval,
    and Cohen's kappa, which is 0 for agreement by chance and 1 for full agreement. Its interval comes from Jeffreys'
    posterior. Both are also given for all answers of the samples, of which the judge may accept more or fewer than half.
    """
    from ..evals import sheet

    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if output is not None and given & {"verdicts", "html", "figures"}:
        raise click.UsageError(
            "--verdicts, --html, --json: are for a filled sheet; leave them out, or leave out --output"
        )
    if output is None and given & {"number", "metric"}:
        raise click.UsageError("--answers, --metric: are for a new sheet; leave them out, or give --output")
    if output is not None:
        with settings():
            sheet.check_new(output)
            drawn = sheet.draw(files, number, metric)
        sheet.write(output, drawn, metric)
        accepted = sum(one.accepted for one in drawn.answers)
        say(f"{output}: {len(drawn.answers)} of {len(drawn.judged):,} judged answers. For each, {ASKED[metric]}")
        say(f"{sheet.verdicts_of(output)}: the judge's verdicts; do not show them to who fills the sheet")
        if accepted in (0, len(drawn.answers)):
            say("the judge gave all of these answers the same verdict, so kappa will say little", err=True)
        say(f"Then: slung judge-agreement {output}")
        return
    if len(files) > 1 or files[0].name.startswith("samples_"):
        raise click.UsageError(
            "FILES: expected one filled sheet; to write a new sheet, give samples files and -o SHEET"
        )
    with settings():
        metric, judge, found = sheet.read_back(files[0], verdicts)
    show(found, _sections(found, metric, judge), "slung judge-agreement", html, figures)


def _sections(found, metric, judge):
    from ..evals.sheet import WORDS
    from ..render.formats import share
    from ..render.sections import Section, Table

    def interval(estimate, text):
        return f"{text(estimate.low)} to {text(estimate.high)}"

    def plain(number):
        return "n/a" if number is None else f"{number:.3f}"

    words = WORDS[metric]
    verdicts = [(f"the judge says {words[0]}", *map(str, found.counts[1][::-1])),
                (f"the judge says {words[1]}", *map(str, found.counts[0][::-1]))]  # fmt: skip
    rows = [
        (name, text(estimate.value), interval(estimate, text))
        for name, estimate, text in (
            ("agreement on the sheet", found.agreement, share),
            ("Cohen's kappa on the sheet", found.kappa, plain),
            ("agreement over all answers", found.agreement_of_all, share),
            ("Cohen's kappa over all answers", found.kappa_of_all, plain),
        )
    ]
    return [
        Section(
            f"{judge.get('name')}: {metric}",
            "Numbers of answers by the judge's and the person's verdict.",
            [Table(("", f"the person says {words[0]}", f"the person says {words[1]}"), verdicts)],
        ),
        Section(
            "Agreement",
            "The sheet has the judge's two verdicts equally often, as far as there are enough; all answers have them as "
            "often as the judge gave them. Agreement on the sheet has the exact interval; the other intervals come from "
            "Jeffreys' posterior.",
            [Table(("", "value", "95 % interval"), rows)],
        ),
    ]
