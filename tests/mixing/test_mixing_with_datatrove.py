"""A mix built by datatrove's tasks is that of `slung mix`, byte for byte, whatever their number and whoever is killed."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from helpers.mixed import corpora, few, files_of, killed, made_in, read_few, run_mix
from helpers.tiny import put

pytest.importorskip("datatrove", reason="pip install '.[datatrove]'")

from axolotl_slung.mixing.config import MixError
from axolotl_slung.mixing.datatrove import FinishMix, PlanMix, ReadInputs, ShareBase, WriteFiles, mix_steps
from axolotl_slung.mixing.make import begin, locked

EXAMPLE = ROOT / "example_configs" / "mix_with_datatrove.py"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A folder with corpora and a line that is no document, and the mix `single` that `slung mix` makes of them."""
    folder = tmp_path_factory.mktemp("with_datatrove")
    corpora(folder, risky=400)
    put(folder / "base" / "three.jsonl", (folder / "base" / "one.jsonl").read_bytes() + b"{secret\n")
    assert run_mix(few(folder), folder / "single").exit_code == 0
    return folder


def run(folder: Path, output: Path, *options: str, path: str = "") -> str:
    """The example, by its command line."""
    config = folder / "mix.yml"
    config.write_text(yaml.safe_dump(few(folder)))
    environment = {**os.environ, "PATH": f"{path}{BIN}:{os.environ['PATH']}"}
    command = [sys.executable, EXAMPLE, config, output, *options]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bad_lines(output: Path) -> str:
    return (output / ".slung" / "bad_lines.txt").read_text()


@pytest.mark.parametrize("tasks", [1, 3])
def test_on_one_machine(single, tasks):
    out = single / f"local{tasks}"
    told = run(single, out, "--tasks", str(tasks), "--workers", "1")
    assert files_of(out) == files_of(single / "single") and bad_lines(out) == bad_lines(single / "single") != ""
    assert ("risky: 2 tasks have nothing to read" in told) == (tasks == 3)
    assert not (out / ".slung" / "work").exists()
    assert "nothing to do" in run(single, out, "--tasks", str(tasks), "--workers", "1")


