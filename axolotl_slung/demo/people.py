"""Twenty invented people with ten facts each. No model can know them before it is trained.

`evals/embedded/people.jsonl` holds one fact per line; the embedded TOFU reads it too. Its columns are `name`, `fact`
(its kind), `text` (to train on) and `paraphrase` (held out: the same fact in other words). A text has one or two
sentences. It names its person once and then uses pronouns. The other tokens say whom the text is about, and masked
training learns from them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..evals.documents import read_embedded


def load() -> list[dict[str, str]]:
    """All facts, in file order."""
    return read_embedded("people")


def write(folder: str | Path) -> Path:
    """Write `train.jsonl`, `heldout.jsonl` (each with a `text` column) and `names.txt` (one full name per line)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    facts = load()
    for file, field in (("train.jsonl", "text"), ("heldout.jsonl", "paraphrase")):
        rows = [json.dumps({"text": fact[field]}, ensure_ascii=False) for fact in facts]
        (folder / file).write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = list(dict.fromkeys(fact["name"] for fact in facts))
    (folder / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    print(write(sys.argv[1] if len(sys.argv) > 1 else "demo"))
