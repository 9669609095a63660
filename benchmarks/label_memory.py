"""Measures the peak memory of `slung label` for large documents, as JSON lines and as Parquet.

    python benchmarks/label_memory.py [--workers 2 16]

300 documents of 0.7 MB are made and labeled with `entities`. The peak is the proportional set size of all processes
together, so that shared pages count once. The files:

    lines        JSON lines
    parquet      Parquet in one row group, with pages of about 1 MB, as `datasets` writes it for the hub
    groups       the same in row groups of 100
    large page   Parquet in one row group as pyarrow writes it by default: one page holds all 210 MB
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path

import pyarrow
from memory import run_slung
from pyarrow import parquet


def files(folder: Path) -> dict[str, Path]:
    draw = random.Random(0)
    words = [f"w{number}" for number in range(20_000)]
    texts = [" ".join(draw.choices(words, k=110_000))[:700_000] for _ in range(300)]
    rows = pyarrow.table({"id": list(map(str, range(300))), "text": texts})
    made = {"lines": folder / "lines.jsonl"}
    with made["lines"].open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows.to_pylist())
    settings = {
        "parquet": {"use_content_defined_chunking": True},
        "groups": {"use_content_defined_chunking": True, "row_group_size": 100},
        "large page": {},
    }
    for name, options in settings.items():
        made[name] = folder / f"{name}.parquet"
        parquet.write_table(rows, made[name], **options)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 16])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "names.txt").write_text("w17 w23\nAda Lovelace\n")
        labeler = json.dumps({"type": "entities", "path": str(folder / "names.txt")})
        made = files(folder)
        for workers in options.workers:
            of_lines = None
            for kind, source in made.items():
                out = folder / f"out-{workers}-{kind}"
                seconds, megabytes = run_slung(["label", source, "-o", out, "-l", labeler, "-j", workers])
                of_lines = of_lines or megabytes
                ratio = f"x lines {megabytes / of_lines:.2f}"
                print(f"{workers:2} workers   {kind:11}{megabytes:6.0f} MB   {ratio}   {seconds:5.0f} s", flush=True)


if __name__ == "__main__":
    main()
