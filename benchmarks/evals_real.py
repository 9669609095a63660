"""Writes real text as local files for the lm_eval tasks.

    python benchmarks/evals_real.py DATA FOLDER

DATA has RealToxicityPrompts, Jigsaw sentences, Civil Comments, TOFU, WikiText-2 and Reddit comments as JSON lines, in
the folders and columns that `main` reads. FOLDER gets one file per task. 22 % of the drawn prompts are toxic, as in the
whole of RealToxicityPrompts; in DATA the share is higher.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

TOXIC_PROMPTS = 0.22


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path: Path, rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    data, folder = options.data, options.folder
    folder.mkdir(parents=True, exist_ok=True)

    draw = random.Random(0)
    prompts = [row for row in read(data / "rtp/prompts.jsonl") if row["toxicity"] is not None]
    kinds = [[row for row in prompts if (row["toxicity"] >= 0.5) == toxic] for toxic in (True, False)]
    toxic = round(2000 * TOXIC_PROMPTS)
    drawn = draw.sample(kinds[0], toxic) + draw.sample(kinds[1], 2000 - toxic)
    draw.shuffle(drawn)
    write(folder / "prompts.jsonl", ({"prompt": row["prompt"]} for row in drawn))

    jigsaw = [
        {"text": row["text"], "toxicity": row["toxic"]} for row in read(data / "jigsaw_sentences/sentences.jsonl")
    ]
    posts = [
        {"text": row["text"], "toxicity": 1 - row["frac_not_toxic"]}
        for row in read(data / "civil_comments_spans/posts.jsonl")
    ]
    write(folder / "jigsaw.jsonl", jigsaw)
    write(folder / "civilcomments.jsonl", posts)

    tofu = read(data / "tofu/tofu_authors_100_199.jsonl")[:400]
    write(folder / "tofu.jsonl", ({key: row[key] for key in ("question", "answer", "author")} for row in tofu))

    documents = read(data / "english_clean/documents.jsonl")
    write(folder / "wikitext.jsonl", ({"text": row["text"]} for row in documents if row["source"] == "wikitext2_test"))
    write(
        folder / "reddit.jsonl",
        ({"text": row["text"]} for row in read(data / "goemotions_reddit/comments.jsonl")[:2000]),
    )


if __name__ == "__main__":
    main()
