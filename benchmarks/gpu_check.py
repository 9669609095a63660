"""Whether the fused loss is right on this device: against float64, at awkward sizes. `gpu.py` runs it first.

python benchmarks/gpu_check.py        # prints a line per check; ends with 1 if one is wrong
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple
from unittest import mock

import torch
from torch import Tensor

from axolotl_slung.loss import cross_entropy, linear_selective_loss, on_hidden_states, unlikelihood
from axolotl_slung.loss.reference import logits_reference, selective_loss_reference
from axolotl_slung.loss.rows import log_odds_and_dlogits, with_torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
VOCABULARIES = (2, 7, 1000, 4095, 4096, 4097, 32001, 50257, 50304, 128256, 262144)
OPTIONS = ((1.0, None), (0.0625, None), (1.0, 30.0), (2.0, 5.0))
"""Scales and softcaps."""


class Check(NamedTuple):
    """What was compared, the largest relative error, and the error that is allowed."""

    what: str
    error: float
    allowed: float

    @property
    def right(self) -> bool:
        return self.error <= self.allowed  # NaN is not


def relative(found: Tensor, true: Tensor) -> float:
    return ((found.double() - true).norm() / true.norm().clamp(min=1e-300)).item()


def rows(vocabularies=VOCABULARIES) -> Iterator[Check]:
    """Log-odds and gradients of single rows, aligned and not."""
    for vocabulary in vocabularies:
        for dtype, allowed in ((torch.float32, 1e-5), (torch.bfloat16, 5e-3), (torch.float16, 1e-3)):
            worst = {"log-odds": 0.0, "gradient": 0.0}
            for option in OPTIONS:
                for padding in (0, -vocabulary % 64, 3):
                    torch.manual_seed(vocabulary)
                    # what lies beside the row must not be read or written
                    memory = torch.full((9, vocabulary + padding), torch.nan, device=DEVICE, dtype=dtype)
                    z = memory[:, :vocabulary].copy_(torch.randn(9, vocabulary, device=DEVICE) * 6)
                    targets = torch.randint(vocabulary, (9,), device=DEVICE)
                    targets[0], targets[1] = 0, vocabulary - 1
                    truth = z.double()
                    m, _ = with_torch(truth, targets, *option)
                    found, norm = log_odds_and_dlogits(z, targets, *option)
                    beside = memory[:, vocabulary:].isnan().all().item()
                    errors = relative(found, m), relative(z.double() / norm.double()[:, None], truth)
                    for name, error in zip(worst, errors):
                        worst[name] = max(worst[name], error if beside and error == error else float("inf"))
            yield Check(f"rows of {vocabulary}, {dtype}: log-odds", worst["log-odds"], 1e-5)
            yield Check(f"rows of {vocabulary}, {dtype}: gradient", worst["gradient"], allowed)


def losses(sizes=((1, 50304, 64), (777, 50257, 128), (4096, 32000, 512), (5000, 128256, 256))) -> Iterator[Check]:
    """Loss and gradients of cross-entropy, unlikelihood and masked tokens together."""
    for tokens, vocabulary, width in sizes:
        for dtype, allowed in (
            (torch.float64, 1e-10),
            (torch.float32, 1e-4),
            (torch.bfloat16, 1e-2),
            (torch.float16, 1e-2),
        ):
            torch.manual_seed(0)
            hidden = torch.randn(tokens, width, device=DEVICE).to(dtype)
            weight = (torch.randn(vocabulary, width, device=DEVICE) * width**-0.5).to(dtype)
            targets = torch.randint(vocabulary, (tokens,), device=DEVICE)
            b = (torch.rand(tokens, device=DEVICE) < 0.3).float()
            a = (1 - b) * (torch.rand(tokens, device=DEVICE) < 0.8)
            a[0] = 1 - b[0]
            leaves = [x.clone().requires_grad_() for x in (hidden, weight)]
            loss, _ = linear_selective_loss(*leaves, targets, {cross_entropy: a, unlikelihood: b})
            (loss / tokens).backward()
            true = [x.double().requires_grad_() for x in (hidden, weight)]
            true_loss = selective_loss_reference(logits_reference(*true), targets, a.double(), b.double()).sum()
            (true_loss / tokens).backward()
            errors = [relative(loss.detach(), true_loss.detach())]
            errors += [relative(x.grad, y.grad) for x, y in zip(leaves, true)]
            for name, error in zip(("loss", "d hidden", "d weight"), errors):
                yield Check(f"{tokens} x {width} x {vocabulary}, {dtype}: {name}", error, allowed)


def chunks(sizes=((777, 50257, 128), (4096, 32000, 512)), tokens: int = 300) -> Iterator[Check]:
    """The same for several chunks of tokens, whose gradients are added up."""
    size = on_hidden_states.ChunkSize(0, tokens)
    with mock.patch.multiple(on_hidden_states, CHUNK=size, _cuda_chunk=lambda _device: size):
        for check in losses(sizes):
            yield check._replace(what=f"in chunks of {tokens}: {check.what}")


def limits() -> Iterator[Check]:
    """More than 2^31 logits, sums that float16 cannot hold, and targets outside the vocabulary. Needs a GPU."""
    z = torch.randn(17000, 131072, device=DEVICE, dtype=torch.bfloat16)
    targets = torch.randint(131072, (17000,), device=DEVICE)
    truth = z[-3:].double()
    m, _ = with_torch(truth, targets[-3:])
    found, _ = log_odds_and_dlogits(z, targets)
    yield Check("rows beyond 2^31 logits: log-odds", relative(found[-3:], m), 1e-5)
    yield Check("rows beyond 2^31 logits: gradient", relative(z[-3:], truth), 5e-3)
    del z
    hidden = (torch.ones(16384, 256, device=DEVICE) * 8).half().requires_grad_()
    weight = (torch.randn(1000, 256, device=DEVICE) * 0.01).half().requires_grad_()
    targets = torch.full((16384,), 7, device=DEVICE)
    loss, _ = linear_selective_loss(hidden, weight, targets, {cross_entropy: torch.ones(16384, device=DEVICE)})
    (loss / 16384).backward()
    true = [x.detach().double().requires_grad_() for x in (hidden, weight)]
    torch.nn.functional.cross_entropy(true[0] @ true[1].T, targets).backward()
    yield Check("float16, 16384 equal tokens: d weight", relative(weight.grad, true[1].grad), 1e-2)
    z = torch.randn(3, 50304, device=DEVICE)
    m, _ = log_odds_and_dlogits(z, torch.tensor([50304, 5, -1], device=DEVICE))
    yield Check("targets outside the vocabulary: NaN", float(m.isnan().tolist() != [True, False, True]), 0)


def waits() -> Iterator[Check]:
    """Forward and backward of the fused loss must not wait for the device once the kept tokens are known."""
    hidden = torch.randn(512, 64, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.randn(1000, 64, device=DEVICE, dtype=torch.bfloat16, requires_grad=True)
    targets, ones = torch.randint(1000, (512,), device=DEVICE), torch.ones(512, device=DEVICE)
    kept = torch.arange(500, device=DEVICE)
    error = 0.0
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss, _ = linear_selective_loss(hidden, weight, targets, {cross_entropy: ones}, kept=kept)
        loss.backward()
    except RuntimeError as waited:
        print(waited)
        error = 1.0
    finally:
        torch.cuda.set_sync_debug_mode("default")
    yield Check("waits of the host in the fused loss", error, 0)


def run(small: bool = False) -> bool:
    """Print each check. Returns whether all are right."""
    groups = [rows(), losses(), chunks()]
    if small:
        groups = [rows(VOCABULARIES[:3]), losses(((1, 131, 8), (77, 1003, 16))), chunks(((77, 1003, 16),), tokens=30)]
    if DEVICE.type == "cuda":
        groups += [limits(), waits()]
    right = True
    for check in (check for group in groups for check in group):
        right &= check.right
        print(
            f"{'right' if check.right else 'WRONG'}  {check.error:8.1e}  at most {check.allowed:.0e}  {check.what}",
            flush=True,
        )
    return right


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
