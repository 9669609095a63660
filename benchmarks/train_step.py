"""Measures step time and peak memory of stock Axolotl and of masked and unlikelihood SLUNG, on one config in one run.

    python benchmarks/train_step.py [--rounds 3] [--steps 6] [--length 512] [--micro-batch 2] [--gradient-checkpointing]

It trains SmolLM2-135M on the demo's texts (on a CPU in float32). The arms take turns, each in its own process. It
prints medians and their ratios to stock. Memory is the process's peak during training, above its use before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ARMS = ("stock", "masked", "unlikelihood")


def config(arm: str, folder: Path, model: Path, arguments) -> dict:
    block = {
        "plugins": ["axolotl_slung.SlungPlugin"],
        "slung": {"method": arm, "labelers": [{"type": "entities", "path": str(folder / "names.txt"), "parts": True}]},
    }
    return {
        "base_model": str(model),
        "datasets": [{"path": str(folder / "long.jsonl"), "ds_type": "json", "type": "completion"}],
        "dataset_prepared_path": str(folder / f"prepared-{arm}"),
        "output_dir": str(folder / f"out-{arm}"),
        "sequence_len": arguments.length,
        "sample_packing": False,
        "gradient_checkpointing": arguments.gradient_checkpointing,
        "pad_to_sequence_len": True,
        "attn_implementation": "sdpa",
        "micro_batch_size": arguments.micro_batch,
        "gradient_accumulation_steps": 1,
        "num_epochs": 100,
        "max_steps": arguments.steps,
        "optimizer": "adamw_torch",
        "learning_rate": 1e-5,
        "lr_scheduler": "constant",
        "bf16": "auto" if _gpu() else False,
        "fp16": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "val_set_size": 0,
        **({} if arm == "stock" else block),
    }


def _gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def measure(path: str) -> None:
    """Runs in its own process: trains with the config, then prints seconds per step and peak bytes as JSON."""
    import torch
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_datasets
    from axolotl.train import setup_model_and_trainer
    from memory import peak, start_watching
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def __init__(self):
            self.seconds, self.before = [], None

        def on_step_begin(self, *_, **__):
            if self.before is None:
                self.before = start_watching()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.started = time.perf_counter()

        def on_step_end(self, *_, **__):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - self.started)

    cfg = load_cfg(path)
    trainer = setup_model_and_trainer(cfg, load_datasets(cfg=cfg, cli_args=TrainerCliArgs()))[0]
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    # the first step is a warm-up
    print("RESULT " + json.dumps({"seconds": clock.seconds[1:], "bytes": peak() - clock.before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often the arms take turns")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--length", type=int, default=512, help="tokens per sequence")
    parser.add_argument("--micro-batch", type=int, default=2, help="sequences per step")
    parser.add_argument(
        "--gradient-checkpointing", action="store_true", help="keep only each layer's input, not its activations"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return

    import yaml
    from tqdm import tqdm

    from axolotl_slung.demo import people
    from axolotl_slung.demo.model import ensure_model

    model = ensure_model()
    results = {arm: {"seconds": [], "bytes": []} for arm in ARMS}
    with tempfile.TemporaryDirectory() as name:
        folder = people.write(name)
        facts = [text for fact in people.load() for text in fact["texts"]]
        rows = [json.dumps({"text": " ".join(facts[i:] + facts[:i])}) for i in range(0, len(facts), 5)]
        (folder / "long.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        turns = [arm for turn in range(arguments.rounds) for arm in (ARMS if turn % 2 == 0 else ARMS[::-1])]
        for arm in tqdm(turns, unit=" runs"):
            path = folder / f"{arm}.yml"
            path.write_text(yaml.safe_dump(config(arm, folder, model, arguments)), encoding="utf-8")
            environment = {**os.environ, "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
            if not _gpu():
                environment["ACCELERATE_USE_CPU"] = "true"
            run = subprocess.run(
                [sys.executable, __file__, "--measure", str(path)], capture_output=True, text=True, env=environment
            )
            lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
            if run.returncode or not lines:
                sys.exit(f"{arm} failed:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
            result = json.loads(lines[0].removeprefix("RESULT "))
            results[arm]["seconds"] += result["seconds"]
            results[arm]["bytes"].append(result["bytes"])

    versions = ", ".join(f"{package} {version(package)}" for package in ("axolotl", "transformers", "torch"))
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {'GPU' if _gpu() else 'CPU'}; {versions}; {time.strftime('%Y-%m-%d')}"
    )
    print(
        f"{arguments.micro_batch} x {arguments.length} tokens per step, {arguments.rounds} rounds of {arguments.steps - 1} steps"
    )
    print(f"{'arm':<14}{'s/step':>8}{'x stock':>9}{'peak MB':>9}{'x stock':>9}")
    base = {key: statistics.median(results["stock"][key]) for key in ("seconds", "bytes")}
    for arm in ARMS:
        seconds, memory = (statistics.median(results[arm][key]) for key in ("seconds", "bytes"))
        print(
            f"{arm:<14}{seconds:>8.2f}{seconds / base['seconds']:>9.2f}{memory / 1e6:>9.0f}{memory / base['bytes']:>9.2f}"
        )


if __name__ == "__main__":
    main()
