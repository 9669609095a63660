"""Leaves the data out of Axolotl's messages, some of which quote a part or the arguments of a tool call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_QUOTES = ("Part text: ", "Arguments string: ", "Parameters string: ")


class _Unquoted(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Cut a message before what it quotes."""
        message = record.getMessage()
        for quote in _QUOTES:
            if quote in message:
                record.msg, record.args = f"{message.partition(quote)[0]}{quote}left out by slung", ()
        return True


_FILTER = _Unquoted()


@contextmanager
def unquoted(loggers: Sequence[logging.Logger]) -> Iterator[None]:
    """Let loggers of Axolotl quote no data."""
    for logger in loggers:
        logger.addFilter(_FILTER)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_FILTER)
