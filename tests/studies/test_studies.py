"""The recipes of example_configs/studies, run by the real Snakemake with tools that take no time."""

import json
import os
import shutil
import signal
import time

import pytest
import yaml
from helpers.snakemake import STUDIES, jobs, make_tools, needs_snakemake, run, run_dry, start
from helpers.tiny import write_jsonl

pytestmark = needs_snakemake

NAMES = ("tofu", "relearn", "noise")
MIXED = ("toxicity", "quantity")


def people(path, authors=60):
    """Rows of TOFU's form."""
    return write_jsonl(
        path,
        [
            {
                "author": f"Author {number}",
                "question": f"What did {number} write?",
                "answer": f"Author {number} wrote {word}.",
            }
            for number in range(authors)
            for word in ("novels", "plays")
        ],
    )


class Machine:
    """A folder with tools, data, and a copy of the recipes to change."""

    def __init__(self, folder):
        self.folder = folder
        self.tools = make_tools(folder / "bin")
        self.data = people(folder / "people.jsonl")
        rows = [{"text": "A fool wrote this.", "prompt": "This is", "toxicity": 0.9}] * 3
        self.text = write_jsonl(folder / "text.jsonl", rows)
        self.studies = folder / "example_configs" / "studies"
        shutil.copytree(STUDIES.parent, folder / "example_configs")
        self.environment = {"CALLS": str(folder / "calls.jsonl"), "FAIL": str(folder / "fail")}

    def arguments(self, study, *more, size="small", **settings):
        """The command of docs/reproduce.md, with the data of this machine."""
        keys = ("data",) if study in NAMES else ("base_text", "risky_text", "prompts", "comments")
        keys += ("chats",) if (study, size) == ("toxicity", "paper") else ()
        data = {key: self.data if key == "data" else self.text for key in keys}
        words = [f"{key}={value}" for key, value in {"size": size, **data, **settings}.items()]
        return ["-s", self.studies / study / "Snakefile", "--cores", 2, *more, "--config", *words]

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
    assert models == [
        "studies/tofu-small/model",
        *(f"studies/tofu-small/runs/out/{arm}-seed0" for arm in ("direct", "masked", "unlikelihood")),
    ]
    assert all("--log_samples" in call and "--tasks slung_tofu" in call for call in asked)
    (report,) = [call for call in calls if call.startswith("slung report")]
    assert "base=studies/tofu-small/evals/base direct=studies/tofu-small/evals/direct-seed0" in report
    names = (out / "data" / "names.txt").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in (out / "data" / "train.jsonl").read_text().splitlines()]
    assert len(names) == 10 and len(texts) == 20 and all(any(name in text for name in names) for text in texts)
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


def test_a_mix_goes_to_its_report_whatever_its_files_are_called(machine):
    """Names with blanks, quotes and signs of the shell reach every command as they are."""
    names = {key: f"{key} (1); touch pwned & *.jsonl" for key in ("base_text", "risky_text", "comments")}
    others = {key: f"{key} 'x' $(touch pwned); touch pwned & \"y\"" for key in ("chats", "prompts")}
    for name in [*names.values(), *others.values()]:
        shutil.copy(machine.text, machine.folder / name)
    model = "my model; touch pwned"
    more = {"arms": "[masked, random_mask]", "seeds": "[3]", "budgets": "{2k: 2000}", "model": model}
    evaluation = {"model_args": "dtype=a b;c", "arguments": "--limit \"a b\" ';touch' pwned"}
    machine.change("toxicity", "small", evaluation=evaluation, **others)
    command = machine.arguments("toxicity", **names, **more)
    command = [word for word in command if not str(word).startswith("prompts=")]
    run(command, machine.folder, machine.tools, **machine.environment).check()
    assert not (machine.folder / "pwned").exists() and not (machine.folder / "pwned.jsonl").exists()
    out = machine.folder / "studies" / "toxicity-small"
    calls = [json.loads(line) for line in (machine.folder / "calls.jsonl").read_text().splitlines()]
    (label,) = [call for call in calls if call[1] == "label"]
    assert label[2] == names["risky_text"]
    asked = [call for call in calls if call[0] == "lm_eval"]
    assert len(asked) == 6 and [call[2:4] for call in asked] == [["hf", "--model_args"]] * 6
    assert sum(call[4] == f"pretrained={model},dtype=a b;c" for call in asked) == 1
    assert all(call[7:11] == ["--limit", "a b", ";touch", "pwned"] for call in asked)
    mix, arms = (yaml.safe_load((out / f"{name}.yml").read_text()) for name in ("mix", "arms"))
    assert mix["base"] == [{"path": names["base_text"]}] and mix["tokenizer"] == model
    assert arms["arms"] == ["masked", "random_mask"]  # not every arm of one word is a method
    assert mix["seeds"] == arms["seeds"] == [3] and mix["budgets"] == {"2k": 2000}
    (report,) = [call for call in calls if call[1] == "report"]
    assert "masked=studies/toxicity-small/evals/masked-2k-seed3" in report
    assert (out / "report" / "report.html").exists()


