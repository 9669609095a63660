"""A report as its reader gets it: printed, and as a page taken apart."""

import io
from html.parser import HTMLParser

from rich.console import Console

from axolotl_slung.label_stats.statistics_view import sections
from axolotl_slung.render.sections import to_terminal

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\x9b\u202e\u2028\x00[red]{x}"


def printed(report, view=sections, width=100):
    out = io.StringIO()
    to_terminal(HOSTILE, view(report), Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


class Reader(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self):
        super().__init__()
        self.tags, self.data, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)
