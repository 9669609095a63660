"""The parts of a report, and how a terminal and a page show them."""

from __future__ import annotations

import re
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

    No line ends in blanks, and no word is broken if the terminal is as wide as the word. A table that is too wide for the
    terminal is printed row by row, with a line per cell.

    Args:
        title: the report's title.
        sections: its sections.
        console: a rich console; None prints to standard output.
    """
    from rich.console import Console

    console = console or Console()
    with console.capture() as printed:
        _print(console, title, sections)
    console.file.write(_BLANKS.sub(r"\1", printed.get()))
    console.file.flush()


_BLANKS = re.compile(r"(?m)[ ]+((?:\x1b\[[0-9;]*m)*)$")
"""Blanks at the end of a line, before the codes that end its colors."""


def _print(console, title, sections):
    from rich.padding import Padding

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
    rows = [[visible(cell) for cell in row] for row in table.rows[: table.brief]]
    words = [_longest(table, rows, index) for index in range(len(table.head))]
    if 2 + sum(words) + len(words) - 1 > console.width:
        _print_rows(console, table, rows)
        return
    grid = Grid(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, name in enumerate(table.head):
        left = index < table.left
        grid.add_column(
            _plain(name), justify="left" if left else "right", no_wrap=not left, overflow="fold", min_width=words[index]
        )
    for row in rows:
        grid.add_row(*map(_plain, row))
    console.print(Padding(grid, (0, 0, 0, 2), expand=False))
    _print_rest(console, table)


def _longest(table: Table, rows, column: int) -> int:
    """The width below which a column would break a word, or a number."""
    from rich.cells import cell_len

    cells = [visible(table.head[column]), *(row[column] for row in rows)]
    # the head of a column of numbers is not wrapped either
    words = [word for cell in cells for word in (cell.split(" ") if column < table.left else [cell])]
    return max(map(cell_len, words), default=0)


def _print_rows(console, table: Table, rows) -> None:
    """A table as a list: each row's cells under each other, after their heads."""
    from rich.padding import Padding

    for row in rows:
        for index, (name, cell) in enumerate(zip(table.head, row)):
            text = _plain(f"{name}: ", "dim").append_text(_plain(cell))
            console.print(Padding(text, (0, 0, 0, 4 if index else 2), expand=False))
    _print_rest(console, table)


def _print_rest(console, table: Table) -> None:
    from rich.padding import Padding

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