SIZES = ("small", "paper")
TRAINED = {  # study and size: its runs, and the models that are evaluated
    ("tofu", "small"): (3, 4),
    ("tofu", "paper"): (9, 10),
    ("relearn", "small"): (4, 5),
    ("relearn", "paper"): (12, 13),
    ("noise", "small"): (8, 9),
    ("noise", "paper"): (63, 64),
    ("toxicity", "small"): (5, 6),
    ("toxicity", "paper"): (15, 16),
    ("quantity", "small"): (9, 10),
    ("quantity", "paper"): (15, 16),
}


def test_every_study_is_planned_in_both_sizes(machine):
    outputs = machine.dry(*(machine.arguments(study, size=size) for study, size in TRAINED))
    for (study, size), output in zip(TRAINED, outputs):
        planned = jobs(output)
        assert (planned.get("train"), planned.get("evaluate")) == TRAINED[study, size], output
        assert planned["arms"] == planned["report"] == planned["tools"] == 1
        assert ("model" in planned) == (size == "small")
        if study in MIXED:
            assert planned["mix"] == 1 and ("label" in planned) == (size == "small")
        if study == "relearn":
            assert planned["audit"] == 1 and planned["attack"] == 3 * planned["train"] // 4
        if study == "toxicity":
            assert planned["tune"] == planned["evaluate_tuned"] == planned["evaluate"]
    assert not (machine.folder / "studies").exists() and machine.calls() == []


@pytest.mark.parametrize("study", [*NAMES, *MIXED])
def test_settings_say_both_sizes_alike(study):
    content = yaml.safe_load((STUDIES / study / "study.yml").read_text())
    assert list(content) == list(SIZES)
    small, paper = content["small"], content["paper"]
    assert sorted(small) == sorted(paper) and sorted(small["resources"]) == sorted(paper["resources"])
    for settings in (small, paper):
        assert (STUDIES.parent / settings["base"]).exists()
        assert all({"mem_mb", "runtime"} <= step.keys() for step in settings["resources"].values())
    assert all("gpu" not in step for step in small["resources"].values())
    assert paper["resources"]["train"]["gpu"] and paper["resources"]["evaluate"]["gpu"]


