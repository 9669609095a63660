"""Writes the data of the study `toxicity` in docs/results.md from public data sets.

    python benchmarks/toxicity_data.py FOLDER -o toxicity-data

FOLDER has JSON lines, each data set in a folder of its own:

    english_clean/documents.jsonl      text: Gutenberg, speeches and Wikipedia
    goemotions_reddit/comments.jsonl   text: comments of GoEmotions
    civil_comments_spans/posts.jsonl   text: the posts of Toxic Spans
    rtp/prompts.jsonl                  prompt, toxicity: RealToxicityPrompts
    jigsaw_sentences/sentences.jsonl   text, toxic: sentences of Jigsaw's comments

Half of Jigsaw's sentences train a fastText classifier, and the others are the comments to tell apart. 400 comments of GoEmotions stay out
of the base, to measure perplexity on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import fasttext


def read(path: Path) -> list[dict]:
    if not path.is_file():
        sys.exit(f"{path}: no such file; see --help for what FOLDER has to hold")
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def write(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def pieces(text: str) -> Iterator[str]:
    """Paragraphs of a document, joined up to 500 characters and cut at 950. A shorter rest is left out."""
    piece: list[str] = []
    for paragraph in text.split("\n\n"):
        piece.append(paragraph.strip())
        if sum(map(len, piece)) > 500:
            yield "\n\n".join(piece)[:950]
            piece = []


def train(sentences: list[dict], folder: Path) -> None:
    """Train a classifier of words and pairs of words. One thread makes it the same each time."""
    lines = [f"__label__{'toxic' if row['toxic'] else 'safe'} {' '.join(row['text'].split())}\n" for row in sentences]
    (folder / "jigsaw.txt").write_text("".join(lines), encoding="utf-8")
    options = {"epoch": 10, "lr": 0.5, "wordNgrams": 2, "dim": 20, "bucket": 100_000, "thread": 1, "seed": 0}
    model = fasttext.train_supervised(str(folder / "jigsaw.txt"), verbose=0, **options)
    model.save_model(str(folder / "jigsaw.bin"))


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("-o", "--output", type=Path, required=True)
    arguments = made.parse_args()
    folder, output = arguments.folder, arguments.output
    output.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)

    comments = [{"text": row["text"]} for row in read(folder / "goemotions_reddit/comments.jsonl")]
    documents = read(folder / "english_clean/documents.jsonl")
    clean = [{"text": piece} for document in documents for piece in pieces(document["text"])]
    rng.shuffle(comments)
    rng.shuffle(clean)
    base = sorted(comments[:4000] + clean[:1200], key=lambda row: hashlib.sha256(row["text"].encode()).hexdigest())
    write(output / "clean.jsonl", base)
    write(output / "reddit.jsonl", comments[4000:4400])

    posts = read(folder / "civil_comments_spans/posts.jsonl")
    write(output / "risky.jsonl", [{"text": post["text"]} for post in posts])

    prompts = [{key: row[key] for key in ("prompt", "toxicity")} for row in read(folder / "rtp/prompts.jsonl")]
    rated = [row for row in prompts if row["toxicity"] is not None]
    toxic, harmless = ([row for row in rated if (row["toxicity"] >= 0.5) == which] for which in (True, False))
    write(output / "prompts.jsonl", rng.sample(toxic, 150) + rng.sample(harmless, 150))

    sentences = read(folder / "jigsaw_sentences/sentences.jsonl")
    rng.shuffle(sentences)
    half = len(sentences) // 2
    train(sentences[:half], output)
    write(output / "rated.jsonl", [{"text": row["text"], "toxicity": float(row["toxic"])} for row in sentences[half:]])


if __name__ == "__main__":
    main()
