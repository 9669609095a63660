"""`slung doctor`."""

from __future__ import annotations

import contextlib
import io
import sys

import click

from .block import read_yaml


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False))
@click.option("--steps", type=click.IntRange(1), default=2, show_default=True, help="Optimizer steps to train.")
@click.option("--verbose", is_flag=True, help="Show what Axolotl prints, too.")
def doctor(config, steps, verbose):
    """Try a config for a few batches, and see that its labels reach the loss.

    \b
        slung doctor config.yml

    Trains by CONFIG, an Axolotl config with a `slung:` block, on a few of its own rows and in a temporary folder, with
    labels planted at known places: through its own collator, packing, model and loss. Says which loss ran, that masked
    targets get no gradient and their neighbors do, that labels arrive whole, what the loss is divided by, and what in
    the config would defeat it. Ends with 1 where something is wrong. The model is loaded, so it takes a machine that can
    train it; nothing is saved.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..render.visible import visible

    read_yaml(config)  # a broken file is told in one line
    said = io.StringIO()
    # what is being done goes past the redirection
    console = Console(file=sys.stderr)
    with contextlib.ExitStack() as stack:
        if not verbose:
            stack.enter_context(contextlib.redirect_stdout(said))
            stack.enter_context(contextlib.redirect_stderr(said))
        from ..doctor.run import FAILED, NOTE, examine

        findings = examine(config, steps, lambda what: console.print(f"slung doctor: {what} ...", style="dim"))

    table = Table(show_header=False, box=None, padding=(0, 1))
    colors = {FAILED: "bold red", NOTE: "yellow"}
    for finding in findings:
        table.add_row(
            Text(finding.verdict, colors.get(finding.verdict, "green")), finding.check, Text(visible(finding.text))
        )
    Console().print(table)
    failed = sum(finding.verdict == FAILED for finding in findings)
    click.echo(f"{failed} of {len(findings)} checks failed" if failed else "Nothing is wrong with this config.")
    sys.exit(1 if failed else 0)
