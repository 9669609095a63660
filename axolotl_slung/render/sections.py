"""The parts of a report, and how a terminal and a page show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..visible import visible
from .template import fill


@dataclass(frozen=True)
class Table:
    """Rows of text under `head`.

    The first `left` columns hold words, the others numbers. A terminal shows the first `brief` rows and the number of
    remaining rows.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    left: int = 1
    brief: int | None = None


@dataclass(frozen=True)
class Beside:
    """Tables shown side by side if the page is wide enough."""

    tables: Sequence[Table]


@dataclass(frozen=True)
class Facts:
    """Single figures: `(value, what it is)`."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figure:
    """A chart from `svg.py`, shown only on pages."""

    html: str


@dataclass(frozen=True)
class Section:
    """A heading, one or two sentences on how to read the section, and its blocks."""

    title: str
    note: str = ""
    blocks: Sequence[Table | Beside | Facts | Figure] = field(default_factory=tuple)


def to_terminal(title: str, sections: Sequence[Section], console=None) -> None:
    """Print the sections' facts and tables. Sections that only have charts are left out.

    Args:
        title: the report's title.
        sections: its sections.
        console: a rich console; None prints to standard output.
    """
    from rich.console import Console
    from rich.padding import Padding

    console = console or Console()
    console.print(_plain(title, "bold"))
    for section in sections:
        if all(isinstance(block, Figure) for block in section.blocks):
            continue
        console.print()
        console.print(_plain(section.title, "bold cyan"))
        if section.note:
            console.print(Padding(_plain(section.note, "dim"), (0, 0, 0, 2), expand=False))
        for block in section.blocks:
            if isinstance(block, Facts):
                console.print(Padding(_grid(block.facts), (0, 0, 0, 2), expand=False))
            elif not isinstance(block, Figure):
                for table in block.tables if isinstance(block, Beside) else [block]:
                    _print_table(console, table)


def _grid(facts):
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    for fact in facts:
        grid.add_row(*map(_plain, fact))
    return grid


def _print_table(console, table: Table) -> None:
    from rich.padding import Padding
    from rich.table import Table as Grid

    if table.title:
        console.print(Padding(_plain(table.title, "italic"), (1, 0, 0, 2), expand=False))
    grid = Grid(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, name in enumerate(table.head):
        words = index < table.left
        grid.add_column(_plain(name), justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in table.rows[: table.brief]:
        grid.add_row(*map(_plain, row))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))
    if table.brief is not None and len(table.rows) > table.brief:
        console.print(Padding(_plain(f"and {len(table.rows) - table.brief} more", "dim"), (0, 0, 0, 2), expand=False))


def _plain(words: str, style: str = ""):
    from rich.text import Text

    # not a plain string: rich would read brackets in a name as markup
    return Text(visible(words), style=style)


def to_page(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """The sections as one HTML page, without scripts or other files."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    template = Path(__file__).with_name("report.html")
    return fill(template, title=title, subtitle=subtitle, style=style, sections=sections)
