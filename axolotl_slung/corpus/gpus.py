"""One GPU for each worker process, in turn."""

from __future__ import annotations

import os
import sys


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them. Empty if nothing has imported torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    torch = sys.modules.get("torch")  # a labeler that wants a GPU has imported it by now
    return [str(number) for number in range(torch.cuda.device_count())] if torch else []


def use_gpu(worker: int, gpus: list[str]) -> None:
    """Let this process see only the GPU of its worker. Call it before the process uses CUDA.

    Args:
        worker: the worker's number, from 0.
        gpus: see `visible_gpus`.
    """
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[worker % len(gpus)]
