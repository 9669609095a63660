"""The recipes of example_configs/studies, run by the real Snakemake with tools that take no time."""

import json
import os
import shutil
import signal
import time

import pytest
import yaml
from helpers.snakemake import STUDIES, jobs, make_tools, needs_snakemake, run, run_dry, snakefile, start
from helpers.tiny import write_jsonl

pytestmark = needs_snakemake

NAMES = ("tofu", "relearn", "noise")


def people(path, authors=60):
    """Rows of TOFU's form."""
    return write_jsonl(
        path,
        [
            {"author": f"Author {number}", "question": f"What did {number} write?", "answer": f"Author {number} wrote {word}."}
            for number in range(authors)
            for word in ("novels", "plays")
        ],
    )


def arguments(study, *more, size="small", studies=STUDIES, **settings):
    """The command of docs/reproduce.md."""
    words = [f"{key}={value}" for key, value in {"size": size, **settings}.items()]
    return ["-s", snakefile(study, studies), "--cores", 2, *more, "--config", *words]


class Machine:
    """A folder with tools, data, and a copy of the recipes to change."""

    def __init__(self, folder):
        self.folder = folder
        self.tools = make_tools(folder / "bin")
        self.data = people(folder / "people.jsonl")
        self.studies = folder / "example_configs" / "studies"
        shutil.copytree(STUDIES.parent, folder / "example_configs")
        self.environment = {"CALLS": str(folder / "calls.jsonl"), "FAIL": str(folder / "fail")}

    def arguments(self, study, *more, **settings):
        return arguments(study, *more, studies=self.studies, **({"data": self.data} if study in NAMES else {}), **settings)

    def run(self, *words, **settings):
        return run(self.arguments(*words, **settings), self.folder, self.tools, **self.environment)

    def dry(self, *several):
        return run_dry(several, self.folder, self.tools, **self.environment)

    def calls(self):
        """The commands of the steps so far, without what is asked for versions."""
        path = self.folder / "calls.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [" ".join(call) for call in found if call[1] != "--version"]

    def change(self, study, size, **settings):
        """Change keys of a study.yml, as a person would."""
        path = self.studies / study / "study.yml"
        content = yaml.safe_load(path.read_text())
        content[size].update(settings)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A machine on which tofu/ has been done. Tests only look at it, or put back what they change."""
    machine = Machine(tmp_path_factory.mktemp("done"))
    machine.output = machine.run("tofu").check().output
    return machine


def test_a_study_goes_from_nothing_to_its_report(done):
    out = done.folder / "studies" / "tofu-small"
    assert (out / "report" / "report.html").exists() and (out / "report.json").exists()
    calls = done.calls()
    trained = sorted(call.split()[2] for call in calls if call.startswith("axolotl train"))
    assert trained == [f"studies/tofu-small/runs/{arm}-seed0.yml" for arm in ("direct", "masked", "unlikelihood")]
    asked = [call for call in calls if call.startswith("lm_eval")]
    models = sorted(call.split("pretrained=")[1].split(",")[0] for call in asked)
    assert models == ["studies/tofu-small/model", *(f"studies/tofu-small/runs/out/{arm}-seed0" for arm in ("direct", "masked", "unlikelihood"))]
    assert all("--log_samples" in call and "--tasks slung_tofu" in call for call in asked)
    (report,) = [call for call in calls if call.startswith("slung report")]
    assert "base=studies/tofu-small/evals/base direct=studies/tofu-small/evals/direct-seed0" in report
    names = (out / "data" / "names.txt").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in (out / "data" / "train.jsonl").read_text().splitlines()]
    assert len(names) == 20 and len(texts) == 40 and all(any(name in text for name in names) for text in texts)
    base = yaml.safe_load((out / "base.yml").read_text())
    assert "method" not in base["slung"] and base["slung"]["labelers"][0]["path"].endswith("names.txt")


def trained(calls):
    return sorted(call.split()[2].split("/")[-1] for call in calls if call.startswith("axolotl train"))


def asked(calls):
    return sorted(call.split("--output_path")[1].split("/")[-1] for call in calls if call.startswith("lm_eval"))


def test_a_second_start_does_nothing_and_a_change_only_what_depends_on_it(done):
    """What depends on the configs is known once `slung arms` has written them, so this runs and does not only plan."""
    again, option = done.dry(done.arguments("tofu"), done.arguments("tofu", wrong_answers=3))
    assert "Nothing to be done" in again
    assert jobs(option) == {"all": 1, "evaluate": 4, "report": 1}
    buckets = [{"name": "fine", "below": 0.3, "action": "train"}, {"name": "names", "action": "mask"}]
    arms = yaml.safe_load((done.studies / "tofu" / "study.yml").read_text())["small"]["arms"]
    done.change("tofu", "small", arms=[*arms[:2], {"name": "unlikelihood", "buckets": buckets}])
    before = len(done.calls())
    done.run("tofu").check()
    calls = done.calls()[before:]
    assert trained(calls) == ["unlikelihood-seed0.yml"] and asked(calls) == ["unlikelihood-seed0.part"]
    assert [call.split()[1] for call in calls if call.startswith("slung")] == ["arms", "report"]
    done.change("tofu", "small", arms=arms[:2], wrong_answers=3)
    before = len(done.calls())
    done.run("tofu").check()
    calls = done.calls()[before:]
    assert trained(calls) == [] and asked(calls) == ["base.part", "direct-seed0.part", "masked-seed0.part"]
    assert "unlikelihood" not in calls[-1] and calls[-1].startswith("slung report")
    (again,) = done.dry(done.arguments("tofu"))
    assert "Nothing to be done" in again
