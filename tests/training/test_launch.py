"""Errors of the block in `axolotl train` and `preprocess`: at once, all of them, and as the last output."""

import os
import subprocess
import sys

import click
import pytest
import yaml
from helpers import ROOT
from helpers.axolotl_run import base_config

from axolotl_slung.training.launch import before_launch

DATA = [{"path": "d.jsonl", "ds_type": "json", "type": "completion"}]
PLUGIN = "axolotl_slung.SlungPlugin"
NAMES = {"type": "entities", "path": "names.txt"}


def config(folder, block, **keys):
    keys = {"base_model": "none", "plugins": [PLUGIN], "datasets": DATA, **keys}
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(keys if block is None else {**keys, "slung": block}))
    return str(path)


def refused(path, options=()):
    with pytest.raises(click.ClickException) as caught:
        before_launch(path, "accelerate", None, dict(options), [])
    assert caught.value.exit_code == 2
    return [line.split(": ")[0] for line in caught.value.message.split("\n")]


BROKEN = {"labellers": [{**NAMES, "type": "entity"}], "method": "mask"}
LINES = ["slung.method", "slung.labellers", "slung.labelers[0].type", "rl", "do_causal_lm_eval", "eval_table_size"]


def test_faults_and_conflicts_are_told_together(tmp_path):
    assert refused(config(tmp_path, BROKEN, rl="dpo", do_causal_lm_eval=True, eval_table_size=4)) == LINES


def test_options_of_the_command_count(tmp_path):
    path = config(tmp_path, {"labelers": [NAMES]}, use_dft=True)
    assert refused(path) == ["use_dft"]
    assert refused(path, {"rl": "dpo"}) == ["rl", "use_dft"]
    assert before_launch(path, "torchrun", None, {"use_dft": "false"}, []) == []


def test_accelerate_prints_no_traceback_of_its_own(tmp_path):
    path = config(tmp_path, {"labelers": [NAMES]})
    assert before_launch(path, "accelerate", None, {}, ["--num_machines", "1"]) == ["--quiet", "--num_machines", "1"]
    assert before_launch(path, "accelerate", None, {}, ["-q"]) == ["-q"]
    assert before_launch(path, "torchrun", None, {}, ["--nnodes", "1"]) == ["--nnodes", "1"]
    assert before_launch(path, "accelerate", "cloud.yml", {}, []) == []


def test_runs_of_others_do_not_change(tmp_path):
    (tmp_path / "broken.yml").write_text("a: [")
    others = [
        config(tmp_path, None, rl="dpo"),
        str(tmp_path / "none.yml"),
        str(tmp_path / "broken.yml"),
        "https://x/y.yml",
    ]
    for path in others:
        assert before_launch(path, "accelerate", None, {}, ["-x"]) == ["-x"]


@pytest.mark.parametrize("off", [False, True])
def test_the_startup_module_wraps_axolotls_function(tmp_path, off):
    package = tmp_path / "axolotl" / "cli" / "utils"
    package.mkdir(parents=True)
    for folder in (package.parents[1], package.parent):
        (folder / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from .train import launch_training\n")
    (package / "train.py").write_text(
        "def launch_training(cfg_file, launcher, cloud, kwargs, launcher_args=None, use_exec=False):\n"
        "    print(cfg_file, launcher, launcher_args, use_exec)\n"
    )
    path = config(tmp_path, {"labelers": [NAMES]})
    program = f"from axolotl.cli.utils import launch_training as f; f({path!r}, 'accelerate', None, {{}}, None, True)"
    said = python(tmp_path, "-c", f"import axolotl_slung_lm_eval; {program}", off=off)[1]
    assert said.strip() == f"{path} accelerate {None if off else ['--quiet']} True"


def python(folder, *arguments, off=False):
    """A Python in which the startup module is this repository's. Returns its status and its output."""
    path = os.pathsep.join(map(str, (folder, ROOT / "discovery", ROOT)))
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "AXOLOTL_DO_NOT_TRACK": "1",
        "SLUNG_LM_EVAL_HOOK": "0" if off else "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stdout


AXOLOTL = "import axolotl_slung_lm_eval; from axolotl.cli.main import cli; cli()"


@pytest.mark.with_axolotl
def test_a_broken_block_ends_axolotl_train_at_once(tmp_path):
    path = config(tmp_path, BROKEN, rl="dpo", do_causal_lm_eval=True, eval_table_size=4)
    status, said = python(tmp_path, "-c", AXOLOTL, "train", path)
    assert status == 2 and "Traceback" not in said
    last = said[said.index("Error: ") + len("Error: ") :].strip().split("\n")
    assert [line.split(": ")[0] for line in last] == LINES


@pytest.mark.with_axolotl
def test_the_last_line_of_preprocess_is_the_error(tmp_path):
    given = base_config(tmp_path, plugins=[PLUGIN], slung={"labelers": [{**NAMES, "path": "nmes.txt"}]})
    (tmp_path / "config.yml").write_text(yaml.safe_dump(given))
    status, said = python(tmp_path, "-c", AXOLOTL, "preprocess", "config.yml")
    assert status == 1 and "Traceback" not in said
    assert said.rstrip().split("\n")[-1].startswith("Error: slung.labelers[0].path: cannot read nmes.txt")


@pytest.mark.slow
@pytest.mark.with_axolotl
def test_the_last_line_of_train_is_the_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    given = base_config(tmp_path, plugins=[PLUGIN], slung={"labelers": [{**NAMES, "path": "nmes.txt"}]})
    (tmp_path / "config.yml").write_text(yaml.safe_dump(given))
    status, said = python(tmp_path, "-c", AXOLOTL, "train", "config.yml")
    assert status == 1 and "Traceback" not in said
    assert said.rstrip().split("\n")[-1].startswith("Error: slung.labelers[0].path: cannot read nmes.txt")
