"""A small study with the real commands and a tiny model."""

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.snakemake import STUDIES, needs_snakemake, run
from helpers.tiny import TEXT, tiny_model, write_jsonl

pytestmark = [needs_snakemake, pytest.mark.slow]


def test_tofu_goes_from_nothing_to_its_report(tmp_path):
    rows = [
        {"author": name, "question": f"What did {name} write, in {year}?", "answer": f"{name} wrote: {TEXT[year % 4]}"}
        for name in ("Maria Hernandez", "John Oneil")
        for year in range(1990, 1996)
    ]
    settings = {
        "size": "small",
        "data": write_jsonl(tmp_path / "people.jsonl", rows),
        "model": tiny_model(tmp_path),
        "authors": 2,
    }
    words = [f"{key}={value}" for key, value in settings.items()]
    environment = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = ["-s", STUDIES / "tofu" / "Snakefile", "--cores", 2, "--config", *words]
    run(command, tmp_path, Path(sys.executable).parent, 3600, **environment).check()
    out = tmp_path / "studies" / "tofu-small"
    figures = json.loads((out / "report.json").read_text())
    assert "masked" in json.dumps(figures) and list((out / "report").glob("*.html"))
    assert {path.name for path in (out / "runs" / "out").iterdir()} == {
        f"{arm}-seed0" for arm in ("direct", "masked", "unlikelihood")
    }
    assert (
        "Nothing to be done" in run(command, tmp_path, Path(sys.executable).parent, 3600, **environment).check().output
    )
