"""Trains on the answers of real TOFU authors, directly and masked, like the demo, and prints the demo's table.

    python benchmarks/tofu.py path/to/tofu.jsonl [--authors 20]

The file has one {"author", "question", "answer"} per line. The answers are the training text. The file has no
paraphrases, so the held-out text is the answers of equally many other authors. No model is trained on their names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import yaml

from axolotl_slung.demo import table
from axolotl_slung.demo.__main__ import CONFIG, train
from axolotl_slung.demo.model import ensure_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--authors", type=int, default=20)
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in arguments.file.open(encoding="utf-8")]
    authors = list(dict.fromkeys(row["author"] for row in rows))
    chosen, others = authors[: arguments.authors], authors[arguments.authors : 2 * arguments.authors]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, people in (("train", chosen), ("heldout", others)):
            texts = [json.dumps({"text": row["answer"]}) for row in rows if row["author"] in people]
            (folder / f"{file}.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
        (folder / "names.txt").write_text("\n".join(chosen + others) + "\n", encoding="utf-8")
        base = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        models = {"base": ensure_model()}
        for arm, method in (("direct", "toxic_baseline"), ("masked", "masked")):
            config = {
                **base,
                "base_model": str(models["base"]),
                "num_epochs": 3,
                "learning_rate": 2e-4,
                "slung": {
                    "method": method,
                    "labelers": [{"type": "entities", "path": str(folder / "names.txt"), "parts": True}],
                },
                "datasets": [{"path": str(folder / "train.jsonl"), "ds_type": "json", "type": "completion"}],
                "dataset_prepared_path": str(folder / "prepared"),
                "output_dir": str(folder / arm),
            }
            (folder / f"{arm}.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
            train(folder / f"{arm}.yml", folder / f"{arm}.log")
            models[arm] = folder / arm
        print(table.render(table.compare(models, *table.texts_of(folder))))


if __name__ == "__main__":
    main()
