"""The benchmark for GPUs runs from end to end at tiny sizes, so that time on a borrowed GPU is not spent on its errors."""

import json
import os
import subprocess
import sys

import pytest
from helpers import TESTS


def test_a_dry_run_of_the_gpu_benchmark(tmp_path):
    """It cannot run here: cuBLAS's paths, Triton's machine code, events, peak memory on a card, and the peers' kernels."""
    pytest.importorskip("triton", reason="pip install triton")
    root = TESTS.parent
    run = subprocess.run(
        [sys.executable, root / "benchmarks" / "gpu.py", "--dry", "--json", tmp_path / "gpu.json"],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "WRONG" not in run.stdout and "right" in run.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())
    [shape] = found["shapes"]
    assert shape["arms"]["axolotl-slung"]["ms"] > 0
    assert {"stock", "slung", "slung on logits"} <= found["step"].keys()
    assert "profile of" in run.stdout
