"""Other ways to be installed: as a wheel, and beside a newer lm_eval. Both ask pip for something, so they are slow."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.harness import SOURCES
from helpers.tiny import tiny_model

pytestmark = pytest.mark.slow


def pip(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"pip gives nothing here: {done.stderr[-200:]}")


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
    assert {"slung_toxicity", "slung_civilcomments", "slung_tofu", "slung_perplexity"} <= set(results["results"])
    assert isinstance(results["results"]["slung_toxicity"]["toxicity_stderr,none"], float)
    listed = python(sys.executable, "-m", "lm_eval", "ls", "tasks", cwd=tmp_path, PYTHONPATH=str(tmp_path / "newer"))
    assert "slung_toxicity" in listed.stdout
    # and its files are what `slung report` reads
    report = python(Path(sys.executable).with_name("slung"), "report", tmp_path / "out", cwd=tmp_path)
    assert report.returncode == 0 and (tmp_path / "report" / "report.html").exists(), report.stderr


def test_a_wheel_and_its_removal(tmp_path):
    shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".git", ".venv*", "demo", "__pycache__"))
    shutil.copytree(ROOT / "axolotl_slung" / "demo", tmp_path / "source" / "axolotl_slung" / "demo", dirs_exist_ok=True)
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, tmp_path / "source")
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert {"axolotl_slung_lm_eval.pth", "axolotl_slung_lm_eval.py"} <= set(inside)
    assert (
        "axolotl_slung/lm_eval_tasks/slung.yaml" in inside and "axolotl_slung/evals/embedded/toxicity.jsonl" in inside
    )
    # an environment of its own, with the packages of this one beneath
    venv.create(tmp_path / "venv", with_pip=True)
    interpreter = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "zz_beneath.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for step, found in (("install", True), ("uninstall", False)):
        options = ["--no-deps", str(wheel)] if found else ["--yes", "axolotl-slung"]
        done = python(interpreter, "-m", "pip", step, "--quiet", *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        listed = python(interpreter, "-m", "lm_eval", "ls", "tasks", cwd=tmp_path)
        assert "|hellaswag " in listed.stdout, listed.stderr
        assert (f"{site}/axolotl_slung/lm_eval_tasks/slung_toxicity.yaml" in listed.stdout) is found
    assert not list(site.glob("*slung*"))
