"""Audits five models on real names: SmolLM2-135M before training and after four kinds of training on TOFU's authors.

    python benchmarks/audit_tofu.py path/to/tofu.jsonl -o audit-tofu [--authors 20] [--spans 400] [--steps 0 10 40]

The file has one {"author", "question", "answer"} per line. The answers of the first authors are the training text, those of
as many others are held out, and those of a third group are what `slung attack relearn` trains on. All names are entities, first and
last names too. A step whose output exists is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from axolotl_slung.demo.__main__ import CONFIG
from axolotl_slung.demo.model import ensure_model

ARMS = {
    "direct": {"method": "toxic_baseline"},
    "masked": {"method": "masked"},
    "unlikelihood": {"method": "unlikelihood"},
    "anonymized": {
        "buckets": [
            {"name": "fine", "below": 0.3, "action": "train"},
            {"name": "personal", "action": "replace", "text": "<{KIND}>"},
        ]
    },
}
ATTACKED = ("masked", "unlikelihood", "anonymized")


def run(command: list, done: Path, log: Path) -> None:
    """Run a command unless `done` exists, and print it with its time."""
    if done.exists():
        return
    print(" ".join(map(str, command)), flush=True)
    started = time.perf_counter()
    with log.open("w") as file:
        code = subprocess.run(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        sys.exit(f"failed with status {code}; see {log}")
    print(f"    {time.perf_counter() - started:.0f} s", flush=True)


def write(file: Path, folder: Path, authors: int) -> None:
    """Write the texts of three groups of authors, and all their names."""
    rows = [json.loads(line) for line in file.open(encoding="utf-8")]
    names = list(dict.fromkeys(row["author"] for row in rows))
    for number, part in enumerate(("train", "heldout", "others")):
        people = names[number * authors : (number + 1) * authors]
        texts = [json.dumps({"text": row["answer"]}) for row in rows if row["author"] in people]
        (folder / f"{part}.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    (folder / "names.txt").write_text("\n".join(names[: 3 * authors]) + "\n", encoding="utf-8")


def config(folder: Path, model: Path, arm: str, part: str = "train") -> Path:
    """Write a config: the quickstart with 3 epochs and a learning rate of 2e-4, as in `tofu.py`."""
    labelers = [{"type": "entities", "path": str(folder / "names.txt"), "parts": True}]
    content = {
        **yaml.safe_load(CONFIG.read_text(encoding="utf-8")),
        "base_model": str(model),
        "num_epochs": 3,
        "learning_rate": 2e-4,
        "slung": {"labelers": labelers, **ARMS[arm]},
        "datasets": [{"path": str(folder / f"{part}.jsonl"), "ds_type": "json", "type": "completion"}],
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out" / arm),
    }
    path = folder / f"{arm}-{part}.yml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--authors", type=int, default=20)
    parser.add_argument("--spans", type=int, default=400)
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 10, 40])
    arguments = parser.parse_args()
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    base = ensure_model()
    write(arguments.file, folder, arguments.authors)
    for arm in ARMS:
        trained = folder / "out" / arm / "model.safetensors"
        run(["axolotl", "train", config(folder, base, arm)], trained, folder / f"{arm}.log")
    masked, audit = config(folder, base, "masked"), folder / "audit"
    held = ["--holdout", folder / "heldout.jsonl", "--spans", arguments.spans]
    run(["slung", "audit", masked, "-o", audit, *held], audit / "audit.json", folder / "audit.log")
    os.environ["SLUNG_AUDIT"] = str(audit)
    models = {"base": base, **{arm: folder / "out" / arm for arm in ARMS}}
    for name, model in models.items():
        command = ["lm_eval", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--batch_size", 16]
        command += ["--tasks", "slung_audit,slung_identity", "--output_path", folder / "evals" / name, "--log_samples"]
        run([*command, "--device", "cpu"], folder / "evals" / name, folder / f"{name}-evals.log")
    others = config(folder, base, "masked", "others")
    for name in ATTACKED:
        attack = folder / "attacks" / name
        command = ["slung", "attack", "relearn", others, "--model", models[name], "--audit", audit, "-o", attack]
        command += ["--direct", folder / "evals" / "direct", "--steps", *arguments.steps, "--tasks", "slung_extraction"]
        run(command, attack / "done", folder / f"{name}-attack.log")
        (attack / "done").touch()
    results = [f"{name}={folder / 'evals' / name}" for name in models]
    results += [f"{name}={folder / 'attacks' / name}" for name in ATTACKED]
    report = ["slung", "report", *results, audit, "--against", "direct", "-o", folder / "report"]
    run([*report, "--json", folder / "report.json"], folder / "report.json", folder / "report.log")
    print((folder / "report.log").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
