"""The fused loss on a GPU in one call: right or wrong, time and memory against peers, a profile, and a training step.

    python benchmarks/gpu.py [--parts check time profile step] [--json gpu.json]
    python benchmarks/gpu.py --dry      # all parts at tiny sizes on any machine: shows that the script runs

It needs torch, triton, transformers and this package. Liger, Cut Cross-Entropy and QuACK are measured if they are
installed. Nothing is timed after a wrong result. The arms take turns; medians are printed. The floor is only the three
matrix products that any exact gradient needs, with the vocabulary rounded up to a multiple of 64, for which cuBLAS is fast.
One label in twenty is unlikelihood. Peers marked "CE only" train it. Each timed call is queued behind other work of the
device, as in training, where the host runs ahead. An arm that waits for the device pays for it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import gpu_check
import loss as arms
import torch
from loss import DEVICE, Problem
from memory import peak, start_watching
from torch.nn import functional as F

from axolotl_slung.labels.buckets import preset
from axolotl_slung.labels.codec import encode
from axolotl_slung.loss import cross_entropy, linear_selective_loss, unlikelihood
from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss
from axolotl_slung.loss.counted import indices_of
from axolotl_slung.loss.objectives import has_loss
from axolotl_slung.loss.rows import backend_name

GPU = DEVICE.type == "cuda"
SHAPES = [
    (8192, 2048, 50304), (8192, 2048, 50257), (8192, 4096, 128256), (8192, 2048, 262144), (32768, 2048, 50304),
]  # fmt: skip
"""Tokens, width, vocabulary."""
QUEUED = 6_000_000
"""Cycles of the device, about 3 ms, that are queued before a timed call, so that its first launches cost nothing."""
PACKAGES = ("torch", "triton", "transformers", "liger-kernel", "cut-cross-entropy", "quack-kernels", "axolotl")


def conditions() -> dict:
    """The card, its driver, the packages and the date."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    if GPU:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        found["card"], found["driver"] = subprocess.check_output(query, text=True).strip().split(", ")
        found["cuda"] = torch.version.cuda
    return {**found, "date": time.strftime("%Y-%m-%d")}


# ---------------------------------------------------------------------------------------------------------------- arms


def ours(p: Problem):
    """As the head calls it: the trainer has counted the tokens with a loss, so the host does not wait for the device."""
    actions = {cross_entropy: p.a, unlikelihood: p.b}
    kept = indices_of(has_loss(actions), len(p.targets))
    loss, _ = linear_selective_loss(p.hidden, p.weight, p.targets, actions, kept=kept)
    (loss / len(p.targets)).backward()


@torch.compile
def _compiled_plain(hidden, weight, labels):
    return F.cross_entropy(F.linear(hidden, weight).float(), labels)


def compiled(p: Problem):
    if not GPU:
        raise NotImplementedError("it takes long to compile for a CPU")
    _compiled_plain(p.hidden, p.weight, p.labels).backward()


def quack(p: Problem):
    from quack.linear_cross_entropy import chunked_linear_cross_entropy

    chunked_linear_cross_entropy(p.hidden, p.weight, p.labels, tuned=False).backward()


def exact_cce(p: Problem):
    from cut_cross_entropy import linear_cross_entropy

    linear_cross_entropy(p.hidden, p.weight, p.labels, filter_eps=None).backward()


ARMS: dict[str, Callable[[Problem], None]] = {
    "axolotl-slung": ours,
    "Hugging Face, CE only": arms.hugging_face,
    "Hugging Face, torch.compile, CE only": compiled,
    "torch linear_cross_entropy, CE only": arms.torch_mean,
    "Liger fused linear, CE only": arms.liger,
    "Cut Cross-Entropy, CE only": arms.cce,
    "Cut Cross-Entropy without its filter, CE only": exact_cce,
    "QuACK chunked, CE only": quack,
}


def timed(function: Callable, problem: Problem) -> tuple[float, int]:
    """Milliseconds between two events on the device, and peak bytes above those in use before."""
    problem.clear()
    before = start_watching()
    if not GPU:
        started = time.perf_counter()
        function(problem)
        return (time.perf_counter() - started) * 1e3, peak() - before
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(QUEUED)
    first.record()
    function(problem)
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last), peak() - before


