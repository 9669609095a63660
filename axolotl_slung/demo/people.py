"""Ten invented people with six facts each. No model can know them before it is trained.

`evals/embedded/people.jsonl` holds one fact per line; the embedded TOFU reads it too. Its columns:

- `name`, and `kind`, one of six; every person has a fact of each kind, so that a wrong answer of the same kind exists;
- `texts`, to train on: two statements, and a question with its answer;
- `question` and `answer`: the question is in other words than the one in `texts`;
- `paraphrase`, held out: the fact in other words.

Every text names its person before it says the fact, because masked training learns from the names only as context.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..evals.documents import read_embedded


def load() -> list[dict]:
    """All facts, in file order."""
    return read_embedded("people")


def write(folder: str | Path) -> Path:
    """Write `train.jsonl`, `heldout.jsonl` (each with a `text` column) and `names.txt` (one full name per line)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = load()
    texts = {
        "train.jsonl": [text for fact in facts for text in fact["texts"]],
        "heldout.jsonl": [fact["paraphrase"] for fact in facts],
    }
    for file, its in texts.items():
        rows = [json.dumps({"text": text}, ensure_ascii=False) for text in its]
        (folder / file).write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = list(dict.fromkeys(fact["name"] for fact in facts))
    (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    print(write(sys.argv[1] if len(sys.argv) > 1 else "demo"))
