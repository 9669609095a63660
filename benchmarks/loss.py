"""Measures time and peak memory of head and loss, forward and backward, against all installed peers in one run.

    python benchmarks/loss.py [--widths 576 1024 2048] [--dtypes float32 bfloat16] [--tokens 4096] [--rounds 3]
    python benchmarks/loss.py --grow docs/loss.png     # how both grow with tokens and with the vocabulary

It runs on a CUDA GPU if there is one, else on the CPU. The arms take turns. Medians are printed, with their ratios to
Hugging Face's plain loss and to the floor. The floor is only the three matrix products that any exact gradient needs,
unchunked, into memory that is already allocated. Memory is the peak above the inputs.

One label in twenty is unlikelihood. Peers marked "CE only" do not support that, so they train these tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import os
import platform
import statistics
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from memory import peak, start_watching
from torch.nn import functional as F

from axolotl_slung.loss import cross_entropy, linear_selective_loss, unlikelihood
from axolotl_slung.loss.reference import selective_loss_reference
from axolotl_slung.loss.rows import backend_name

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Problem:
    """Inputs of one size: random hidden states, weights and targets, and the unlikelihood and masked tokens."""

    def __init__(self, tokens, vocabulary, width, dtype, masked=0.0, unlikelihood_share=0.05):
        torch.manual_seed(0)
        kind = {"device": DEVICE, "dtype": dtype}
        self.hidden = torch.randn(tokens, width, **kind).requires_grad_()
        self.weight = torch.empty(vocabulary, width, **kind).normal_(std=width**-0.5).requires_grad_()
        self.targets = torch.randint(vocabulary, (tokens,), device=DEVICE)
        draw = torch.rand(tokens, device=DEVICE)
        self.risky = draw < unlikelihood_share
        self.masked = draw > 1 - masked
        self.labels = torch.where(self.masked, -100, self.targets)
        self.a = (~self.risky & ~self.masked).float()
        self.b = (self.risky & ~self.masked).float()

    def clear(self):
        self.hidden.grad = self.weight.grad = None


# ---------------------------------------------------------------------------------------------------------------- arms


def ours(p: Problem):
    loss, _ = linear_selective_loss(p.hidden, p.weight, p.targets, {cross_entropy: p.a, unlikelihood: p.b})
    (loss / len(p.targets)).backward()


def hugging_face(p: Problem):
    from transformers.loss.loss_utils import ForCausalLMLoss

    logits = F.linear(p.hidden, p.weight)
    ForCausalLMLoss(logits, None, len(p.weight), shift_labels=p.labels).backward()


def hugging_face_unlikelihood(p: Problem):
    """Unlikelihood added to the plain loss in the simplest way."""
    logits = F.linear(p.hidden, p.weight).float()
    log_p = logits.log_softmax(-1).gather(1, p.targets[:, None])[:, 0]
    not_p = torch.log1p(-log_p.exp().clamp(max=1 - 1e-6))
    (-(p.a * log_p + p.b * not_p).sum() / len(p.targets)).backward()


def papers_formulation(p: Problem):
    """1 - softmax, clamped, plus cross-entropy over all tokens (the structure of the paper's code, not the code)."""
    logits = F.linear(p.hidden, p.weight).float()
    nll = F.cross_entropy(logits, p.targets, reduction="none")
    not_p = (1 - logits.softmax(-1)).clamp(min=1e-9).log()
    penalty = -not_p.gather(1, p.targets[:, None])[:, 0]
    ((p.a * nll + p.b * penalty).sum() / len(p.targets)).backward()


def torch_mean(p: Problem):
    F.linear_cross_entropy(p.hidden, p.weight, p.labels).backward()


def torch_none(p: Problem):
    """Its nll per token, and unlikelihood computed from that."""
    nll = F.linear_cross_entropy(p.hidden, p.weight, p.targets, reduction="none").float()
    penalty = -torch.log(-torch.expm1(-nll.clamp(min=1e-4)))
    ((p.a * nll + p.b * penalty).sum() / len(p.targets)).backward()


def trl(p: Problem):
    from trl.trainer.sft_trainer import _chunked_cross_entropy_loss

    _chunked_cross_entropy_loss(p.hidden, p.weight, 256, shift_labels=p.labels)[0].backward()


@functools.cache
def _compiled_reference():
    def loss(hidden, weight, targets, a, b):
        return selective_loss_reference(F.linear(hidden, weight).float(), targets, a, b).sum()

    return torch.compile(loss)


def compiled(p: Problem):
    (_compiled_reference()(p.hidden, p.weight, p.targets, p.a, p.b) / len(p.targets)).backward()


def liger(p: Problem):
    from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

    LigerFusedLinearCrossEntropyFunction.apply(p.hidden, p.weight, p.labels)[0].backward()


def cce(p: Problem):
    from cut_cross_entropy import linear_cross_entropy

    linear_cross_entropy(p.hidden, p.weight, p.labels).backward()


def floor(p: Problem):
    with torch.no_grad():
        z, dx, dw = p.floor_memory
        torch.mm(p.hidden, p.weight.T, out=z)
        torch.mm(z, p.weight, out=dx)
        torch.mm(z.T, p.hidden, out=dw)


ARMS = {
    "axolotl-slung": ours,
    "Hugging Face, CE only": hugging_face,
    "Hugging Face + unlikelihood": hugging_face_unlikelihood,
    "the paper's formulation": papers_formulation,
    "reference, torch.compile": compiled,
    "torch linear_cross_entropy, CE only": torch_mean,
    "torch linear_cross_entropy + unlikelihood": torch_none,
    "TRL chunked, CE only": trl,
    "Liger fused linear, CE only": liger,
    "Cut Cross-Entropy, CE only": cce,
}
OURS, PLAIN = "axolotl-slung", "Hugging Face, CE only"
NEEDS = {
    "TRL chunked, CE only": ("trl", False),
    "Liger fused linear, CE only": ("liger_kernel", True),
    "Cut Cross-Entropy, CE only": ("cut_cross_entropy", True),
}
"""The package that an arm needs, and whether it needs a GPU."""


def why_not(arm: str) -> str | None:
    """The reason why an arm cannot be measured here, or None."""
    package, gpu = NEEDS.get(arm, (None, False))
    if gpu and DEVICE.type != "cuda":
        return "not measured: it needs a GPU"
    if package and importlib.util.find_spec(package) is None:
        return f"not measured: {package} is not installed"
    return None


# ----------------------------------------------------------------------------------------------------------- measuring


def timed(function, problem) -> tuple[float, int]:
    """Seconds, and peak bytes above those in use before."""
    problem.clear()
    before = start_watching()
    started = time.perf_counter()
    function(problem)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, peak() - before


def measure(arms: dict, problem: Problem, rounds: int) -> dict[str, tuple[float, int]]:
    """Median seconds and bytes of each arm. The arms take turns."""
    seen: dict[str, list] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, function in arms.items():
            result = timed(function, problem)
            if turn:  # the first round is a warm-up
                seen[name].append(result)
    problem.clear()
    return {name: tuple(map(statistics.median, zip(*results))) for name, results in seen.items()}


def compare(tokens, vocabulary, width, dtype, rounds) -> None:
    """Print the table of one size."""
    problem = Problem(tokens, vocabulary, width, dtype)
    with torch.no_grad():
        empty = torch.empty(tokens, vocabulary, dtype=dtype, device=DEVICE)
        problem.floor_memory = empty, torch.empty_like(problem.hidden), torch.empty_like(problem.weight)
        floor(problem)
    arms = {name: function for name, function in ARMS.items() if why_not(name) is None}
    # the floor takes turns with the arms
    results = measure({"floor": floor, **arms}, problem, rounds)
    problem.floor_memory = None
    half = Problem(tokens, vocabulary, width, dtype, masked=0.5)
    masked = measure({"none": lambda _: ours(problem), "half": ours}, half, rounds)

    seconds, memory = results[PLAIN]
    base = results["floor"][0]
    unit, factor = ("ms", 1e3) if seconds < 1 else ("s", 1)
    print(f"\n{tokens} tokens, width {width}, vocabulary {vocabulary}, {str(dtype).removeprefix('torch.')}, rows by "
          f"{backend_name(DEVICE, dtype)}; floor {base * factor:.2f} {unit}")  # fmt: skip
    print(f"{'':<44}{unit:>8}{'x floor':>9}{'x HF':>7}{'MB':>8}{'x HF':>7}")
    for name in ARMS:
        if name in results:
            s, b = results[name]
            print(f"{name:<44}{s * factor:>8.2f}{s / base:>9.2f}{s / seconds:>7.2f}{b / 1e6:>8.0f}{b / memory:>7.2f}")
        else:
            print(f"{name:<44}{why_not(name)}")
    print(f"half of the tokens masked: {masked['half'][0] / masked['none'][0]:.2f} times as long as none", flush=True)


def grow(path: Path, rounds: int) -> None:
    """Plot time and memory against the number of tokens and the size of the vocabulary."""
    from matplotlib import pyplot

    arms = {OURS: ours, PLAIN: hugging_face}
    room = torch.cuda.mem_get_info()[0] if DEVICE.type == "cuda" else _available()
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), constrained_layout=True)
    for column, (what, sizes) in enumerate(
        [
            ("tokens", [(n, 50304) for n in (1024, 2048, 4096, 8192, 16384, 32768)]),
            ("vocabulary", [(2048, n) for n in (32768, 65536, 131072, 262144)]),
        ]
    ):
        points: dict[str, list] = {name: [] for name in arms}
        for tokens, vocabulary in sizes:
            problem = Problem(tokens, vocabulary, 576, torch.float32)
            fits = {name: arm for name, arm in arms.items() if name == OURS or tokens * vocabulary * 4 * 4 < room}
            for name, (seconds, memory) in measure(fits, problem, rounds).items():
                points[name].append((tokens if what == "tokens" else vocabulary, seconds, memory / 1e6))
                print(
                    f"{what}: {tokens} tokens, vocabulary {vocabulary}: {name}: {seconds:.2f} s, {memory / 1e6:.0f} MB",
                    flush=True,
                )
            del problem
        for row, label in enumerate(("seconds", "peak memory above the inputs, MB")):
            for (name, values), marker in zip(points.items(), "os"):
                axes[row, column].plot([v[0] for v in values], [v[row + 1] for v in values], marker=marker, label=name)
            axes[row, column].set(xscale="log", yscale="log", xlabel=what, ylabel=label)
            axes[row, column].set_xticks([v[0] for v in points[OURS]], [f"{v[0] // 1024}k" for v in points[OURS]])
            axes[row, column].minorticks_off()
            axes[row, column].grid(alpha=0.3)
    axes[0, 0].set_title("width 576, vocabulary 50304, float32")
    axes[0, 1].set_title("2048 tokens, width 576, float32")
    axes[0, 0].legend()
    figure.savefig(path, dpi=120)
    print(path)


def _available() -> int:
    [line] = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=int, default=8192 if DEVICE.type == "cuda" else 4096)
    parser.add_argument("--widths", type=int, nargs="+", default=[576, 1024, 2048])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=3, help="how often the arms take turns")
    parser.add_argument("--grow", type=Path, metavar="PNG", help="plot how time and memory grow instead")
    arguments = parser.parse_args()
    packages = []
    for package in ("torch", "transformers", "trl", "triton", "liger-kernel", "cut-cross-entropy", "numba"):
        with contextlib.suppress(PackageNotFoundError):
            packages.append(f"{package} {version(package)}")
    device = (
        torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{platform.machine()} CPU, {os.cpu_count()} cores"
    )
    print(f"{device}; {', '.join(packages)}; {time.strftime('%Y-%m-%d')}")
    if arguments.grow:
        grow(arguments.grow, arguments.rounds)
        return
    for dtype in arguments.dtypes:
        for width in arguments.widths:
            # the vocabularies of SmolLM2 and of OLMo 1
            compare(arguments.tokens, 49152 if width == 576 else 50304, width, getattr(torch, dtype), arguments.rounds)


if __name__ == "__main__":
    main()
