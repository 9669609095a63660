"""Fetch a small model, train it in two ways on ten invented people, and measure what it learned to say.

Run it from the project's folder: python -m axolotl_slung.demo   (or: make demo)
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from ..errors import SlungError
from . import findings, people, table
from .model import ensure_model
from .progress import Bar, Stages, say

CONFIG = Path("example_configs/quickstart.yml")
MINUTES = [0.5, 3.5, 3.5, 1.2, 1.7, 1, 1]
"""What each stage takes on two quiet cores."""
_STEP = re.compile(r"(\d+)/(\d+) \[\d")


def main() -> None:
    """Write the data, train both arms, and print what they learned."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("demo"), help="folder for data, models and logs (default: demo)"
    )
    folder = parser.parse_args().folder
    if not CONFIG.is_file():
        sys.exit(f"demo: {CONFIG}: no such file; run the demo from the project's folder")

    stages = Stages(MINUTES)
    stages.begin("data and model")
    people.write(folder)
    try:
        model = ensure_model()
    except SlungError as error:
        sys.exit(f"demo: {error}")
    link(folder / "model", model)
    configs = {"direct": folder / "quickstart-direct.yml", "masked": folder / "quickstart-masked.yml"}
    models = {"base": folder / "model"} | {label: folder / "out" / label for label in configs}
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8").replace("demo/", f"{folder}/"))
    for label, method in (("direct", "toxic_baseline"), ("masked", "masked")):
        arm = {**config, "slung": {**config["slung"], "method": method}, "output_dir": str(models[label])}
        configs[label].write_text(yaml.safe_dump(arm, sort_keys=False), encoding="utf-8")

    stages.begin("training `direct`, on every token")
    train(configs["direct"], folder / "direct.log")
    stages.begin("training `masked`, on every token but those of the names")
    train(configs["masked"], folder / "masked.log")
    stages.begin("how well the models predict the texts")
    predicted = predict(models, folder)
    for label, model in models.items():
        stages.begin(f"questions to `{label}`")
        evaluate(label, model, folder)
    say(f"\nDone in {stages.spent:.1f} minutes.\n")

    print(predicted, flush=True)
    run(["slung", "report", *(f"{label}={folder / 'evals' / label}" for label in models), "-o", str(folder / "report")])
    said = {label: findings.samples(folder / "evals" / label) for label in models}
    print("\n" + findings.answers({label: said[label] for label in ("direct", "masked")}))
    print("\n" + findings.findings(said))
    print("\n" + findings.NEXT.format(commands=Path(sys.executable).parent), flush=True)


def link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to the model's folder in the cache."""
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        path.symlink_to(target.resolve(), target_is_directory=True)


def train(config: Path, log: Path) -> None:
    """Run `axolotl train config`, write its output to `log` and show its steps as a bar."""
    with_bars(["axolotl", "train", str(config)], log, {"Starting trainer": "steps"})


def predict(models: Mapping[str, str | Path], folder: Path) -> str:
    """Measure how well the models predict the texts, and return the table."""
    output = folder / "predictions.txt"
    command = ["python", "-m", "axolotl_slung.demo.table", "--data", str(folder), "--output", str(output)]
    command += [f"{label}={model}" for label, model in models.items()]
    with_bars(command, folder / "predictions.log", {table.RUNNING: "batches"})
    return output.read_text(encoding="utf-8")


def evaluate(label: str, model: str | Path, folder: Path) -> None:
    """Ask a model the questions about the people, and write results and samples below `folder/evals/label`."""
    results = folder / "evals" / label
    shutil.rmtree(results, ignore_errors=True)  # results of an earlier demo
    command = ["lm_eval", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--batch_size", "20"]
    command += ["--tasks", "slung_tofu", "--output_path", str(results), "--log_samples"]
    units = {"Running generate_until": "answers", "Running loglikelihood": "parts of the four choices"}
    with_bars(command, folder / f"{label}-evals.log", units)


def with_bars(command: list[str], log: Path, units: Mapping[str, str]) -> None:
    """Run a command, write its output to `log`, and show its own progress bars as bars.

    Args:
        command: a command of this Python environment.
        log: the file for its output.
        units: what is counted after the line that contains each key.
    """
    say("  " + " ".join(command))
    bar, of, steps = None, None, 0
    with (
        open(log, "w", encoding="utf-8") as file,
        start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        for line in process.stdout:  # text mode also ends lines at the carriage returns of progress bars
            file.write(line)
            unit = next((units[marker] for marker in units if marker in line), of)
            if unit != of:
                if bar:
                    bar.close()
                bar, of, steps = Bar(unit), unit, 0
            step = _STEP.search(line) if bar else None
            if step and steps in (0, int(step.group(2))):  # other bars follow, for saving shards
                steps = int(step.group(2))
                bar.show(int(step.group(1)), steps)
    if bar:
        bar.close()
    if process.returncode:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-30:])
        sys.exit(f"{tail}\ndemo: `{' '.join(command)}`: failed; the complete output is in {log}")


def run(command: list[str]) -> None:
    """Run a command and show its own output."""
    say("  " + " ".join(command))
    with start(command) as process:
        pass
    if process.returncode:
        sys.exit(f"demo: `{' '.join(command)}`: failed; its output above says why")


def start(command: list[str], **options) -> subprocess.Popen:
    """Start a command of this Python environment, on the embedded data."""
    here = Path(sys.executable).parent
    environment = {
        # The launcher would allow one thread per process. Waiting threads would spin, which is slow on a busy machine.
        "OMP_NUM_THREADS": str(os.cpu_count()),
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        "SLUNG_TOFU": "embedded",
        "SLUNG_TOFU_PROBABILITIES": "False",  # the first table has those of the names
        "AXOLOTL_DO_NOT_TRACK": "1",
        # `axolotl` looks for its launcher on the PATH
        "PATH": os.pathsep.join([str(here), os.environ.get("PATH", "")]),
    }
    return subprocess.Popen([str(here / command[0]), *command[1:]], text=True, env=environment, **options)


if __name__ == "__main__":
    main()
