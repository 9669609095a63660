"""Peak memory: of this process, of its GPU if there is one, or of a command with all its processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path


def start_watching() -> int:
    """Reset the peak. Returns the bytes in use."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux
    return _status("VmRSS")


def peak() -> int:
    """Peak bytes since `start_watching`."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _status("VmHWM")


def run_slung(words: Sequence[object], every: float = 0.2) -> tuple[float, float]:
    """Run `slung` with these words. Ends this process if it fails.

    Returns:
        Seconds, and the peak megabytes of all its processes together, in which shared pages count once. They are looked
        at after each `every` seconds; 0 never looks, and gives 0.
    """
    import psutil

    began, most = time.monotonic(), 0
    command = [sys.executable, "-m", "axolotl_slung", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def watch():
        nonlocal most
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.Error):
                most = max(most, sum(p.memory_full_info().pss for p in [parent, *parent.children(recursive=True)]))
            time.sleep(every)

    watcher = threading.Thread(target=watch)
    if every:
        watcher.start()
    _, errors = process.communicate()
    seconds = time.monotonic() - began
    if every:
        watcher.join()
    if process.returncode:
        sys.exit(errors.decode())
    return seconds, most / 1e6


def _status(key: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)]
    return int(line.split()[1]) * 1024
