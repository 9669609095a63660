"""Measures how fast `slung mix` is beside the tokenizer alone, and whether its memory depends on the corpus's size.

    python benchmarks/mix.py --text documents.jsonl --tokenizer DIR [--megabytes 100 1000] [--workers 1 2] [--folder DIR]

`--text` is a file of JSON lines with `text`. Its sentences are put together at random to make the base corpus, with one
risky document (two sentences, of which one has a span) for ten of the base. The stream has nine tenths of the base's
tokens. `--folder` needs six times the corpus's size.

The tokenizer's own speed is that of `encode_batch_fast` on the same texts, in as many processes at once as `slung mix`
has. Memory is the proportional set size of all processes together, so that shared pages count once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import yaml
from memory import run_slung

_AT_ONCE = 1 << 18
"""Characters that the tokenizer gets at once, as in `slung mix`."""


def write_corpus(folder: Path, source: Path, megabytes: int) -> None:
    """Write `base.jsonl` with so many megabytes, and `risky.jsonl`."""
    with open(source, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    sentences = [one.strip() + "." for text in texts for one in text.split(". ") if one.strip()]
    draw, size, number = random.Random(1), 0, 0
    with (
        open(folder / "base.jsonl", "w", encoding="utf-8") as base,
        open(folder / "risky.jsonl", "w", encoding="utf-8") as risky,
    ):
        while size < megabytes * 1_000_000:
            row = {"id": f"b{number}", "text": " ".join(draw.choices(sentences, k=draw.randint(5, 30)))}
            line = json.dumps(row, ensure_ascii=False) + "\n"
            base.write(line)
            size += len(line.encode())
            if number % 10 == 0:
                first, second = draw.choices(sentences, k=2)
                row = {"id": f"r{number}", "text": f"{first} {second}", "spans": json.dumps([[0, len(first), 1.0]])}
                risky.write(json.dumps(row, ensure_ascii=False) + "\n")
            number += 1


def tokenize(tokenizer: str, path: Path, part: int, parts: int, start, done) -> None:
    """Count the tokens of every so-many-th batch of the file; put tokens and bytes in `done`."""
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(tokenizer).backend_tokenizer
    plain.no_truncation()
    plain.no_padding()
    batches: list[list[str]] = [[]]
    size = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            text = json.loads(line)["text"]
            if size + len(text) > _AT_ONCE:
                batches.append([])
                size = 0
            batches[-1].append(text)
            size += len(text)
    mine = batches[part::parts]
    start.wait()
    tokens = sum(len(one) for batch in mine for one in plain.encode_batch_fast(batch, add_special_tokens=False))
    done.put((tokens, sum(len(text.encode()) for batch in mine for text in batch)))


def tokenizer_speed(tokenizer: str, path: Path, workers: int) -> tuple[float, int]:
    """Megabytes of text per second of all processes together, and tokens."""
    context = multiprocessing.get_context("spawn")
    start, done = context.Barrier(workers + 1), context.Queue()
    arguments = [(tokenizer, path, part, workers, start, done) for part in range(workers)]
    processes = [context.Process(target=tokenize, args=one) for one in arguments]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    found = [done.get() for _ in processes]
    seconds = time.monotonic() - began
    for process in processes:
        process.join()
    return sum(size for _, size in found) / 1e6 / seconds, sum(tokens for tokens, _ in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for megabytes in options.megabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            folder = Path(name)
            write_corpus(folder, options.text, megabytes)
            size = sum((folder / f"{role}.jsonl").stat().st_size for role in ("base", "risky")) / 1e6
            for workers in options.workers:
                alone, tokens = tokenizer_speed(options.tokenizer, folder / "base.jsonl", workers)
                content = {
                    "tokenizer": options.tokenizer,
                    "base": [{"path": str(folder / "base.jsonl")}],
                    "risky": [{"path": str(folder / "risky.jsonl")}],
                    "tokens": int(tokens * 0.9),
                    "budgets": {"some": tokens // 100, "few": tokens // 1000},
                    "heldout": {"base": tokens // 1000},
                }
                (folder / "mix.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
                seconds, memory = run_slung(["mix", folder / "mix.yml", "-o", folder / "mix", "-j", workers])
                print(
                    f"{size:,.0f} MB, {tokens:,} tokens, {workers} processes: {seconds:.0f} s, {size / seconds:.2f} MB/s; the "
                    f"tokenizer alone {alone:.2f} MB/s: {size / seconds / alone:.2f} of it; peak {memory:.0f} MB",
                    flush=True,
                )
                shutil.rmtree(folder / "mix")


if __name__ == "__main__":
    main()
