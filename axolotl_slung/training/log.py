"""Axolotl's logger, with messages that are safe to show."""

from __future__ import annotations

from axolotl.utils.logging import get_logger as axolotl_logger

from ..errors import get_logger as safe_logger


def get_logger(name: str):
    """Axolotl's logger of a module. Only the main process logs. Its messages go through `visible`."""
    safe_logger(name)
    return axolotl_logger(name)