def compare(tokens: int, width: int, vocabulary: int, rounds: int, budget: float) -> dict:
    """Print the table of one shape: medians over at most `rounds` turns and about `budget` seconds."""
    problem = Problem(tokens, vocabulary, width, torch.bfloat16 if GPU else torch.float32)
    usable, results = {}, {}
    for name, arm in ARMS.items():
        try:
            for _ in range(2):  # compiles, and warms the allocator
                timed(arm, problem)
            usable[name] = arm
        except Exception as error:
            reason = type(error).__name__ if not isinstance(error, ImportError) else "not installed"
            results[name] = {"not measured": f"{reason}: {str(error).splitlines()[0][:90] if str(error) else ''}"}
        problem.clear()
        if GPU:
            torch.cuda.empty_cache()
    round_up = Problem(tokens, vocabulary + -vocabulary % 64, width, problem.hidden.dtype)
    with torch.no_grad():
        logits = torch.empty(tokens, len(round_up.weight), dtype=problem.hidden.dtype, device=DEVICE)
        round_up.floor_memory = logits, torch.empty_like(problem.hidden), torch.empty_like(round_up.weight)
    seen: dict[str, list] = {name: [] for name in ("floor", *usable)}
    timed(arms.floor, round_up)
    started = time.perf_counter()
    for _ in range(rounds):
        seen["floor"].append(timed(arms.floor, round_up))
        for name, arm in usable.items():
            seen[name].append(timed(arm, problem))
        if time.perf_counter() - started > budget:
            break
    medians = {name: tuple(map(statistics.median, zip(*values))) for name, values in seen.items()}
    base = medians["floor"][0]
    flops = 6 * tokens * width * vocabulary
    print(f"\n{tokens} tokens, width {width}, vocabulary {vocabulary}; floor {base:.2f} ms = {flops / base / 1e9:.0f} TFLOP/s; "
          f"{len(seen['floor'])} turns")  # fmt: skip
    print(f"{'':<48}{'ms':>8}{'x floor':>9}{'MB':>8}")
    for name in ARMS:
        if name in medians:
            ms, size = medians[name]
            results[name] = {"ms": ms, "floors": ms / base, "megabytes": size / 1e6}
            print(f"{name:<48}{ms:>8.2f}{ms / base:>9.2f}{size / 1e6:>8.0f}")
        else:
            print(f"{name:<48}{results[name]['not measured']}")
    sys.stdout.flush()
    return {"shape": [tokens, width, vocabulary], "floor_ms": base, "arms": results}


def liger_path() -> str:
    """Which implementation Liger takes here."""
    try:
        from liger_kernel.backends import available_impls

        return ", ".join(available_impls("fused_linear_cross_entropy", DEVICE)) or "its own Triton kernels"
    except Exception as error:
        return f"unknown ({type(error).__name__})"


# ------------------------------------------------------------------------------------------------------------- profile


