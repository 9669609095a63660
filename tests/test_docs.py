"""The docs name what is there: links, headings, files and commands."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from helpers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page):
    text = page.read_text(encoding="utf-8")
    rooms = r"\b(?:axolotl_slung|benchmarks|discovery|example_configs|tests)/[\w./-]*\w"
    for path in re.findall(rooms, text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:\w+/)*test_\w+\.py)`", text):
        assert (ROOT / "tests" / path).exists() or (ROOT / path).exists(), path


def test_pip_lines_install_what_is_there():
    """The package is on no registry: it is installed from its clone, with extras that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {
        re.match(r"[\w-]+", line)[0].lower() for lines in project["optional-dependencies"].values() for line in lines
    }
    known |= {re.match(r"[\w-]+", line)[0].lower() for line in project["dependencies"]} | {
        "pip",
        "pre-commit",
        "snakemake",
        "snakemake-executor-plugin-slurm",
        "triton",
        "alt-profanity-check",
    }
    files = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "Makefile", *(ROOT / "example_configs").iterdir()]
    files += [
        *(ROOT / "axolotl_slung").rglob("*.py"),
        *(ROOT / "lm_eval_tasks").glob("*.md"),
        *(ROOT / "tests").rglob("*.py"),
    ]
    found = 0
    for path in files:
        if not path.is_file() or path.name == "test_docs.py":
            continue
        for target in re.findall(
            r"pip install (?:-\S+ )*['\"\\]*([\w.-]+(?:\[[\w,-]+\])?)", path.read_text(encoding="utf-8")
        ):
            found += 1
            name, _, extras = target.partition("[")
            assert name == "." or name.lower().rstrip(".") in known, (path, target)
            assert set(extras.rstrip("]").split(",")) <= {"", *project["optional-dependencies"]}, (path, target)
    assert found > 6


def test_the_index_has_every_page():
    linked = set(re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert linked == {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}


def test_the_tutorial_trains_as_the_quickstart_does():
    """Its figures are the quickstart's, so its settings have to be."""
    text = TUTORIAL.read_text(encoding="utf-8")
    config = yaml.safe_load(re.search(r"<<'END'\n(.*?)^END$", text, re.DOTALL | re.MULTILINE).group(1))
    quickstart = yaml.safe_load((ROOT / "example_configs" / "quickstart.yml").read_text(encoding="utf-8"))
    assert config["slung"].pop("labelers") == [{"type": "spans"}]
    [labeler] = quickstart["slung"].pop("labelers")
    assert "-l '{type: entities, path: demo/names.txt, parts: true}'" in text
    assert labeler == {"type": "entities", "path": "demo/names.txt", "parts": True}
    for key in ("datasets", "dataset_prepared_path", "output_dir"):
        assert config.pop(key) != quickstart.pop(key)
    assert config == quickstart


def test_the_pictures_are_made_by_their_script(tmp_path):
    """With a tiny tokenizer; those in docs/ have the demo's."""
    import shutil
    import subprocess
    import sys
    import xml.etree.ElementTree as tree

    from helpers.tiny import tiny_tokenizer

    pytest.importorskip("selenium", reason="selenium is in the extra `test`")
    if shutil.which("chromedriver") is None:
        pytest.skip("needs Chromium and chromedriver on PATH; install both")
    script = ROOT / "docs" / "picture.py"
    command = [sys.executable, script, "--tokenizer", tiny_tokenizer(tmp_path), "--output", tmp_path]
    subprocess.run([*map(str, command)], check=True, capture_output=True, cwd=ROOT, timeout=300)
    assert (tmp_path / "inspect.png").read_bytes().startswith(b"\x89PNG") and not (tmp_path / "inspect.html").exists()
    made, kept = (tree.parse(folder / "tokens.svg") for folder in (tmp_path, ROOT / "docs"))
    words = ["".join(made.getroot().itertext()), "".join(kept.getroot().itertext())]
    assert all("Ilvane Torquessa" in word and "prefers-color-scheme" in word for word in words)


def test_tables_of_results_are_those_of_the_kept_files(tmp_path):
    """`make results` changes nothing, and finds a figure that is not the files'."""
    for name in ("results.md", "make_results.py"):
        shutil.copy(ROOT / "docs" / name, tmp_path)
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "results")
    command, page = [sys.executable, tmp_path / "make_results.py"], tmp_path / "results.md"
    whole = page.read_text(encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and page.read_text(encoding="utf-8") == whole, done.stderr
    report = json.loads((tmp_path / "results/tofu-small/report.json").read_text())
    mean = 100 * report["methods"][0]["tasks"]["slung_tofu"]["metrics"]["name_rate"]["mean"]
    page.write_text(whole.replace(f"| {mean:.1f} % (", f"| {mean + 1:.1f} % ("), encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "rewritten" in done.stderr and page.read_text(encoding="utf-8") == whole
