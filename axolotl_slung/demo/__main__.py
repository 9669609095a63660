"""The whole demo: fetch a model, train it on twenty invented people in two ways, and compare what it learned to say.

Run it from the project's folder: python -m axolotl_slung.demo   (or: make demo)
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import yaml
from tqdm import tqdm

from . import people, table
from .model import ensure_model, say

CONFIG = Path("example_configs/quickstart.yml")
_STEP = re.compile(r"(\d+)/(\d+) \[\d")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where data, models and logs go")
    folder = parser.parse_args().folder
    if not CONFIG.is_file():
        sys.exit(f"{CONFIG} is not here: run the demo from the project's folder")

    people.write(folder)
    link(folder / "model", ensure_model())
    masked = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    direct = {**masked, "slung": {**masked["slung"], "method": "toxic_baseline"}, "output_dir": str(folder / "out/direct")}
    direct_config = folder / "quickstart-direct.yml"
    direct_config.write_text(yaml.safe_dump(direct, sort_keys=False), encoding="utf-8")

    started = time.time()
    train("direct: every token trained", direct_config, folder / "direct.log")
    train("masked: names in the context, without loss", CONFIG, folder / "masked.log")
    models = {"base": folder / "model", "direct": direct["output_dir"], "masked": masked["output_dir"]}
    say("measuring")
    table.compare(models, *table.texts_of(folder))
    say(f"done in {(time.time() - started) / 60:.1f} minutes; models in {folder / 'out'}, logs in {folder}")


def link(path: Path, target: Path) -> None:
    """Make `path` a link to the model's folder in the cache."""
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        path.symlink_to(target.resolve(), target_is_directory=True)


def train(title: str, config: Path, log: Path) -> None:
    """Run `axolotl train config` with its output in `log` and a bar of its steps on the screen."""
    command = [str(Path(sys.executable).with_name("axolotl")), "train", str(config)]
    # `axolotl` looks for its launcher on the PATH
    environment = {
        # the launcher allows a process one thread otherwise; and threads that spin while they wait crawl on a busy machine
        "OMP_NUM_THREADS": str(os.cpu_count()),
        "OMP_WAIT_POLICY": "passive",
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    say(" ".join(["axolotl", *command[1:]]))
    bar = tqdm(desc=title, total=None, unit=" steps", dynamic_ncols=True)
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        training = False
        for line in process.stdout:  # text mode ends lines at carriage returns too, which bars write
            file.write(line)
            training = training or "Starting trainer" in line
            step = _STEP.search(line) if training else None
            if step and bar.total in (None, int(step.group(2))):  # other bars follow, of shards that are saved
                bar.total = int(step.group(2))
                bar.update(int(step.group(1)) - bar.n)
    bar.close()
    if process.wait():
        tail = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-30:])
        sys.exit(f"{tail}\ndemo: `axolotl train {config}` failed; the whole output is in {log}")


if __name__ == "__main__":
    main()
