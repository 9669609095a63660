"""Compares three ways to split text into sentences and classify them with fastText: Dolma's, lists, and slung's.

    python benchmarks/labeling.py FILE.jsonl ... --model MODEL.bin [--label LABEL] [--rounds 3] [--megabytes 8]
    python benchmarks/labeling.py FILE.jsonl ... --sentences SENTENCES.jsonl

The files are JSON lines with a column `text`. Short texts, such as comments, are joined by 20 into one document. With
`--sentences` (columns `text` and `toxic`) a model of a realistic size (800 MB) is trained and kept in the temporary
folder.

All arms take turns in one process on one core. Each number is the median over the rounds, and each ratio is the median
of the rounds' ratios. It needs the package `blingfire`.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import blingfire
import fasttext
import numpy as np

from axolotl_slung.labeling import FastTextLabeler

BYTES_A_TOKEN = 4.12
"""Bytes per token of English, for a vocabulary of 50,000."""
CUTS = (1e-4, 0.99)
"""The paper's bounds between its buckets."""


def read(path: Path) -> list[dict]:
    if not path.is_file():
        sys.exit(f"{path}: missing; give JSON lines with a column `text`")
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def documents(paths: list[Path], megabytes: float) -> list[str]:
    """The first texts of each file, short ones joined, up to `megabytes` in total."""
    texts = []
    for path in paths:
        rows = [row["text"] for row in read(path)]
        size = 1 if sum(map(len, rows)) > 2000 * len(rows) else 20
        texts.append(["\n\n".join(rows[i : i + size]) for i in range(0, len(rows), size)])
    share = megabytes * 1e6 / sum(len(text.encode()) for some in texts for text in some)
    return [text for some in texts for text in some[: max(1, round(len(some) * min(share, 1)))]]


def train(sentences: Path, folder: Path) -> Path:
    """Train a classifier of words and bigrams with the size of Dolma's (100 x 2,000,000). It takes seconds."""
    path = folder / "jigsaw_bigrams.bin"
    if not path.exists():
        rows = read(sentences)
        lines = [f"__label__{'toxic' if row['toxic'] else 'clean'} {' '.join(row['text'].split())}\n" for row in rows]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
        print(f"training a model in {folder}", flush=True)
        options = {"dim": 100, "wordNgrams": 2, "bucket": 2_000_000, "epoch": 5, "lr": 0.3, "thread": 11}
        fasttext.train_supervised(str(folder / "train.txt"), verbose=0, **options).save_model(str(path))
    return path


def score_of(labels, values, label: str) -> float:
    return float(values[labels.index(label)]) if label in labels else 0.0


def dolma(model, label: str, texts: list[str]) -> list:
    """As Dolma's taggers do: blingfire with offsets per document, one `predict` per sentence."""
    found = []
    for text in texts:
        spans = []
        for start, end in blingfire.text_to_sentences_and_offsets(text)[1]:
            sentence = text[start:end].replace("\n", " ").strip()
            spans.append((start, end, score_of(*model.predict(sentence, k=-1), label)))
        found.append(spans)
    return found


def predict_lists(model, label: str, texts: list[str]) -> list:
    """As `dolma`, but with one `predict` for all sentences of a document."""
    found = []
    for text in texts:
        offsets = blingfire.text_to_sentences_and_offsets(text)[1]
        sentences = [text[start:end].replace("\n", " ").strip() for start, end in offsets]
        scores = [score_of(*result, label) for result in zip(*model.predict(sentences, k=-1))]
        found.append([(*span, score) for span, score in zip(offsets, scores)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="JSON lines with a column `text`")
    made = parser.add_mutually_exclusive_group(required=True)
    made.add_argument("--model", type=Path, help="a fastText classifier")
    made.add_argument("--sentences", type=Path, help="JSON lines with columns `text` and `toxic`, to train one on")
    parser.add_argument("--label", default="__label__toxic", help="the label whose probability is the score")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8, help="use at most this much text")
    parser.add_argument("--batch", type=int, default=100, help="documents per call of the labeler")
    arguments = parser.parse_args()

    texts = documents(arguments.files, arguments.megabytes)
    path = arguments.model or train(arguments.sentences, Path(tempfile.gettempdir()) / "axolotl-slung-benchmark")
    model = fasttext.load_model(str(path))

    labeler = FastTextLabeler("--model", str(path), arguments.label)
    labeler.check()
    labeler.label(texts[:1], [{}])  # compiles, or loads compiled code

    def ours() -> list:
        batches = [texts[i : i + arguments.batch] for i in range(0, len(texts), arguments.batch)]
        return [spans for batch in batches for spans in labeler.annotate(batch, [{}] * len(batch))]

    arms = {
        "Dolma's way": lambda: dolma(model, arguments.label, texts),
        "predict on lists": lambda: predict_lists(model, arguments.label, texts),
        "ours": ours,
    }
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} documents, {size / 1e6:.1f} MB; {path}, {path.stat().st_size / 1e6:.0f} MB", flush=True)

    seconds: dict[str, list[float]] = {name: [] for name in arms}
    found = {}
    for _ in range(arguments.rounds):
        for name, arm in arms.items():
            found.pop(name, None)
            gc.collect()
            gc.freeze()  # garbage collection must not scan what other arms left
            started = time.process_time()
            found[name] = arm()
            seconds[name].append(time.process_time() - started)
            gc.unfreeze()

    first = next(iter(arms))
    head = f"{'documents/s':>12}{'MB/s':>8}{'tokens/s':>12}{'times Dolma':>13}"
    print(f"\n{'per core':18}{head}   at {BYTES_A_TOKEN} bytes per token")
    for name, times in seconds.items():
        middle = median(times)
        ratio = median(base / own for base, own in zip(seconds[first], times))
        speeds = f"{len(texts) / middle:12.0f}{size / 1e6 / middle:8.2f}{size / BYTES_A_TOKEN / middle:12,.0f}"
        print(f"{name:18}{speeds}{ratio:13.2f}")

    theirs, mine = ([span[:3] for spans in found[name] for span in spans] for name in (first, "ours"))
    if [span[:2] for span in theirs] != [span[:2] for span in mine]:
        sys.exit("blingfire's boundaries DIFFER")
    apart = max(abs(min(a[2], 1.0) - b[2]) for a, b in zip(theirs, mine))
    sides = [np.searchsorted(CUTS, [span[2] for span in spans], side="right") for spans in (theirs, mine)]
    changed = (sides[0] != sides[1]).sum()
    print(f"\n{len(mine)} sentences, boundaries the same, scores within {apart:.1e}, {changed} in another bucket")


if __name__ == "__main__":
    main()
