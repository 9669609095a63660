"""The audit of one point of an attack: lm_eval in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FileError, SlungError, os_errors
from ..storage import opener

Run = Callable[[Sequence[str], Path, Mapping[str, str]], None]
"""Runs a command of this Python environment to its end: the command, the file for its output, more variables."""

_NOT_PASSED_ON = ("SLUNG_LM_EVAL_HOOK", "SLUNG_AUDIT_FORCED")
"""Variables that would change what an attack asks. Without the hook, lm_eval does not know `slung_guided`."""


def run(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> None:
    """Run a command, and write its output to a file that only the owner may read.

    Raises:
        SlungError: it failed.
    """
    here = Path(sys.executable).parent
    environment = {
        # the launcher of `axolotl train` would allow one thread
        "OMP_NUM_THREADS": str(os.cpu_count()),
        **{name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON},
        "AXOLOTL_DO_NOT_TRACK": "1",
        # `axolotl` looks for its launcher on the PATH
        "PATH": os.pathsep.join([str(here), os.environ.get("PATH", "")]),
        **variables,
    }
    line = [str(here / command[0]), *command[1:]]
    with os_errors(log), open(log, "w", encoding="utf-8", opener=opener(0o600)) as file:
        done = subprocess.run(line, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise SlungError(f"{' '.join(command[:2])}: failed; {log} has its output")


@dataclass(frozen=True)
class Audit:
    """How a model is asked.

    Attributes:
        folder: what `slung audit` wrote.
        tasks: lm_eval's names, separated by commas.
        batch_size, device: lm_eval's. None leaves the device to it.
        arguments: more of the model's arguments, such as its dtype.
        run: what runs commands.
    """

    folder: Path
    tasks: str
    batch_size: str = "16"
    device: str | None = None
    arguments: Mapping[str, Any] | None = None
    run: Run = run

    def ask(
        self,
        point: Path,
        arguments: Mapping[str, Any],
        model: str = "hf",
        variables: Mapping[str, str] | None = None,
    ) -> Path:
        """Audit a model, and return the folder of lm_eval's results.

        Args:
            point: the point's folder. Results of a run that did not end are removed from it.
            arguments: the model's, see `arguments_of`.
            model: lm_eval's kind of model.
            variables: options of the tasks.

        Raises:
            SlungError: lm_eval failed.
        """
        results = point / "results"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(parents=True, mode=0o700)
        given = json.dumps({**arguments, **(self.arguments or {})})
        command = ["lm_eval", "--model", model, "--model_args", given, "--tasks", self.tasks]
        command += ["--batch_size", self.batch_size, "--output_path", str(results), "--log_samples"]
        command += ["--device", self.device] if self.device else []
        self.run(command, point / "lm_eval.log", {"SLUNG_AUDIT": str(self.folder.resolve()), **(variables or {})})
        return results


def arguments_of(model: str) -> dict[str, str]:
    """lm_eval's arguments for a model: a hub id, a folder of weights, or a folder with an adapter.

    Raises:
        FileError: the adapter's settings cannot be read.
    """
    settings = Path(model) / "adapter_config.json"
    if not settings.exists():
        return {"pretrained": model}
    with os_errors(settings):
        text = settings.read_text(encoding="utf-8")
    try:
        base = json.loads(text)["base_model_name_or_path"]
        assert isinstance(base, str) and base
    except (ValueError, KeyError, TypeError, AssertionError):
        raise FileError(f"{settings}: names no base model; merge the adapter, or save it again") from None
    return {"pretrained": base, "peft": model}


def metrics_in(results: Path, task: str = "slung_extraction") -> dict[str, float]:
    """A task's metrics in the newest results below a folder, or in a results file.

    Raises:
        FileError: there are none.
    """
    files = [results] if results.is_file() else results.rglob("results_*.json")
    for path in sorted(files, key=lambda path: path.name, reverse=True):
        with os_errors(path):
            text = path.read_text(encoding="utf-8")
        try:
            found = json.loads(text)["results"][task]
        except (ValueError, TypeError, KeyError):
            continue
        return {name.removesuffix(",none"): value for name, value in found.items()}
    raise FileError(f"{results}: no results of {task} in it; run lm_eval with it and --output_path")
