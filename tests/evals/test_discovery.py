"""`lm_eval --tasks slung_toxicity` without flags: the module in discovery/, and the two files that start it."""

import ast
import os
import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.harness import TASKS

FOLDER = ROOT / "axolotl_slung" / "lm_eval_tasks"
DISCOVERY = ROOT / "discovery"
FILES = ("axolotl_slung_lm_eval.py", "axolotl_slung_lm_eval.pth", "axolotl_slung_lm_eval.start")


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
        "TaskManager(include_path=['a', 'b'], metadata={'slung_scorer': 'x'}).include_path)"
    )
    said, _ = python(code, harness, [harness])
    ours = str(FOLDER)
    assert said == f"{[ours]} {[ours, 'mine']} {[ours, 'a', 'b']}"


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
    code = "import sys; print([finder for finder in sys.meta_path if finder.__module__ == 'axolotl_slung_lm_eval'])"
    assert python(code, harness, SLUNG_LM_EVAL_HOOK="0")[0] == "[]"
    # also by a program, before it imports lm_eval
    code = "import os; os.environ['SLUNG_LM_EVAL_HOOK'] = '0'; from lm_eval.tasks import TaskManager; print(TaskManager().include_path)"
    assert python(code, harness, [harness])[0] == "None"


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


def test_lm_eval_knows_our_model_and_imports_it_only_when_asked():
    code = (
        f"import sys; sys.path.insert(0, {str(DISCOVERY)!r}); import axolotl_slung_lm_eval\n"
        "from lm_eval.api.registry import get_model\n"
        "print(get_model('dummy').__name__, 'axolotl_slung.evals.guided' in sys.modules)\n"
        "print(get_model('slung_guided').__module__)"
    )
    said, complaint = python(code, ROOT, [DISCOVERY, ROOT])
    assert said.splitlines() == ["DummyLM False", "axolotl_slung.evals.guided"], complaint


def test_python_starts_where_there_is_no_harness(tmp_path):
    code = "import sys; print([name for name in sys.modules if 'lm_eval' in name or 'axolotl' in name])"
    said, complaint = python(code, tmp_path)
    assert said == "['axolotl_slung_lm_eval']" and complaint == ""


def test_the_start_imports_nothing_else():
    # `site` has imported os and sys; what is imported beyond them would be paid for at every start of Python
    code = (
        f"import sys, site; sys.path.insert(0, {str(DISCOVERY)!r}); before = set(sys.modules)\n"
        "import axolotl_slung_lm_eval; print(set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("{'axolotl_slung_lm_eval'}\n", "")


def test_the_pth_file_is_one_plain_import():
    (statement,) = ast.parse((DISCOVERY / "axolotl_slung_lm_eval.pth").read_text()).body
    assert isinstance(statement, ast.Import)
    assert [name.name for name in statement.names] == ["axolotl_slung_lm_eval"]


def test_the_start_file_names_a_function_that_may_be_called_twice(monkeypatch):
    monkeypatch.syspath_prepend(str(DISCOVERY))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    (line,) = (DISCOVERY / "axolotl_slung_lm_eval.start").read_text().splitlines()
    assert line.count(":") == 1  # package.module:callable is the only form that PEP 829 takes
    install = pkgutil.resolve_name(line)
    for _ in range(2):
        install()
    finders = [finder for finder in sys.meta_path if getattr(finder, "__module__", "") == "axolotl_slung_lm_eval"]
    assert len(finders) == 1


def test_lm_eval_works_where_only_the_module_is_left(harness):
    code = (
        f"import sys; sys.path[:0] = [{str(DISCOVERY)!r}, {str(harness)!r}]; import axolotl_slung_lm_eval\n"
        "from lm_eval.tasks import TaskManager; print(TaskManager().include_path)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=harness, capture_output=True, text=True, env={}, timeout=60
    )
    assert done.stdout == "None\n" and "--include_path" in done.stderr


def test_the_files_are_installed_as_they_are_here():
    installed = Path(sysconfig.get_path("purelib"))
    for name in FILES:
        assert (installed / name).read_text() == (DISCOVERY / name).read_text()


class TestMetadata:
    """`--metadata` of a TaskManager, for the tasks that it loads."""

    def manager(self, metadata):
        from lm_eval.tasks import TaskManager

        return TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)

    def test_each_manager_keeps_its_own(self, embedded):
        managers = {draws: self.manager({"slung_probe_draws": draws}) for draws in (2, 4)}
        plain = self.manager(None)
        for draws in (2, 4, 2):
            (task,) = managers[draws].load_task_or_group("slung_civilcomments").values()
            assert (task.options.probe_draws, len(task.draws)) == (draws, draws)
        (task,) = plain.load_task_or_group("slung_civilcomments").values()
        assert task.options.probe_draws == 3

    def test_of_a_group_and_of_a_config_with_metadata_of_its_own(self, embedded):
        manager = self.manager({"slung_probe_draws": 2})
        self.manager({"slung_probe_draws": 4})
        ((tasks),) = manager.load_task_or_group("slung").values()
        assert {task.options.probe_draws for task in tasks.values()} == {2}
        own = {"task": "slung_civilcomments", "metadata": {"slung_probe_train": 100}}
        (task,) = manager.load_config(own).values()
        assert (task.options.probe_draws, task.options.probe_train) == (2, 100)


def test_lm_eval_lists_the_tasks_from_any_folder(tmp_path):
    command = [str(Path(sys.executable).with_name("lm_eval")), "ls", "tasks"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    for task in (
        "slung_toxicity",
        "slung_toxicity_50",
        "slung_civilcomments",
        "slung_zeroshot",
        "slung_tofu",
        "slung_perplexity",
        "slung_perplexity_reddit",
        "slung_extraction",
        "slung_membership",
        "slung_kept",
        "slung_answers",
    ):
        assert f"|{task} " in listed.stdout, listed.stderr
    assert "|slung " in listed.stdout and "|slung_audit " in listed.stdout


def test_tasks_path_prints_the_folder(tmp_path):
    command = [str(Path(sys.executable).with_name("slung")), "tasks-path"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert printed.stdout == f"{FOLDER}\n"
