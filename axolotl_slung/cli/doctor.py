"""`slung doctor`."""

from __future__ import annotations

import contextlib
import io
import sys

import click

from .block import read_yaml
from .ending import settings
from .warned import warned


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option("--steps", type=click.IntRange(1), default=2, show_default=True, help="Optimizer steps to train.")
@click.option("--verbose", is_flag=True, help="Also show what Axolotl prints.")
def doctor(config, steps, verbose):
    """Train a config for a few steps and check that its labels reach the loss.

    \b
        slung doctor config.yml
        slung doctor config.yml --steps 4 --verbose

    CONFIG is an Axolotl config with a `slung:` block. The training runs in a temporary folder, on a few of the config's
    rows, with labels planted at known positions. It uses the config's collator, packing, model and loss.

    \b
    The report says:
      - which loss ran
      - whether masked targets get no gradient, and their neighbors do
      - whether labels arrive unchanged
      - what the loss is divided by
      - what in the config would bypass the loss

    The exit status is 1 if a check fails. The command loads the model, so the machine must be able to train it.
    Nothing is saved.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..visible import visible

    with settings():
        read_yaml(config)  # so that a broken file gives a one-line error
    said = io.StringIO()
    # made before the redirection, so that progress is still shown
    console = Console(file=sys.stderr)
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(contextlib.redirect_stdout(said))
            stack.enter_context(contextlib.redirect_stderr(said))
        from ..doctor.run import FAILED, NOTE, Finding, examine

        findings = examine(config, steps, lambda what: console.print(f"slung doctor: {what} ...", style="dim"))

    findings += [Finding("warning", NOTE, text) for text in warned().messages]
    table = Table(show_header=False, box=None, padding=(0, 1))
    colors = {FAILED: "bold red", NOTE: "yellow"}
    for finding in findings:
        table.add_row(
            Text(finding.verdict, colors.get(finding.verdict, "green")), finding.check, Text(visible(finding.text))
        )
    Console().print(table)
    failed = sum(finding.verdict == FAILED for finding in findings)
    click.echo(f"{failed} of {len(findings)} checks failed" if failed else "All checks passed.")
    sys.exit(1 if failed else 0)
