"""Fetch a small model, train it in two ways on twenty invented people, and measure what it learned to say.

Run it from the project's folder: python -m axolotl_slung.demo   (or: make demo)
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from tqdm import tqdm

from ..errors import SlungError
from . import people, table
from .model import ensure_model, say

CONFIG = Path("example_configs/quickstart.yml")
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

    people.write(folder)
    try:
        model = ensure_model()
    except SlungError as error:
        sys.exit(f"demo: {error}")
    link(folder / "model", model)
    masked = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    direct = {
        **masked,
        "slung": {**masked["slung"], "method": "toxic_baseline"},
        "output_dir": str(folder / "out/direct"),
    }
    direct_config = folder / "quickstart-direct.yml"
    direct_config.write_text(yaml.safe_dump(direct, sort_keys=False), encoding="utf-8")

    started = time.time()
    train("direct: every token trained", direct_config, folder / "direct.log")
    train("masked: names in the context, without loss", CONFIG, folder / "masked.log")
    models = {"base": folder / "model", "direct": direct["output_dir"], "masked": masked["output_dir"]}
    say("measuring how well the models predict the texts")
    table.compare(models, *table.texts_of(folder))
    for label, model in models.items():
        evaluate(label, model, folder)
    say(f"done in {(time.time() - started) / 60:.1f} minutes; models in {folder / 'out'}, logs in {folder}")
    run(
        [
            "slung",
            "report",
            *(f"{label}={folder / 'evals' / label}" for label in models),
            "--output",
            str(folder / "report"),
        ]
    )


def link(path: Path, target: Path) -> None:
    """Make `path` a symbolic link to the model's folder in the cache."""
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        path.symlink_to(target.resolve(), target_is_directory=True)


def train(title: str, config: Path, log: Path) -> None:
    """Run `axolotl train config`, write its output to `log` and show its steps as a progress bar."""
    with_bar(title, ["axolotl", "train", str(config)], log, begins="Starting trainer", unit=" steps")


def evaluate(label: str, model: str | Path, folder: Path) -> None:
    """Run the lm_eval tasks on embedded data: names and facts of the people, and toxicity of a few prompts."""
    results = folder / "evals" / label
    shutil.rmtree(results, ignore_errors=True)  # results of an earlier demo
    command = ["lm_eval", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--batch_size", "64"]
    command += ["--tasks", "slung_tofu,slung_toxicity", "--output_path", str(results), "--log_samples"]
    with_bar(
        f"{label}: questions and prompts",
        command,
        folder / f"{label}-evals.log",
        begins="Running generate_until",
        unit=" answers",
    )


def with_bar(title: str, command: list[str], log: Path, *, begins: str, unit: str) -> None:
    """Run a command, write its output to `log`, and show its progress as a bar from the line that contains `begins`."""
    say(" ".join(command))
    bar = tqdm(desc=title, total=None, unit=unit, dynamic_ncols=True)
    with (
        open(log, "w", encoding="utf-8") as file,
        start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        begun = False
        for line in process.stdout:  # text mode also ends lines at the carriage returns of progress bars
            file.write(line)
            begun = begun or begins in line
            step = _STEP.search(line) if begun else None
            if step and bar.total in (None, int(step.group(2))):  # other bars follow, for saving shards
                bar.total = int(step.group(2))
                bar.update(int(step.group(1)) - bar.n)
    bar.close()
    if process.returncode:
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-30:])
        sys.exit(f"{tail}\ndemo: `{' '.join(command)}`: failed; the complete output is in {log}")


def run(command: list[str]) -> None:
    """Run a command and show its own output."""
    say(" ".join(command))
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
        "SLUNG_TOXICITY_PROMPTS": "embedded",
        # `axolotl` looks for its launcher on the PATH
        "PATH": os.pathsep.join([str(here), os.environ.get("PATH", "")]),
    }
    return subprocess.Popen([str(here / command[0]), *command[1:]], text=True, env=environment, **options)


if __name__ == "__main__":
    main()
