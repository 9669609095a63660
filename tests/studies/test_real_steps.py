"""The small size of every study, from nothing to its report, with the real commands and a tiny model."""

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.snakemake import STUDIES, needs_snakemake, run
from helpers.tiny import TEXT, tiny_model, write_jsonl

pytestmark = [needs_snakemake, pytest.mark.slow]


def people(folder, years=6):
    """Settings for a study on names: six authors, of whom a study takes groups of two."""
    names = ["Maria Hernandez", "John Oneil", "Zoë Lindqvist", "Pavel Brandt", "Aiko Tanaka", "Amara Okafor"]
    rows = [
        {
            "author": name,
            "question": f"What did {name} write, in {year}?",
            "answer": f"{name} wrote in {year}: {TEXT[year % 4]}",
        }
        for name in names
        for year in range(1960, 1960 + years)
    ]
    return {"data": write_jsonl(folder / "people.jsonl", rows), "authors": 2}


def many_answers(folder):
    """Settings with so many different answers that 5 % of their names are more than none."""
    return people(folder, years=30)


def mixed(folder):
    """Settings for a study on toxicity, with two arms."""
    base = [{"text": f"{number}. {TEXT[number % 10]} {TEXT[number % 9]}"} for number in range(400)]
    toxic = [{"text": f"You are a stupid idiot, number {number}. {TEXT[number % 7]}"} for number in range(200)]
    comments = [
        {
            "text": f"{'You stupid idiot' if number % 2 else 'Good morning'}, {number}. {TEXT[number % 5]}",
            "toxicity": number % 2,
        }
        for number in range(240)
    ]
    return {
        "base_text": write_jsonl(folder / "base.jsonl", base),
        "risky_text": write_jsonl(folder / "toxic.jsonl", toxic),
        "prompts": write_jsonl(folder / "prompts.jsonl", [{"prompt": f"Today {number} of us"} for number in range(20)]),
        "comments": write_jsonl(folder / "comments.jsonl", comments),
        "tokens": 8000,
        "heldout": "{base: 500, risky: 0}",
        "arms": "[toxic_baseline, masked]",
        "options": "{SLUNG_PROBE_TRAIN: 40, SLUNG_PROBE_TEST: 10, SLUNG_TOXICITY_SAMPLES: 2}",
    }


@pytest.mark.parametrize(
    "study, settings, runs",
    [
        ("tofu", people, ["direct-seed0", "masked-seed0", "unlikelihood-seed0"]),
        ("noise", many_answers, ["direct-seed0", "masked-seed0", "masked_miss20-seed0", "unlikelihood_false5-seed0"]),
        ("relearn", people, ["direct-seed0", "masked-seed0", "anonymized-seed0"]),
        ("toxicity", mixed, ["masked-1k-seed0", "toxic_baseline-1k-seed0"]),
        ("quantity", mixed, ["masked-1k-seed0", "masked-500-seed0", "toxic_baseline-500-seed0"]),
    ],
)
def test_a_study_goes_from_nothing_to_its_report(tmp_path, study, settings, runs):
    settings = {"size": "small", "model": tiny_model(tmp_path), **settings(tmp_path)}
    if "tokens" in settings:
        settings["budgets"] = "{1k: 1000}" if study == "toxicity" else "{'500': 500, 1k: 1000}"
    words = [f"{key}={value}" for key, value in settings.items()]
    environment = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = ["-s", STUDIES / study / "Snakefile", "--cores", 2, "--config", *words]
    run(command, tmp_path, Path(sys.executable).parent, 3600, **environment).check()
    out = tmp_path / "studies" / f"{study}-small"
    figures = (out / "report.json").read_text()
    assert all(name in figures for name in {run.split("-")[0] for run in runs}) and list(
        (out / "report").glob("*.html")
    )
    assert {path.name for path in (out / "runs" / "out").iterdir()} >= set(runs)
    assert json.loads(figures)
    again = run(command, tmp_path, Path(sys.executable).parent, 3600, **environment).check().output
    assert "Nothing to be done" in again
