"""Output of the commands that report: tables in the terminal, an HTML page, figures as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click


def report_options(words: bool = True):
    """The options that say where a report is written, and whether it quotes words."""

    def decorate(command):
        options = [
            click.option(
                "--html", type=click.Path(path_type=Path), help="Also write the report as one HTML page with pictures."
            ),
            click.option(
                "--json",
                "figures",
                type=click.Path(),
                help="Write the figures as JSON to this file; - is standard output.",
            ),
        ]
        if words:
            options.append(click.option("--words/--no-words", default=True, help="Whether to quote risky words."))
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def show(report, sections, title: str, html: Path | None, figures: str | None, **more) -> None:
    """Print the report, and write its page and its figures. With figures "-", only the figures are printed.

    `more` are other results by name, added to the figures.
    """
    from ..render.sections import to_page, to_terminal

    if figures != "-":
        to_terminal(title, sections)
    if html:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(to_page(title, sections), encoding="utf-8")
        click.echo(f"{html}: written, with pictures", err=True)
    if figures:
        content = json.dumps(report.to_json() | {name: one.to_json() for name, one in more.items()}, indent=2)
        click.echo(content) if figures == "-" else Path(figures).write_text(content, encoding="utf-8")
