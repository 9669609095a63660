"""Measures how long `slung audit` takes on a large corpus, and whether its memory stays flat.

    python benchmarks/audit.py --model DIR [--megabytes 1000] [--spans 100000] [--folder DIR]
    python benchmarks/audit.py --drawing-only [--megabytes 1000] [--spans 100000] [--folder DIR]

`--model` is a model's folder; only its tokenizer and config are read. The corpus is made up: sentences of random words
with e-mail addresses between them, about one per kilobyte, nearly all of them distinct. Needs twice the corpus's size
on the disk.

With `--drawing-only` the rows bring their tokens (words) and spans, so that nothing is tokenized or labeled: what is left is
the drawing itself, which is what could keep more with every row. No model is needed.

Prints a line every 30 seconds: seconds, rows read over both passes, and megabytes of memory that belong to the process.
Pages of the memory-mapped data set are not counted, since the system may take them back. The peak is the result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import yaml

from axolotl_slung.audit import draw
from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import preset
from axolotl_slung.labels.made_up import GIVEN, HEADS, TAILS
from axolotl_slung.labels.spanned import SpannedText


def write_corpus(path: Path, megabytes: int) -> None:
    draws, size = random.Random(1), 0
    words = [f"{draws.choice(HEADS)}{draws.choice(TAILS)}".lower() for _ in range(500)] + [
        "the",
        "of",
        "and",
        "to",
        "in",
        "it",
    ] * 60
    sentences = [" ".join(draws.choices(words, k=draws.randint(5, 20))) + "." for _ in range(20_000)]
    with open(path, "w", encoding="utf-8") as file:
        while size < megabytes * 1_000_000:
            text = draws.choices(sentences, k=20)
            for _ in range(2):
                address = f"{draws.choice(GIVEN)}.{draws.randrange(10**6):06}@example.com".lower()
                text.insert(draws.randrange(1, 20), f"Write to {address} about it.")
            size += file.write(json.dumps({"text": " ".join(text)}) + "\n")


def write_config(folder: Path, model: str) -> Path:
    data = {"path": str(folder / "rows.jsonl"), "ds_type": "json", "type": "completion"}
    config = {
        "base_model": model,
        "datasets": [data],
        "sequence_len": 2048,
        "micro_batch_size": 1,
        "num_epochs": 1,
        "learning_rate": 1.0e-5,
        "output_dir": str(folder / "out"),
        "plugins": ["axolotl_slung.SlungPlugin"],
        "slung": {"labelers": [{"type": "patterns", "builtin": ["email"]}]},
    }
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def measure(config: Path, output: Path, spans: int) -> None:
    command = [sys.executable, "-m", "axolotl_slung", "audit", str(config), "-o", str(output), "--spans", str(spans)]
    environment = {**os.environ, "HF_DATASETS_CACHE": str(config.parent / "cache"), "AXOLOTL_DO_NOT_TRACK": "1"}
    log, start, peak, told = config.parent / "log.txt", time.monotonic(), 0.0, 0.0
    with open(log, "wb") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        process = psutil.Process(child.pid)
        while child.poll() is None:
            memory = process.memory_info()
            own, seconds = (memory.rss - memory.shared) / 1e6, time.monotonic() - start
            peak = max(peak, own)
            if seconds >= told:
                told += 30
                rows = re.findall(rb"(\d+)/\d+ \[", log.read_bytes()[-400:])
                print(f"{seconds:6.0f} s {int(rows[-1]) if rows else 0:9,} rows {own:7.0f} MB", flush=True)
            time.sleep(1)
    cpu = os.times().children_user
    print(log.read_text(encoding="utf-8", errors="replace")[-600:])
    print(
        f"{time.monotonic() - start:.0f} s, {cpu:.0f} s of one core, peak {peak:.0f} MB, exit status {child.returncode}"
    )


class Rows:
    """The corpus with its words as tokens, and its addresses as spans."""

    def __init__(self, path: Path):
        self.path = path

    def spanned(self):
        with open(self.path, encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                ends = [word.end() for word in re.finditer(r"\s*\S+", text)]
                spans = [Span(*found.span(), 1.0, "email") for found in re.finditer(r"\S+@\S+", text)]
                yield [SpannedText(text, np.array([0, *ends]), np.ones(len(ends), dtype=bool), spans)]


def measure_drawing(rows: Path, output: Path, spans: int) -> None:
    process, start, state = psutil.Process(), time.monotonic(), {"rows": 0, "peak": 0.0, "told": 0.0}

    def progress() -> None:
        state["rows"] += 1
        if state["rows"] % 1000 == 0:
            memory, seconds = process.memory_info(), time.monotonic() - start
            own = (memory.rss - memory.shared) / 1e6
            state["peak"] = max(state["peak"], own)
            if seconds >= state["told"]:
                state["told"] += 30
                print(f"{seconds:6.0f} s {state['rows']:9,} rows {own:7.0f} MB", flush=True)

    drawn = draw([Rows(rows)], [], output, preset("masked"), spans=spans, progress=progress)
    sampled = sum(
        one["sampled"] for of_set in drawn.counts.values() for kind in of_set.values() for one in kind.values()
    )
    print(
        f"{time.monotonic() - start:.0f} s, {time.process_time():.0f} s of one core, peak {state['peak']:.0f} MB, {sampled:,} spans"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model")
    what.add_argument("--drawing-only", action="store_true")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="slung-audit-"))
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(folder / "rows.jsonl", options.megabytes)
    if options.drawing_only:
        measure_drawing(folder / "rows.jsonl", folder / "audit", options.spans)
    else:
        measure(write_config(folder, options.model), folder / "audit", options.spans)


if __name__ == "__main__":
    main()
