"""Every way to be installed, each in an environment of its own, and beside a newer lm_eval: slow."""

import configparser
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.harness import SOURCES, TASKS
from helpers.tiny import tiny_model

pytestmark = pytest.mark.slow

FILES = {path.name for path in TASKS.iterdir() if path.is_file()}


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"lm_eval 0.4.13 cannot be had: pip needs a network or a package index: {done.stderr[-200:]}")


def python(interpreter, *arguments, cwd, **environment):
    options = {f"SLUNG_{name}": "embedded" for name in SOURCES}
    return subprocess.run(
        [str(part) for part in (interpreter, *arguments)], cwd=cwd, env={**os.environ, **options, **environment},
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def test_beside_a_newer_lm_eval(tmp_path, models):
    pip("install", "--quiet", "--no-deps", "--target", tmp_path / "newer", "lm_eval==0.4.13")
    arguments = [
        "--model", "hf", "--model_args", f"pretrained={tiny_model(models)},dtype=float32", "--tasks", "slung", "--device", "cpu",
        "--batch_size", "16", "--limit", "20", "--output_path", tmp_path / "out", "--log_samples",
        "--metadata", json.dumps({"slung_probe_draws": 2}),
    ]  # fmt: skip
    done = python(sys.executable, "-m", "lm_eval", *arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path / "newer"))
    assert done.returncode == 0, done.stderr[-4000:]
    (path,) = (tmp_path / "out").glob("**/results_*.json")
    results = json.loads(path.read_text())
    assert results["lm_eval_version"] == "0.4.13"
    assert results["configs"]["slung_civilcomments"]["metadata"]["slung"]["probe"]["draws"] == 2
    assert {"slung_toxicity", "slung_civilcomments", "slung_zeroshot", "slung_tofu", "slung_perplexity"} <= set(
        results["results"]
    )
    assert isinstance(results["results"]["slung_toxicity"]["toxicity_stderr,none"], float)
    listed = python(sys.executable, "-m", "lm_eval", "ls", "tasks", cwd=tmp_path, PYTHONPATH=str(tmp_path / "newer"))
    assert "slung_toxicity" in listed.stdout
    # and its files are what `slung report` reads
    report = python(Path(sys.executable).with_name("slung"), "report", tmp_path / "out", cwd=tmp_path)
    assert report.returncode == 0 and (tmp_path / "report" / "report.html").exists(), report.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A git repository with the files of this one as they are now."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the package, is in the extra `test`")
    folder = tmp_path_factory.mktemp("installs") / "source"

    def left_out(at, names):
        at_top = {name for name in names if name.startswith(".venv") or name in ("demo", "dist")}
        return {".git", "__pycache__"} | (at_top if Path(at) == ROOT else set())

    shutil.copytree(ROOT, folder, symlinks=True, ignore=left_out)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "all"]):
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *who, *command], cwd=folder, check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)],
        cwd=source, check=True, timeout=120,
    )  # fmt: skip
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture
def environment(tmp_path):
    """The interpreter of an empty environment that has the packages of this one beneath its own."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    beneath = [path for path in sys.path if path.endswith("site-packages")]
    (site / "zz_beneath.pth").write_text("".join(f"{path}\n" for path in beneath))
    (tmp_path / "empty").mkdir()
    return tmp_path / "venv" / "bin" / "python", site


@pytest.mark.parametrize("way", ["wheel", "wheel from the sdist", "editable", "git"])
def test_every_way_of_installing_brings_the_tasks(request, tmp_path, source, environment, way):
    (interpreter, site), empty = environment, tmp_path / "empty"
    what = {
        "wheel": lambda: [source],
        "wheel from the sdist": lambda: [request.getfixturevalue("sdist")],
        "editable": lambda: ["--editable", source],
        "git": lambda: [f"git+file://{source}"],
    }[way]()
    pip = [sys.executable, "-m", "pip", "--python", interpreter]
    done = python(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", *what, cwd=empty, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    package = (source if way == "editable" else site) / "axolotl_slung"
    assert {path.name for path in (package / "lm_eval_tasks").iterdir()} - {"__pycache__"} == FILES
    assert (package / "lm_eval_tasks").is_symlink() is (way == "editable")
    listed = python(interpreter, "-m", "lm_eval", "ls", "tasks", cwd=empty, PYTHONPATH="")
    assert "|hellaswag " in listed.stdout, listed.stderr
    for file in FILES:
        if file.endswith(".yaml"):
            assert f"|{package}/lm_eval_tasks/{file} " in listed.stdout, file
    assert (package / "evals" / "embedded" / "toxicity.jsonl").exists()

    done = python(*pip, "uninstall", "--quiet", "--yes", "axolotl-slung", cwd=empty, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    assert not list(site.glob("*slung*"))
    if way == "wheel":
        listed = python(interpreter, "-m", "lm_eval", "ls", "tasks", cwd=empty, PYTHONPATH="")
        assert "|hellaswag " in listed.stdout and "slung" not in listed.stdout, listed.stderr


def test_the_archives_hold_files_and_no_links(sdist, source, tmp_path):
    with tarfile.open(sdist) as archive:
        members = {member.name.partition("/")[2]: member for member in archive.getmembers()}
    for folder in ("lm_eval_tasks", "axolotl_slung/lm_eval_tasks"):
        assert all(members[f"{folder}/{name}"].isfile() for name in FILES)
    done = python(
        sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=source
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"axolotl_slung/lm_eval_tasks/{name}" for name in FILES} <= inside
    assert {path.name for path in (ROOT / "discovery").iterdir() if path.is_file()} <= inside
    entry_points = configparser.ConfigParser()
    (name,) = (name for name in inside if name.endswith("entry_points.txt"))
    entry_points.read_string(zipfile.ZipFile(wheel).read(name).decode())
    assert "lm_eval.tasks" not in entry_points and "axolotl.plugins" in entry_points
