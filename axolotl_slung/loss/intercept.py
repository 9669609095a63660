"""Intercepts a module's forward through the module's class, so that deep copies of a model stay independent.

A function stored in `module.forward` stays bound to the module it was made for. A deep copy (EMA, SWA, a reference
model) would run the original's layers and send gradients to the original. Copies share a class instead, and the class
looks everything up on the copy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch


def intercept(module: Any, around: Callable) -> None:
    """Let `around` decide what `module.forward` does.

    The module's class becomes a subclass with the same name. A forward stored in the module itself (by a plugin, by
    accelerate's hooks) is still called in place of the class's.

    Args:
        module: an `nn.Module`.
        around: called with `(module, forward, *args, **kwargs)`, where `forward` is the module's previous forward.
            `around` must be a bound method, so that a deep copy of the module calls the method of the copied object.
    """
    own = module.__dict__.pop("forward", None)
    if not isinstance(module, _Intercepted):
        module.__class__ = _class(type(module))
        module._slung_forward = own
    elif own is not None:
        module._slung_forward = own
    module._slung_around = around  # pyright: ignore[reportAttributeAccessIssue]


def plain_class(module: Any) -> type:
    """The class of a module before it was intercepted."""
    return type(module).__dict__.get("_slung_class", type(module))


class _Intercepted:
    """A base class placed before a module's own class; see `intercept`."""

    _slung_around = _slung_forward = None

    def __reduce_ex__(self, protocol):
        # pickle could not find this class by its name
        function, args, *rest = super().__reduce_ex__(protocol)
        original = type(self).__dict__.get("_slung_class")
        return (function, args, *rest) if original is None else (_blank, (original,), *rest)


def _blank(cls):
    made = _class(cls)
    return made.__new__(made)


@functools.cache
def _class(cls):
    # runs uncompiled, but what it calls may be compiled
    @functools.partial(torch.compiler.disable, recursive=False)
    def forward(self, *args, **kwargs):
        plain = self._slung_forward or functools.partial(cls.forward, self)
        return (
            plain(*args, **kwargs) if self._slung_around is None else self._slung_around(self, plain, *args, **kwargs)
        )

    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    forward = functools.wraps(cls.forward)(forward)
    return type(cls)(cls.__name__, (_Intercepted, cls), {**named, "forward": forward, "_slung_class": cls})
