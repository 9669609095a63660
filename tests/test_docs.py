"""The docs name what is there: links, headings, files and commands."""

import re

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