def test_what_is_wrong_is_said_before_anything_starts(machine):
    bad = write_jsonl(
        machine.folder / "bad.jsonl", [{"author": "A", "question": "Q", "answer": "secret"}, {"author": "A"}]
    )
    unrated = write_jsonl(machine.folder / "unrated.jsonl", [{"text": "secret", "toxicity": None}])
    few = people(machine.folder / "few.jsonl", authors=3)
    (machine.folder / "broken.jsonl").write_text('{"author": "secret')
    wrong = {
        "data: it's.jsonl: has quotes": machine.arguments("tofu", data="it's.jsonl"),
        "arms: a$b: has quotes": machine.arguments("tofu", arms="[masked, {name: a$b}]"),
        "size: nothing": ["-s", machine.studies / "tofu" / "Snakefile", "--config", f"data={machine.data}"],
        "auhtors: not a setting of this study": machine.arguments("tofu", auhtors=3),
        "data: not given": ["-s", machine.studies / "tofu" / "Snakefile", "--config", "size=small"],
        "data: none.jsonl: no such file": machine.arguments("tofu", data="none.jsonl"),
        "bad.jsonl: line 2 has no text in question, answer": machine.arguments("tofu", data=bad),
        "broken.jsonl: line 1: not JSON": machine.arguments("tofu", data="broken.jsonl"),
        "3 authors; `authors: 10` needs 30": machine.arguments("relearn", data=few),
        "audit, attack: masked: not an arm of this study": machine.arguments("relearn", arms='["direct", "control"]'),
        "arms, seeds, budgets: two runs would have the same name": machine.arguments("tofu", seeds="[0, 0]"),
        "risky_text: none: no such file": machine.arguments("toxicity", risky_text="none"),
        "bad.jsonl: line 1 has no text in text": machine.arguments("quantity", comments=bad),
        "bad.jsonl: line 1 has no value in prompt; each line needs prompt": machine.arguments("toxicity", prompts=bad),
        "unrated.jsonl: line 1 has no value in toxicity; each line needs text, toxicity": machine.arguments(
            "toxicity", comments=unrated
        ),
        "out: a b: not a plain path": machine.arguments("tofu", out="a b"),
        "out: -x: not a plain path": machine.arguments("tofu", out="-x"),
        "seeds: 3: expected a list; write [0, 1]": machine.arguments("tofu", seeds=3),
        "seeds: x: expected whole numbers": machine.arguments("tofu", seeds="[0, x]"),
        "seeds: True: expected whole numbers": machine.arguments("tofu", seeds="[true]"),
        "seeds: has no entries": machine.arguments("tofu", seeds="[]"),
        "arms: masked: expected a list; write [masked": machine.arguments("tofu", arms="masked"),
        "arms: a;b: expected a name": machine.arguments("tofu", arms="[masked, {name: a;b, method: masked}]"),
        "arms: nothing: expected a name": machine.arguments("tofu", arms="[masked, {method: masked}]"),
        "arms: expected two or more": machine.arguments("tofu", arms="[masked]"),
        "budgets: [1, 2]: expected a mapping; write {3k: 3000}": machine.arguments("quantity", budgets="[1, 2]"),
        "budgets.a: many: expected a whole number": machine.arguments("quantity", budgets="{a: many}"),
        "budgets: a b: expected a name": machine.arguments("quantity", budgets="{a b: 3}"),
        "tokens: 0: expected a number at least 1": machine.arguments("quantity", tokens=0),
        "authors: many: expected a whole number": machine.arguments("tofu", authors="many"),
        "authors: -1: expected a number at least 1": machine.arguments("tofu", authors=-1),
        "equal: tokens: is not one of documents, loss_tokens": machine.arguments("tofu", equal="tokens"),
        "model: a,b: has a comma": machine.arguments("tofu", model="a,b"),
        "data: 5: expected text": machine.arguments("tofu", data=5),
        "data: -x: a path with": machine.arguments("tofu", data="-x"),
        "base_text: a{b}.jsonl: a path with": machine.arguments("quantity", base_text="a{b}.jsonl"),
        "base: no.yml: not a file of example_configs": machine.arguments("tofu", base="no.yml"),
        "evaluation.model_args: nothing: expected text": machine.arguments("tofu", evaluation="{arguments: a}"),
        "evaluation.model_args: 5: expected text": machine.arguments("noise", evaluation="{model_args: 5}"),
        "resources.prepare: not given": machine.arguments("tofu", resources="{train: {threads: 1}}"),
        "resources.train: expected whole numbers": machine.arguments("tofu", resources="{train: {threads: x}}"),
        "options: A;B: not an option": machine.arguments("toxicity", options="{A;B: 1}"),
        "options: SLUNG_SCORER: the study sets it": machine.arguments("toxicity", options="{SLUNG_SCORER: profanity}"),
        "options: SLUNG_PERPLEXITY_TEXT: the study": machine.arguments(
            "quantity", options="{SLUNG_PERPLEXITY_TEXT: a}"
        ),
        "latin.jsonl: not UTF-8": machine.arguments("tofu", data="latin.jsonl"),
        "lines.jsonl: row 1: its author is blank or has a line break": machine.arguments("tofu", data="lines.jsonl"),
    }
    (machine.folder / "latin.jsonl").write_bytes(b'{"author": "secr\xe9t"}')
    write_jsonl(machine.folder / "lines.jsonl", [{"author": "secret\nB", "question": "Q", "answer": "A"}])
    for output, expected in zip(machine.dry(*wrong.values()), wrong):
        assert expected in output and "secret" not in output and "Error in file" not in output, (expected, output)
    (machine.tools / "lm_eval").unlink()
    nowhere = {**os.environ, "PATH": f"{machine.tools}:/usr/bin:/bin"}
    (output,) = run_dry([machine.arguments("tofu")], machine.folder, machine.tools, PATH=nowhere["PATH"])
    assert "lm_eval: not on PATH" in output
    assert not (machine.folder / "studies").exists() and machine.calls() == []


