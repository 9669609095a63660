"""Measures how `slung label` scales with processes and input, and the cost of labels in `axolotl preprocess`.

    python benchmarks/label_files.py --model MODEL.bin --tokenizer FOLDER [--label LABEL] [FILE.jsonl ...]

FILEs are JSON lines with a column `text`, as in benchmarks/labeling.py, which also makes a MODEL. The texts are
repeated up to the measured sizes, each copy with its paragraphs in a different order:

    processes    1 GB by one process and by two, in turns: medians and their ratio
    memory       the peak of all processes together, for 100 MB and for 1 GB of input
    preprocess   `axolotl preprocess` on 40 MB with a fastText block and without, in turns
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from labeling import DATA, TEXTS, documents
from memory import run_slung


def corpus(path: Path, texts: list[str], megabytes: int) -> Path:
    """Write texts up to `megabytes`, repeated with their paragraphs in a different order each time."""
    draw, size = random.Random(megabytes), 0
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 10**6:
            lines = draw.choice(texts).split("\n")
            draw.shuffle(lines)
            size += file.write(json.dumps({"id": str(size), "text": "\n".join(lines)}, ensure_ascii=False) + "\n")
    return path


def slung_label(source: Path, out: Path, labeler: str, workers: int, watched: bool = False) -> tuple[float, float]:
    """Seconds, and if `watched` the peak memory of all processes in MB, with shared pages counted once."""
    return run_slung(["label", source, "-o", out, "-l", labeler, "-j", workers], 0.5 if watched else 0)


def preprocess(folder: Path, source: Path, tokenizer: str, slung: dict) -> float:
    config = {
        "base_model": tokenizer,
        "datasets": [{"path": str(source), "ds_type": "json", "type": "completion"}],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        "sequence_len": 2048,
        "sample_packing": True,
        "micro_batch_size": 1,
        "num_epochs": 1,
        "learning_rate": 1e-4,
        "optimizer": "adamw_torch",
        "bf16": False,
        "fp16": False,
        "attn_implementation": "sdpa",
        **slung,
    }
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    start = time.monotonic()
    command = [Path(sys.executable).with_name("axolotl"), "preprocess", str(folder / "config.yml")]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--label", default="__label__toxic")
    parser.add_argument("--tokenizer", help="a folder with a model and its tokenizer, for `preprocess`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["processes", "memory", "preprocess"])
    options = parser.parse_args()
    texts = documents(options.files or [DATA / name for name in TEXTS], 12)
    entry = {"type": "fasttext", "model": options.model, "label": options.label}
    labeler = json.dumps(entry)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slung_label(corpus(folder / "warm.jsonl", texts, 1), folder / "warm", labeler, 2)
        if options.only in (None, "processes"):
            source, seconds = corpus(folder / "a.jsonl", texts, 1000), {1: [], 2: []}
            for number in range(options.rounds):
                for workers in seconds:
                    seconds[workers].append(slung_label(source, folder / f"{number}-{workers}", labeler, workers)[0])
            for workers, of in seconds.items():
                print(f"processes {workers}   {median(of):6.1f} s   {1000 / median(of):5.1f} MB/s")
            print(f"ratio {median(a / b for a, b in zip(seconds[1], seconds[2])):.2f}", flush=True)
        if options.only in (None, "memory"):
            peaks = {}
            for megabytes in (100, 1000):
                source = corpus(folder / f"{megabytes}.jsonl", texts, megabytes)
                seconds, peaks[megabytes] = slung_label(
                    source, folder / f"memory-{megabytes}", labeler, 2, watched=True
                )
                print(f"memory {megabytes} MB   {peaks[megabytes]:7.0f} MB   {seconds:6.1f} s", flush=True)
            print(f"ratio {peaks[1000] / peaks[100]:.3f}", flush=True)
        if options.only in (None, "preprocess"):
            source, seconds = corpus(folder / "b.jsonl", texts, 40), {"without": [], "with": []}
            blocks = {"without": {}, "with": {"plugins": ["axolotl_slung.SlungPlugin"], "slung": {"labelers": [entry]}}}
            for number in range(options.rounds):
                for arm, block in blocks.items():
                    (run := folder / f"preprocess-{number}-{arm}").mkdir()
                    # a new text in each round, or the cache of `map` would answer the second one
                    own = run / "b.jsonl"
                    own.write_text(
                        source.read_text(encoding="utf-8").replace('"id": "', f'"id": "{number}-'), encoding="utf-8"
                    )
                    seconds[arm].append(preprocess(run, own, options.tokenizer, block))
            for arm, of in seconds.items():
                print(f"preprocess {arm:8}{median(of):6.1f} s")
            print(f"ratio {median(a / b for a, b in zip(seconds['with'], seconds['without'])):.2f}")


if __name__ == "__main__":
    main()
