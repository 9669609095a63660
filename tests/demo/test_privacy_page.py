"""The commands of docs/privacy.md, one after the other, with a tiny model in place of the demo's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.axolotl_run import cpu_environment
from helpers.tiny import tiny_model

from axolotl_slung.demo import support_chats

PAGE = ROOT / "docs" / "privacy.md"


def commands() -> list[str]:
    """The blocks of commands, in the page's order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def texts() -> set[str]:
    """The personal data of all chats."""
    rows = [row for part in support_chats.chats()[:2] for row in part]
    messages = [message for row in rows for message in row["messages"]]
    return {message["content"][start:end] for message in messages for start, end, *_ in json.loads(message["gold"])}


def test_the_page_names_the_example_as_it_is():
    config = (ROOT / "example_configs" / "privacy-slung.yml").read_text(encoding="utf-8")
    assert "action: mask}" in config and "out/masked" in config  # what the page's sed changes
    assert sum("axolotl train" in line for block in commands() for line in block.splitlines()) == 3


@pytest.mark.slow
def test_every_command_of_the_page(tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "example_configs", folder / "example_configs")
    cache = tmp_path / "cache"
    # where the demo's model is kept once it has been fetched
    shutil.copytree(tiny_model(tmp_path), cache / "SmolLM2-135M-Instruct")
    environment = {**os.environ, **cpu_environment(tmp_path), "AXOLOTL_SLUNG_CACHE": str(cache)}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # as the page itself says for a first try
    blocks = [re.sub(r"^(axolotl train .*)$", r"\1 --max-steps 20", block, flags=re.MULTILINE) for block in commands()]
    script = "\n".join(["set -ex", *blocks])
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=3600, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]

    assert all(
        (folder / "demo" / "out" / arm / "slung_manifest.json").is_file() for arm in ("direct", "masked", "anonymized")
    )
    report = folder / "demo" / "report"
    figures = json.loads((folder / "demo" / "report.json").read_text(encoding="utf-8"))
    assert [method["label"] for method in figures["methods"]] == ["base", "direct", "masked", "anonymized"]
    leakage = figures["leakage"]
    assert {its["kind"] for its in leakage["verdicts"]} >= {None, "person", "email", "phone", "address"}
    assert [[point["x"] for point in attack["points"]] for attack in leakage["attacks"]] == [[0, 2, 10]] * 2
    assert leakage["manifests"]["base"] is None and all(
        leakage["manifests"][arm] for arm in ("direct", "masked", "anonymized")
    )
    assert leakage["audit"] and "salt" not in leakage["audit"]

    private = texts()
    results = [*(folder / "demo" / "evals").rglob("*.json*"), *report.glob("*.html"), *report.glob("*.svg")]
    results += [folder / "demo" / "report.json", *(folder / "demo" / "out").rglob("slung_manifest.json")]
    assert len(results) > 12
    for path in results:
        held = path.read_text(encoding="utf-8")
        assert not [text for text in private if text in held], path
