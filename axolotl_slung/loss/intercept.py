"""How slung gets between a module and its forward: by the module's class, so that a copy of a model is a model of its own.

A function put into `module.forward` holds on to the module that it was made for: a deep copy (EMA, SWA, a reference model)
would run the original's layers, and send it the gradients. A class is shared by copies, and what it looks up is
theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch


def intercept(module: Any, around: Callable) -> None:
    """Let `around` decide what `module.forward` does.

    The module's class becomes a subclass of the same name. A forward that was put into the module itself (by a plugin, by
    accelerate's hooks) goes on to be called in place of the class's.

    Args:
        module: an `nn.Module`.
        around: called with `(module, forward, *args, **kwargs)`, where `forward` is the one that the module had; a bound method,
            so that a deep copy of the module calls that of the copied object.
    """
    own = module.__dict__.pop("forward", None)
    if not isinstance(module, _Intercepted):
        module.__class__ = _class(type(module))
        module._slung_forward = own
    elif own is not None:
        module._slung_forward = own
    module._slung_around = around  # pyright: ignore[reportAttributeAccessIssue]


def plain_class(module: Any) -> type:
    """The class that a module had before it was intercepted."""
    return type(module).__dict__.get("_slung_class", type(module))


class _Intercepted:
    """Comes before a module's class; see `intercept`."""

    _slung_around = _slung_forward = None

    def __reduce_ex__(self, protocol):
        # the class is none that pickle could find by its name
        function, args, *rest = super().__reduce_ex__(protocol)
        original = type(self).__dict__.get("_slung_class")
        return (function, args, *rest) if original is None else (_blank, (original,), *rest)


def _blank(cls):
    made = _class(cls)
    return made.__new__(made)


@functools.cache
def _class(cls):
    # a plain frame: what it calls may be compiled
    @functools.partial(torch.compiler.disable, recursive=False)
    def forward(self, *args, **kwargs):
        plain = self._slung_forward or functools.partial(cls.forward, self)
        return (
            plain(*args, **kwargs) if self._slung_around is None else self._slung_around(self, plain, *args, **kwargs)
        )

    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    forward = functools.wraps(cls.forward)(forward)
    return type(cls)(cls.__name__, (_Intercepted, cls), {**named, "forward": forward, "_slung_class": cls})
