"""Tables of the documentation, read."""

import re

from helpers import ROOT


def table(file, first):
    """The rows of the table in a Markdown file whose first column has this heading: one mapping a row, by heading."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    start = next(index for index, row in enumerate(rows) if row[0] == first)
    width, found = len(rows[start]), []
    for row in rows[start + 2 :]:
        if len(row) != width:
            break
        found.append(dict(zip(rows[start], row)))
    return found
