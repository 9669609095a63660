"""How a model changes its logits between head and loss (scale, softcap): by its config, and as measured."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import torch

PROBED = 1e4
"""The largest logit in the probe."""
_NAMES = re.compile("logit|lm_head|cap|scal|multipl")


class Bend(NamedTuple):
    """`softcap * tanh(scale * z / softcap)`.

    Attributes:
        scale: above 0.
        softcap: above 0, or None for none.
    """

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, z):
        z = z * self.scale
        return z if self.softcap is None else torch.tanh(z / self.softcap) * self.softcap


def of_config(config: Any) -> Bend:
    """The scale and softcap in the config of a text model. The first batch shows whether the model does more."""
    scale = 1.0
    if getattr(config, "logits_scaling", None):
        scale = 1 / config.logits_scaling  # Granite
    elif getattr(config, "logit_scale", None):
        scale = config.logit_scale  # Cohere
    return Bend(float(scale), getattr(config, "final_logit_softcapping", None))


def probe(vocabulary: int, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
    """A row of small and large logits of both signs, `[vocabulary]`: shows scale and softcap for any weights."""
    x = torch.linspace(-1, 1, vocabulary, dtype=torch.float64, device=device)
    return (x**5 * PROBED).to(dtype)


def seen(z: torch.Tensor, out: torch.Tensor, bend: Bend, config: Any) -> Bend | None:
    """The scale and softcap that the model applied to logits, if it did nothing else.

    Args:
        z: raw logits, float32 or float64 `[rows, vocabulary]`; the last row is the probe.
        out: the same logits as passed to the loss, any float dtype.
        bend: the expected scale and softcap.
        config: the model's config. Any other scale and softcap must be numbers in it.

    Returns:
        `bend`, or another one with numbers from the config, or None if the model does something else.
    """
    narrowest = _narrowest(out)
    measured = _measured(z[-1].double(), out[-1].double())
    # the mean over a row is more exact than an entry
    within = 2e-3 if narrowest.itemsize == 2 else 1e-5
    if measured is None:
        return None
    found = bend if _near(measured, bend, within) else _by_numbers(measured, config, within)
    return found if found is not None and _same(found(z), out, narrowest) else None


def _narrowest(x):
    """The narrowest dtype to which `x` can have been rounded."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        if torch.equal(x.to(dtype).to(x.dtype).nan_to_num(), x.nan_to_num()):
            return dtype
    return x.dtype


def _same(expected, out, narrowest) -> bool:
    """Whether all entries agree, up to the rounding of a few operations in the narrowest dtype."""
    ulps = 3 if narrowest.itemsize == 2 else 32
    rtol = ulps * torch.finfo(narrowest).eps
    # round this too: what overflows in one must overflow in both
    expected = expected.to(narrowest).to(out.dtype)
    return bool(torch.isclose(out, expected, rtol=rtol, atol=1e-3 * rtol, equal_nan=True).all())


def _measured(z, out) -> Bend | None:
    """Scale and softcap from the probe before and after, both float64 `[vocabulary]`."""
    # float16 has few digits for the smallest numbers
    some = (z.abs() > 1e-2) & (out.abs() > 1e-3) & out.isfinite()
    z, out = z[some], out[some]
    if not len(z):
        return None
    # at both ends of the probe, the output is the softcap itself
    largest = out.abs().max()
    softcap = largest.item() if largest < 0.5 * (out / z).median().abs() * z.abs().max() else None
    if softcap:
        z, out = (x[out.abs() < 0.5 * softcap] for x in (z, out))
        out = torch.atanh(out / softcap) * softcap
    scale = (out / z).mean().item() if len(z) else 0.0
    return Bend(scale, softcap) if scale > 0 else None


def _near(one: Bend, other: Bend, within: float) -> bool:
    pairs = zip(one, other)
    return all(x == y if x is None or y is None else abs(x - y) <= within * abs(y) for x, y in pairs)


def _by_numbers(measured: Bend, config, within: float) -> Bend | None:
    """The bend made of numbers in the config that matches the measured one; None without a match."""
    numbers = [
        float(value) for name, value in vars(config).items()
        if _NAMES.search(name) and isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    ]  # fmt: skip
    scales = [1.0, *numbers, *(1 / number for number in numbers)]
    for scale in scales:
        for softcap in [None] if measured.softcap is None else numbers:
            if _near(measured, Bend(scale, softcap), within):
                return Bend(scale, softcap)
    return None
