"""`rows.log_odds_and_dlogits` for CPUs, compiled by numba. Each row is read twice while it is in the cache.

The exponentials stay unnormalized. `norm` is their sum, and the caller divides the narrow side of its products by it.
The functions call each other, so they are in one file (numba caches per file).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import numpy as np
import torch
from torch import Tensor

from ..compiled import jit

_F, _I32, _U32, _I16, _U16 = np.float32, np.int32, np.uint32, np.int16, np.uint16
_NAN = _F(np.nan)
_LOG2_E, _LN_2 = _F(1.4426950408889634), _F(0.6931471805599453)
_BLOCK = 4096
"""Columns that are summed in float32. The sums of blocks are added in float64."""


# these flags let numba vectorize loops over a row; infinities keep their meaning
_compiled = partial(jit, fastmath={"reassoc", "contract", "nnan", "nsz"}, error_model="numpy")


@numba.njit(inline="always")
def _exp(x):
    """Exp of float32 `x` up to about 80, within 1e-7. Below -87 it returns the value at -87."""
    x = x if x > _F(-87.0) else _F(-87.0)
    n = np.floor(x * _LOG2_E + _F(0.5))
    r = x - n * _LN_2
    # exp on [-ln 2 / 2, ln 2 / 2]: the Taylor series up to r^7; the remainder is below 6e-9
    p = _F(1 / 5040)
    p = p * r + _F(1 / 720)
    p = p * r + _F(1 / 120)
    p = p * r + _F(1 / 24)
    p = p * r + _F(1 / 6)
    p = p * r + _F(1 / 2)
    p = p * r + _F(1.0)
    p = p * r + _F(1.0)
    # 2^n, made from its bits
    return p * _I32(_I32(_I32(n) + _I32(127)) << _I32(23)).view(_F)


@numba.njit(inline="always")
def _tanh(x):
    return _F(1) - _F(2) / (_exp(min(x + x, _F(80))) + _F(1))


@numba.njit(inline="always")
def _widened(bits):
    """bfloat16, as bits, to float32."""
    return _U32(_U32(bits) << _U32(16)).view(_F)


@numba.njit(inline="always")
def _narrowed(x):
    """float32 to the nearest bfloat16, as bits; ties to even."""
    bits = _F(x).view(_U32)
    return _U16(_U32(bits + _U32(0x7FFF) + _U32((bits >> _U32(16)) & _U32(1))) >> _U32(16))


# Floats compare like integers once the bits of negative floats are inverted, so this search can be vectorized too.
# They are shifted so that minus infinity is the lowest integer. Every NaN then sorts above infinity, whatever its sign.
_MOVE_32, _INFINITE_32 = _I32(0x7F800001 - 2**31), _I32(0xFF000001 - 2**31)
_MOVE_16, _INFINITE_16 = _I16(0x7F81 - 2**15), _I16(0xFF01 - 2**15)


@_compiled
def _largest_32(bits, best):
    for j in range(bits.shape[0]):
        key = _I32(bits[j] ^ _I32((bits[j] >> _I32(31)) & _I32(0x7FFFFFFF)))
        best = max(best, _I32(key + _MOVE_32))
    return best


@_compiled
def _largest_16(bits, best):
    for j in range(bits.shape[0]):
        key = _I16(bits[j] ^ _I16((bits[j] >> _I16(15)) & _I16(0x7FFF)))
        best = max(best, _I16(key + _MOVE_16))
    return best


@_compiled
def _spread_32(row, largest, scale, cap):
    """Replace logits by exponentials (times the derivative of a softcap), and return the sum of the exponentials."""
    total = _F(0)
    if cap > 0:
        top = cap * _tanh(_F(largest * scale / cap))
        for j in range(row.shape[0]):
            bent = _tanh(_F(row[j] * scale / cap))
            e = _exp(_F(cap * bent - top))
            total += e
            row[j] = e * (_F(1) - bent * bent)
    else:
        for j in range(row.shape[0]):
            e = _exp(_F((row[j] - largest) * scale))
            total += e
            row[j] = e
    return total


@_compiled
def _spread_16(row, largest, scale, cap):
    total = _F(0)
    if cap > 0:
        top = cap * _tanh(_F(largest * scale / cap))
        for j in range(row.shape[0]):
            bent = _tanh(_F(_widened(row[j]) * scale / cap))
            e = _exp(_F(cap * bent - top))
            total += e
            row[j] = _narrowed(e * (_F(1) - bent * bent))
    else:
        for j in range(row.shape[0]):
            e = _exp(_F((_widened(row[j]) - largest) * scale))
            total += e
            row[j] = _narrowed(e)
    return total


@_compiled
def _finish(target, largest, total, scale, cap):
    """A row's log-odds and the derivative of the softcap at its target, float64."""
    target, largest = np.float64(target) * scale, np.float64(largest) * scale
    bend = 1.0
    if cap > 0:
        bent = np.tanh(target / cap)
        bend = 1.0 - bent * bent
        target, largest = cap * bent, cap * np.tanh(largest / cap)
    return target - largest - np.log(total), bend


