"""What the commands that report have in common: a table in the terminal, a page, figures."""

from __future__ import annotations

import json
from pathlib import Path

import click


def report_options(words: bool = True):
    """The options for where a report goes, and whether it quotes words."""

    def decorate(command):
        options = [
            click.option(
                "--html", type=click.Path(path_type=Path), help="Write the report as one page, with pictures."
            ),
            click.option("--json", "figures", type=click.Path(), help="Write the figures as JSON; - for the output."),
        ]
        if words:
            options.append(click.option("--words/--no-words", default=True, help="Whether risky words are quoted."))
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def show(report, sections, title: str, html: Path | None, figures: str | None) -> None:
    """Print the report, unless its figures are what is printed; write its page and its figures."""
    from ..render.sections import to_page, to_terminal

    if figures != "-":
        to_terminal(title, sections)
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(to_page(title, sections), encoding="utf-8")
        click.echo(f"{html} has pictures", err=True)
    if figures:
        content = json.dumps(report.to_json(), indent=2)
        click.echo(content) if figures == "-" else Path(figures).write_text(content, encoding="utf-8")
