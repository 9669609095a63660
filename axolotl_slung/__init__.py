"""Selective loss for Axolotl: language models that understand risky text without learning to say it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .training.args import SlungArgs
    from .training.plugin import SlungPlugin

__all__ = ["SlungArgs", "SlungPlugin"]
__version__ = "0.2.0.dev0"

_HOMES = {"SlungArgs": "training.args", "SlungPlugin": "training.plugin"}


def __getattr__(name):
    # lazy: the labelers, the codec and the loss are used without Axolotl, which takes seconds to import
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