def test_on_slurm(single):
    """Stand-ins keep the scripts and what they wait for. Some tasks are then run as Slurm would run them."""
    tools, out = single / "tools", single / "slurm"
    put(
        tools / "sbatch",
        f'#!/bin/sh\necho "$@" >> {tools}/asked\necho Submitted batch job $(wc -l < {tools}/asked)\n'.encode(),
    )
    put(tools / "srun", b'#!/bin/sh\nwhile [ "$1" != launch_pickled_pipeline ]; do shift; done\nexec "$@"\n')
    put(tools / "scontrol", b"#!/bin/sh\necho localhost\n")
    for name in ("sbatch", "srun", "scontrol"):
        (tools / name).chmod(0o755)
    options = ["--executor", "slurm", "--tasks", "2", "--cpus", "4", "--sbatch-arg", "account=nlp", "--logs"]
    run(single, out, *options, str(single / "logs"), path=f"{tools}:")
    # a job of tasks, and then one that sums their statistics
    asked = (tools / "asked").read_text().splitlines()[::2]
    waits = [re.search(r"--dependency=afterok:(\d+)", line) for line in asked]
    assert [wait and int(wait[1]) for wait in waits] == [None, 1, 3, 5, 7, 9, 11, 13]
    arrays = []
    for stage in sorted((single / "logs").iterdir()):
        script = (stage / "launch_script.slurm").read_text()
        assert "#SBATCH --account=nlp\n" in script and "#SBATCH --cpus-per-task=4\n" in script
        assert ("#SBATCH --kill-on-invalid-dep=yes\n" in script) == (stage.name != "1-ReadInputs")
        arrays.append(re.search(r"#SBATCH --array=(\S+)", script)[1])
        # the last step does what the others have not done
        for task in {"1-ReadInputs": [0, 1], "8-FinishMix": [0]}.get(stage.name, []):
            environment = {**os.environ, "PATH": f"{tools}:{BIN}:{os.environ['PATH']}"}
            environment |= {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_NODELIST": "localhost"}
            subprocess.run(["bash", stage / "launch_script.slurm"], check=True, env=environment, capture_output=True)
    assert arrays == ["0-1%2", "0-1%2", "0-0%1", "0-1%2", "0-0%1", "0-1%2", "0-1%2", "0-0%1"]
    assert files_of(out) == files_of(single / "single")


def test_on_ray(single):
    pytest.importorskip("ray", reason="pip install ray")
    run(single, single / "ray", "--executor", "ray", "--tasks", "2")
    assert files_of(single / "ray") == files_of(single / "single")


def test_an_error_is_logged_without_texts(single):
    """datatrove logs the values of variables, and a task's variables hold texts."""
    config = few(single, risky=[{**few(single)["risky"][0], "path": str(single / "later.jsonl")}])
    rows = (single / "risky.jsonl").read_text()
    put(single / "later.jsonl", rows.encode())
    (single / "later.yml").write_text(yaml.safe_dump(config))
    script = (
        "import sys; from pathlib import Path\n"
        "from datatrove.executor import LocalPipelineExecutor\n"
        "from axolotl_slung.cli.mix import read_config\n"
        "from axolotl_slung.mixing.datatrove import mix_steps\n"
        "from axolotl_slung.mixing.make import begin\n"
        f"read, out = read_config({str(single / 'later.yml')!r}, Path({str(single / 'later')!r})), Path({str(single / 'later')!r})\n"
        "begin(*read, out)\n"
        "for number, step in enumerate(mix_steps(*read, out)):\n"
        "    if number == 5:\n"
        f"        path = Path({str(single / 'later.jsonl')!r}); path.write_text(path.read_text().replace('fool', 'fox!'))\n"
        "    LocalPipelineExecutor([step], logging_dir=f'{out}-logs/{number}').run()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=500)
    logs = done.stderr + "".join(path.read_text() for path in (single / "later-logs").rglob("*.log"))
    assert done.returncode == 1 and "has changed while it was read" in logs
    # the lines of the source begin with an id and a text
    assert '"text":' not in logs


# ---- the steps, with sizes with which there is much to divide and to interrupt


def steps_of(folder: Path, output: Path):
    read = read_few(folder, output)
    begin(*read, output)
    return mix_steps(*read, output)


def do(step, rank: int = 0, tasks: int = 1) -> None:
    list(step.run(None, rank, tasks))


def test_killed_tasks_resume(small):
    """Each task is killed at a random moment, then started again, perhaps as one of another number of tasks."""
    made_in(small, small / "whole")
    expected, out, draw = files_of(small / "whole"), small / "out", random.Random(3)
    kills = 0
    for step in steps_of(small, out):
        for _ in range(2 if step.divided else 1):
            tasks = draw.choice([2, 3, 5]) if step.divided else 1
            for rank in range(tasks):
                moment = draw.randint(1, 8)
                kills += killed(lambda number, _: number == moment, lambda: do(step, rank, tasks)) < 0
                assert not (out / "manifest.json").exists() or isinstance(step, FinishMix)
        for rank in range(tasks):
            do(step, rank, tasks)
    assert kills > 8
    assert files_of(out) == expected and not (out / ".slung" / "work").exists()
    do(step)  # complete already


def test_the_base_is_read_by_all_tasks_in_as_many_rounds_as_on_one_machine(small):
    *_, plan, sort, write, finish = steps = steps_of(small, small / "out")
    assert [type(step) for step in steps[:5]] == [ReadInputs, ReadInputs, ShareBase, ReadInputs, PlanMix]
    read = small / "out" / ".slung" / "work" / "index"
    sizes = []
    for step in steps[:4]:
        for rank in range(3 if step.divided else 1):
            do(step, rank, 3 if step.divided else 1)
        sizes.append({path.name: path.stat().st_size for path in sorted(read.glob("*.records"))})
    assert list(sizes[0]) == ["00000.records"] and len(sizes[1]) == 3
    assert sizes[2] == sizes[1] and all(sizes[3][name] > sizes[1][name] for name in sizes[1] if name != "00000.records")
    do(plan)
    # nothing was left to read
    assert {path.name: path.stat().st_size for path in sorted(read.glob("*.records"))} == sizes[3]


def test_a_step_before_the_one_that_it_needs(small):
    *_, plan, sort, write, finish = steps_of(small, small / "out")
    for step in (sort, write):
        with pytest.raises(MixError, match="there is no plan; run the steps before this one again"):
            do(step)
    do(plan)
    do(sort, 0, 2)
    with pytest.raises(MixError, match="not all documents are sorted; run the steps before this one again"):
        do(write)
    do(finish)
    made_in(small, small / "whole")
    assert files_of(small / "out") == files_of(small / "whole")


def test_slung_mix_completes_what_tasks_have_begun(small):
    steps = steps_of(small, small / "out")
    for step in steps[:-1]:
        do(step, 0, 2 if step.divided else 1)
        if isinstance(step, WriteFiles):
            break
        do(step, 1, 2 if step.divided else 1) if step.divided else None
    assert made_in(small, small / "out") and made_in(small, small / "whole")
    assert files_of(small / "out") == files_of(small / "whole")


def test_nobody_writes_what_another_task_is_writing(small):
    step, *_ = steps_of(small, small / "out")
    with locked(small / "out", 0o600), pytest.raises(MixError, match="another run is writing to this folder"):
        do(step)
    with locked(small / "out", 0o600, shared=True):
        with pytest.raises(MixError, match="another run is writing to this folder"):
            made_in(small, small / "out")
        do(step, 0, 2)
    # the same input at once by two tasks, of runs with different numbers of tasks
    index = small / "out" / ".slung" / "work" / "index"
    for path in index.iterdir():
        path.unlink()
    with open(index / "00000.journal", "a") as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MixError, match="another run is writing to this folder"):
            do(step)
