"""Trains on two real ranks of this machine's CPUs: plain DDP, or DeepSpeed's ZeRO-1, 2 and 3."""

import json
import shutil
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from helpers import HELPERS, ROOT
from helpers.axolotl_run import CompletedRun, child_environment, run_command, write_config

STRATEGIES = ("ddp", "zero1", "zero2", "zero3", "fsdp2")
FSDP2 = {
    "fsdp_version": 2,
    "fsdp_config": {
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "transformer_layer_cls_to_wrap": "LlamaDecoderLayer",
        "state_dict_type": "FULL_STATE_DICT",
        "reshard_after_forward": True,
    },
}


@dataclass
class RankRecord:
    """What one rank wrote down after training, while the process group still stood."""

    rank: int
    world_size: int
    distributed_type: str
    log_history: list
    loss_in_head: bool
    """Whether the fused loss ran, and did not fall back."""
    partitioned: dict
    """Name -> full shape, of the parameters that are empty here because the ranks share them out (ZeRO-3)."""
    optimizer_elements: int
    """Numbers that this rank's optimizer updates: all of them under DDP, half of them under ZeRO."""
    checksums: dict
    """Name -> sum in float64 of the full, gathered parameter."""

    @property
    def losses(self) -> list:
        return [entry["loss"] for entry in self.log_history if "loss" in entry]


@dataclass
class TwoRankRun(CompletedRun):
    """A finished run on two ranks."""

    ranks: list = field(default_factory=list)
    """Two `RankRecord`s, or fewer when the run failed."""
    weights_path: Path | None = None

    def weights(self) -> dict:
        """Name -> full parameter after training, as rank 0 gathered it."""
        from safetensors.torch import load_file

        return load_file(self.weights_path)


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run_two_ranks(config: dict, folder, strategy: str, env=None, timeout: float = 600) -> TwoRankRun:
    """Trains on two ranks of this machine's CPUs: plain "ddp", DeepSpeed's "zero1", "zero2" and "zero3", or "fsdp2".

    The return code is not checked: call `.check()`.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy={strategy!r} is none of {', '.join(STRATEGIES)}")
    folder = Path(folder)
    config = dict(config)
    environment = {"ACCELERATE_USE_CPU": "true"}
    if strategy == "fsdp2":
        config |= FSDP2
        environment = {"ACCELERATE_USE_CPU": None}
    elif strategy != "ddp":
        config["deepspeed"] = str(ROOT / "example_configs" / "deepspeed" / f"{strategy}.json")
        # with ACCELERATE_USE_CPU, Accelerate would pass DeepSpeed by and train plain DDP
        environment = {"ACCELERATE_USE_CPU": None, "DS_ACCELERATOR": "cpu"}

    records = folder / f"ranks-{strategy}"
    shutil.rmtree(records, ignore_errors=True)
    records.mkdir(parents=True)
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    line += [
        str(HELPERS / "distributed_launcher.py"),
        str(write_config(config, folder, f"{strategy}.yml")),
        str(records),
    ]

    started = time.time()
    returncode, output = run_command(line, folder, child_environment(folder, {**environment, **(env or {})}), timeout)
    ranks = [RankRecord(**json.loads(path.read_text())) for path in sorted(records.glob("rank*.json"))]
    return TwoRankRun(
        command=line,
        returncode=returncode,
        output=output,
        output_dir=Path(config["output_dir"]),
        log_history=ranks[0].log_history if ranks else [],
        seconds=time.time() - started,
        ranks=ranks,
        weights_path=records / "weights.safetensors",
    )


def assert_same_steps(ranks, weights, one, tolerance=1e-4):
    """The losses, the metrics and the weights of one process that accumulates both ranks' batches."""
    for rank in ranks:
        assert rank.losses == pytest.approx(one.losses, rel=1e-5)
    logs = [[e for e in log if "loss" in e] for log in (ranks[0].log_history, one.log_history)]
    for entry, expected in zip(*logs, strict=True):
        figures = {key: value for key, value in expected.items() if key.startswith("slung/")}
        assert len(figures) > 3 and {key: entry[key] for key in figures} == pytest.approx(figures, rel=1e-4)
    for name, weight in one.model.named_parameters():
        torch.testing.assert_close(
            weights[name], weight.detach(), rtol=1e-3, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
