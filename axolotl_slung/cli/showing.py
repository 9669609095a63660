"""Output of the commands that report: tables in the terminal, an HTML page, figures as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click


def report_options(words: bool = True):
    """The options that say where a report is written, and whether it quotes words."""

    def decorate(command):
        options = [
            click.option(
                "--html",
                type=click.Path(path_type=Path),
                callback=_checked,
                help="Also write the report as one HTML page with pictures.",
            ),
            click.option(
                "--json",
                "figures",
                type=click.Path(),
                callback=_checked,
                help="Write the figures as JSON to this file; - is standard output.",
            ),
        ]
        if words:
            options.append(click.option("--words/--no-words", default=True, help="Whether to quote risky words."))
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _checked(ctx, option, path):
    from .ending import settings
    from .writing import FIGURES, PAGE, check

    if path and path != "-" and not ctx.resilient_parsing:
        with settings():
            check(Path(path), PAGE if option.name == "html" else FIGURES)
    return path


def show(
    report, sections, title: str, html: Path | None, figures: str | None, warnings: Sequence[str] = (), **more
) -> None:
    """Print the report, and write its page and its figures. With figures "-", only the figures are printed.

    `warnings`, which were printed before, also stand on the page. `more` are other results by name, added to the figures.
    """
    from ..render.sections import Section, to_page, to_terminal
    from .ending import say
    from .writing import write

    if figures != "-":
        to_terminal(title, sections)
    if html:
        warned = [Section("Warning", text) for text in warnings]
        say(f"{write(html, to_page(title, [*warned, *sections]))}: written, with pictures", err=True)
    if figures:
        content = json.dumps(report.to_json() | {name: one.to_json() for name, one in more.items()}, indent=2)
        if figures == "-":
            click.echo(content)
        else:
            say(f"{write(Path(figures), content)}: written", err=True)
