"""`lm_eval --tasks slung_toxicity` without flags: the `.pth` file and the module that it imports."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import ROOT

FOLDER = ROOT / "axolotl_slung" / "lm_eval_tasks"


def python(code, cwd, path=(), **environment):
    """What a fresh Python prints, with these folders first on its path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.fixture
def harness(tmp_path):
    """A package `lm_eval` whose TaskManager keeps what it was given, as lm_eval's own does."""
    package = tmp_path / "lm_eval" / "tasks"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text(
        "class TaskManager:\n"
        "    def __init__(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):\n"
        "        self.include_path, self.metadata = include_path, metadata\n"
    )
    return tmp_path


def test_our_folder_comes_before_the_users(harness):
    code = (
        "from lm_eval.tasks import TaskManager\n"
        "print(TaskManager().include_path, TaskManager(None, 'mine').include_path, "
        "TaskManager(include_path=['a', 'b'], metadata={'slung_scorer': 'x'}).include_path)\n"
        "import axolotl_slung_lm_eval; print(axolotl_slung_lm_eval.metadata)"
    )
    said, _ = python(code, harness, [harness])
    ours = str(FOLDER)
    assert said == f"{[ours]} {[ours, 'mine']} {[ours, 'a', 'b']}\n{{'slung_scorer': 'x'}}"


@pytest.mark.parametrize("given", ["include_defaults=False", f"include_path={str(FOLDER)!r}"])
def test_nothing_is_added_where_it_is_not_wanted(harness, given):
    said, _ = python(
        f"from lm_eval.tasks import TaskManager; print(TaskManager({given}).include_path)", harness, [harness]
    )
    assert said == ("None" if "defaults" in given else str(FOLDER))


def test_it_can_be_turned_off(harness):
    code = "from lm_eval.tasks import TaskManager; print(TaskManager().include_path)"
    said, _ = python(code, harness, [harness], SLUNG_LM_EVAL_HOOK="0")
    assert said == "None"


def test_looking_for_the_module_is_not_importing_it(harness):
    code = (
        "import importlib.util; importlib.util.find_spec('lm_eval.tasks')\n"
        "from lm_eval.tasks import TaskManager; print(TaskManager().include_path)"
    )
    assert python(code, harness, [harness])[0] == str([str(FOLDER)])


def test_a_harness_of_another_shape_still_imports_and_says_why_not(harness):
    (harness / "lm_eval" / "tasks" / "__init__.py").write_text("found = 1\n")
    said, complaint = python("from lm_eval.tasks import found; print(found)", harness, [harness])
    assert said == "1" and "--include_path" in complaint


def test_python_starts_where_there_is_no_harness(tmp_path):
    code = "import sys; print([name for name in sys.modules if 'lm_eval' in name or 'axolotl' in name])"
    said, complaint = python(code, tmp_path)
    assert said == "[]" and complaint == ""


def test_the_line_of_the_pth_file_survives_the_packages_removal(harness):
    line = (ROOT / "discovery" / "axolotl_slung_lm_eval.pth").read_text()
    assert line.startswith("import ") and line.count("\n") == 1
    code = line + "from lm_eval.tasks import TaskManager; print(TaskManager().include_path)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=harness, capture_output=True, text=True, env={}, timeout=60
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_both_files_are_installed_as_they_are_here():
    installed = Path(sysconfig.get_path("purelib"))
    for name in ("axolotl_slung_lm_eval.pth", "axolotl_slung_lm_eval.py"):
        assert (installed / name).read_text() == (ROOT / "discovery" / name).read_text()


def test_lm_eval_lists_the_tasks_from_any_folder(tmp_path):
    command = [str(Path(sys.executable).with_name("lm_eval")), "ls", "tasks"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    for task in (
        "slung_toxicity",
        "slung_toxicity_50",
        "slung_civilcomments",
        "slung_tofu",
        "slung_perplexity",
        "slung_perplexity_reddit",
    ):
        assert f"|{task} " in listed.stdout, listed.stderr
    assert "|slung " in listed.stdout


def test_tasks_path_prints_the_folder(tmp_path):
    command = [str(Path(sys.executable).with_name("slung")), "tasks-path"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert printed.stdout == f"{FOLDER}\n"