def profile(tokens: int, width: int, vocabulary: int) -> None:
    """Print which kernels the time goes to."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    problem = Problem(tokens, vocabulary, width, torch.bfloat16 if GPU else torch.float32)

    def once():
        problem.clear()
        ours(problem)

    for _ in range(3):
        once()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if GPU else [])]
    with profiler(activities=activities) as seen:
        for _ in range(5):
            once()
        if GPU:
            torch.cuda.synchronize()
    order = "self_device_time_total" if GPU else "self_cpu_time_total"
    events = [e for e in seen.key_averages() if not GPU or e.self_device_time_total > 0]
    events.sort(key=lambda e: -getattr(e, order))
    if GPU:
        events = [e for e in events if e.device_type.name == "CUDA"]
    print(f"\nprofile of {tokens} x {width} x {vocabulary}, per call:")
    for event in events[:10]:
        print(f"  {getattr(event, order) / 5e3:9.3f} ms {event.count / 5:6.1f} times  {event.key[:84]}")
    print(f"  {sum(getattr(e, order) for e in events) / 5e3:9.3f} ms in all", flush=True)


# ---------------------------------------------------------------------------------------------------------------- step


def step(dry: bool, rounds: int) -> dict:
    """A training step of a Llama with random weights: 1.3 billion parameters, 16,384 tokens, with checkpointing.

    With half as many tokens the host, which launches three thousand kernels a step, takes longer than an H100.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    size = {
        "vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 2048, "tie_word_embeddings": False,
    }  # fmt: skip
    batch, length = (2, 16) if dry else (8, 2048)
    if dry:
        size |= {
            "vocab_size": 131,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        }
        size["num_key_value_heads"] = 4
    torch.manual_seed(0)
    ids = torch.randint(5, size["vocab_size"], (batch, length))
    risky = torch.rand(batch, length) < 0.05
    codes = torch.from_numpy(encode(ids.numpy(), torch.full(ids.shape, 2).numpy(), torch.ones(ids.shape).numpy()))
    coded = torch.where(risky, codes, ids)
    x, count, steps = ids.to(DEVICE), torch.tensor(batch * length, device=DEVICE), 1 if dry else 4
    arms = {}
    for name in ("stock", "stock, Liger's loss", "slung", "slung on logits"):
        torch.manual_seed(0)
        with DEVICE:
            config = AutoConfig.for_model("llama", **size)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if GPU else torch.float32).train()
        model.gradient_checkpointing_enable({"use_reentrant": False})
        try:
            if name == "stock, Liger's loss":
                _liger_loss(model)
            elif name != "stock":
                SelectiveCausalLMLoss(preset("unlikelihood")).attach(model, name == "slung")
        except Exception as error:
            print(f"{name:<24}not measured: {type(error).__name__}: {str(error)[:120]}", flush=True)
            continue
        labels = (ids if name.startswith("stock") else coded).to(DEVICE)
        arms[name] = model, torch.optim.AdamW(model.parameters(), lr=1e-5, fused=GPU), labels
    seen: dict[str, list] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, (model, optimizer, labels) in arms.items():
            before = start_watching()
            started = time.perf_counter()
            # steps follow one another as in training, where nothing waits for the device after each
            for _ in range(steps):
                if name == "slung":
                    model.loss_function.count_ahead([{"labels": labels}])
                model(input_ids=x, labels=labels, num_items_in_batch=count).loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            if GPU:
                torch.cuda.synchronize()
            if turn:  # the first compiles, and makes the optimizer's state
                seen[name].append(((time.perf_counter() - started) / steps * 1e3, (peak() - before) / 1e6))
    print(f"\ntraining step, {batch} x {length} tokens, Llama of {size['num_hidden_layers']} layers of {size['hidden_size']}; "
          f"{rounds} turns of {steps} steps")  # fmt: skip
    print(f"{'':<24}{'ms':>8}{'x stock':>9}{'MB above the start':>20}{'x stock':>9}")
    results = {}
    for name, values in seen.items():
        ms, above = map(statistics.median, zip(*values))
        results[name] = {"ms": ms, "megabytes_above": above}
        first = results["stock"]
        print(f"{name:<24}{ms:>8.1f}{ms / first['ms']:>9.3f}{above:>20.0f}{above / max(1, first['megabytes_above']):>9.3f}",
              flush=True)  # fmt: skip
    return results


def _liger_loss(model) -> None:
    if not GPU:
        raise ImportError("it needs a GPU")
    from liger_kernel.transformers import apply_liger_kernel_to_llama

    others = dict.fromkeys(("rope", "cross_entropy", "rms_norm", "swiglu"), False)
    apply_liger_kernel_to_llama(fused_linear_cross_entropy=True, model=model, **others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--parts", nargs="+", default=["check", "time", "profile", "step"], choices=["check", "time", "profile", "step"]
    )
    parser.add_argument("--rounds", type=int, default=15, help="how often the arms take turns, at most")
    parser.add_argument("--seconds", type=float, default=20, help="time for the turns of a shape, about")
    parser.add_argument("--json", help="a file for the figures")
    parser.add_argument("--dry", action="store_true", help="tiny sizes, one turn")
    arguments = parser.parse_args()
    dry, rounds = arguments.dry, 1 if arguments.dry else arguments.rounds
    result: dict = {"conditions": conditions()}
    print("; ".join(f"{key} {value}" for key, value in result["conditions"].items()))
    print(f"rows by {backend_name(DEVICE, torch.bfloat16)}; Liger takes: {liger_path()}", flush=True)
    if "check" in arguments.parts and not gpu_check.run(dry):
        sys.exit("wrong results: nothing is timed")
    shapes = [(64, 16, 131)] if dry else SHAPES
    if "time" in arguments.parts:
        result["shapes"] = [compare(*shape, rounds, arguments.seconds) for shape in shapes]
    if "profile" in arguments.parts:
        for shape in shapes:
            profile(*shape)
            if GPU:
                torch.cuda.empty_cache()
    if "step" in arguments.parts:
        try:
            result["step"] = step(dry, min(rounds, 4))
        except torch.OutOfMemoryError:
            print("training step: not measured: out of memory; four models beside each other take about 60 GB")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
