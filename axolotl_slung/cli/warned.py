"""The warnings of this package while a `slung` command runs. No setting of a log hides them."""

from __future__ import annotations

import logging
import sys

import click

_PACKAGE = logging.getLogger(__package__.partition(".")[0])


class Warned(logging.Handler):
    """Prints each warning once, to what standard error is now, and keeps it.

    Axolotl's logging is silenced while a command looks at a config, and `slung doctor` hides all that Axolotl prints.

    Attributes:
        messages: the warnings so far.
    """

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._stream, self._before = sys.stderr, _PACKAGE.level

    def __enter__(self):
        _PACKAGE.addHandler(self)
        _PACKAGE.setLevel(logging.INFO)  # Axolotl sets the root's level, from the environment
        return self

    def __exit__(self, *_):
        _PACKAGE.removeHandler(self)
        _PACKAGE.setLevel(self._before)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning, and keep it."""
        self.say(record.getMessage().removeprefix("slung: "))

    def say(self, text: str) -> None:
        """Print and keep a text, unless it was said before."""
        from ..visible import visible

        text = visible(text)
        if text not in self.messages:
            self.messages.append(text)
            click.echo(f"Warning: {text}", file=self._stream)


def warned() -> Warned:
    """Those of the command that runs now."""
    return click.get_current_context().find_object(Warned)  # pyright: ignore[reportReturnType] - set by the group