@_compiled
def _rows_32(z, bits, targets, scale, cap, log_odds, norm, start, stop):
    for i in range(start, stop):
        row, y = z[i], targets[i]
        place = _largest_32(bits[i, y + 1 :], _largest_32(bits[i, :y], _I32(-(2**31))))
        key = _I32(place - _MOVE_32)
        largest = _I32(key ^ _I32((key >> _I32(31)) & _I32(0x7FFFFFFF))).view(_F)
        total = 0.0
        for first, last in ((0, y), (y + 1, row.shape[0])):
            for j in range(first, last, _BLOCK):
                total += _spread_32(row[j : min(j + _BLOCK, last)], largest, scale, cap)
        log_odds[i], bend = _finish(row[y], largest, total, scale, cap)
        if place > _INFINITE_32 or (bits[i, y] & _I32(0x7FFFFFFF)) > _I32(0x7F800000):
            log_odds[i] = _NAN
        norm[i] = total
        row[y] = -total * bend


@_compiled
def _rows_16(z, bits, targets, scale, cap, log_odds, norm, start, stop):
    for i in range(start, stop):
        row, y = z[i], targets[i]
        place = _largest_16(bits[i, y + 1 :], _largest_16(bits[i, :y], _I16(-(2**15))))
        key = _I16(place - _MOVE_16)
        largest = _widened(_U16(_I16(key ^ _I16((key >> _I16(15)) & _I16(0x7FFF)))))
        total = 0.0
        for first, last in ((0, y), (y + 1, row.shape[0])):
            for j in range(first, last, _BLOCK):
                total += _spread_16(row[j : min(j + _BLOCK, last)], largest, scale, cap)
        log_odds[i], bend = _finish(_widened(row[y]), largest, total, scale, cap)
        if place > _INFINITE_16 or (bits[i, y] & _I16(0x7FFF)) > _I16(0x7F80):
            log_odds[i] = _NAN
        norm[i] = total
        row[y] = _narrowed(_F(-total * bend))


def log_odds_and_dlogits(
    z: Tensor,  # (tokens, vocabulary), overwritten
    targets: Tensor,  # (tokens,)
    logit_scale: float = 1.0,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """See `rows.log_odds_and_dlogits`; `z` is float32 or bfloat16. It uses as many threads as torch."""
    log_odds, norm = torch.empty(2, len(targets), dtype=torch.float32)
    if z.dtype == torch.float32:
        kernel, values, bits = _rows_32, z.numpy(), z.view(torch.int32).numpy()
    else:
        kernel, values, bits = _rows_16, z.view(torch.uint16).numpy(), z.view(torch.int16).numpy()
    shared = (values, bits, targets.numpy(), _F(logit_scale), _F(softcap or 0), log_odds.numpy(), norm.numpy())
    threads = torch.get_num_threads()
    if threads == 1:
        kernel(*shared, 0, len(targets))
        return log_odds, norm
    bounds = [len(targets) * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start, stop: kernel(*shared, start, stop), bounds[:-1], bounds[1:]))
    return log_odds, norm