def test_a_study_without_the_arm_that_its_report_compares_with_says_so(machine):
    arms = {"tofu": "direct", "noise": "direct", "toxicity": "toxic_baseline", "quantity": "toxic_baseline"}
    for without in (True, False):
        chosen = {"arms": "[masked, unlikelihood]"} if without else {}
        outputs = machine.dry(*(machine.arguments(study, "-p", **chosen) for study in arms))
        for output, (study, arm) in zip(outputs, arms.items(), strict=True):
            assert (f"Note: {study}: arms: no {arm}, so the report" in output) == without, output
            assert "slung report" in output and (f"--against {arm}" in output) != without, output


def take_back(out):
    """Take a model away and what was made with it."""
    for folder in ("runs/out/masked-seed0", "evals/masked-seed0", "report"):
        shutil.rmtree(out / folder)
    (out / "report.json").unlink()


def test_a_killed_study_goes_on_and_takes_nothing_half_made_for_whole(done):
    """Everything is killed at once in the middle of a training, as by a power cut."""
    out = done.folder / "studies" / "tofu-small"
    take_back(out)
    work = out / "unfinished" / "masked-seed0"
    fail = done.folder / "fail"
    fail.touch()
    before = len(done.calls())
    process = start(done.arguments("tofu"), done.folder, done.tools, **done.environment, SECONDS="60")
    end = time.monotonic() + 120
    while not (work / "checkpoint-1" / "half.txt").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    fail.unlink()
    assert not (out / "runs" / "out" / "masked-seed0").exists()
    done.run("tofu", "--unlock").check()
    (work / "checkpoint-1" / "half.txt").write_text("from before")
    done.run("tofu").check()
    calls = done.calls()[before:]
    assert trained(calls) == ["masked-seed0.yml"] * 2 and asked(calls) == ["masked-seed0.part"]
    assert calls[-1].startswith("slung report")
    model = out / "runs" / "out" / "masked-seed0"
    assert (model / "model.safetensors").exists() and not work.exists()
    assert (model / "checkpoint-1").exists()  # it went on in the same folder


def test_work_on_other_data_is_thrown_away(done):
    out = done.folder / "studies" / "tofu-small"
    take_back(out)
    work = out / "unfinished" / "masked-seed0"
    work.mkdir(parents=True)
    (work / "old.txt").touch()
    (out / "unfinished" / "masked-seed0.of").write_text("other digests")
    done.run("tofu").check()
    assert not (out / "runs" / "out" / "masked-seed0" / "old.txt").exists()
