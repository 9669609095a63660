"""What a model does to its logits between head and loss: a scale and a softcap, by its config and as seen."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import torch

PROBED = 1e4
"""The largest logit of the probe."""
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
    """What the config of a text model says; the first batch shows if that is all."""
    scale = 1.0
    if getattr(config, "logits_scaling", None):
        scale = 1 / config.logits_scaling  # Granite
    elif getattr(config, "logit_scale", None):
        scale = config.logit_scale  # Cohere
    return Bend(float(scale), getattr(config, "final_logit_softcapping", None))


def probe(vocabulary: int, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
    """A row of logits, small and large ones of both signs, `[vocabulary]`: bending shows, whatever the weights are."""
    x = torch.linspace(-1, 1, vocabulary, dtype=torch.float64, device=device)
    return (x**5 * PROBED).to(dtype)


def seen(z: torch.Tensor, out: torch.Tensor, bend: Bend, config: Any) -> Bend | None:
    """What the model did to logits, if it is of the known kind.

    Args:
        z: raw logits, float32 or float64 `[rows, vocabulary]`; the last row is the probe.
        out: the same as they came to the loss, of any float dtype.
        bend: what is expected.
        config: of the model, whose numbers a scale and a softcap have to be.

    Returns:
        `bend`, or another one by the config's numbers, or None where the model does something else.
    """
    narrowest = _narrowest(out)
    measured = _measured(z[-1].double(), out[-1].double())
    # a mean over a row is closer than an entry of it
    within = 2e-3 if narrowest.itemsize == 2 else 1e-5
    if measured is None:
        return None
    found = bend if _near(measured, bend, within) else _by_numbers(measured, config, within)
    return found if found is not None and _same(found(z), out, narrowest) else None


def _narrowest(x):
    """The narrowest dtype through which `x` can have come."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        if torch.equal(x.to(dtype).to(x.dtype).nan_to_num(), x.nan_to_num()):
            return dtype
    return x.dtype


def _same(expected, out, narrowest) -> bool:
    """Entry by entry, but for the rounding of a few operations in the narrowest dtype."""
    ulps = 3 if narrowest.itemsize == 2 else 32
    rtol = ulps * torch.finfo(narrowest).eps
    # rounded as well: what overflows there has to in both
    expected = expected.to(narrowest).to(out.dtype)
    return bool(torch.isclose(out, expected, rtol=rtol, atol=1e-3 * rtol, equal_nan=True).all())


def _measured(z, out) -> Bend | None:
    """Scale and softcap of the probe, by its float64 `[vocabulary]` before and after."""
    # float16 has few digits for the smallest
    some = (z.abs() > 1e-2) & (out.abs() > 1e-3) & out.isfinite()
    z, out = z[some], out[some]
    if not len(z):
        return None
    # a softcap shows at the ends, where it gives what it is
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
    """The bend of the config's own numbers that is the measured one, exactly so."""
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
