"""`slung arms` on a small study: the configs that it writes, trained by Axolotl."""

import json
import math
import os

import pytest
import yaml
from click.testing import CliRunner
from helpers.axolotl_run import as_if_fresh, base_config, prepare_in_process, train_in_process
from helpers.tiny import TEXT, tiny_model, write_jsonl
from transformers import AutoTokenizer

from axolotl_slung.arms import plan
from axolotl_slung.cli import main

NAMED = list(plan.NAMED)
OWN = [
    {"name": "miss50", "method": "masked", "label_noise": {"miss": 0.5, "seed": 1}},
    {"name": "false10", "method": "masked", "label_noise": {"false": 0.1, "seed": 1}},
    {
        "name": "anonymized",
        "buckets": [
            {"name": "fine", "below": 0.9, "action": "train"},
            {"name": "risky", "action": "replace", "text": "<gone>"},
        ],
    },
]
SHORT = [text for text in TEXT if len(text) < 90]


def rows():
    """30 documents, each with its number. Every third has risky text, and another seventh doubtful text."""
    made = []
    for number in range(30):
        text = f"{number}: {SHORT[number % len(SHORT)]}"
        end = len(text) // 2
        spans = [[4, end, 1.0]] if number % 3 == 0 else [[4, end, 0.5]] if number % 7 == 0 else []
        made.append({"text": text, "spans": spans})
    return made


def write_study(folder, arms=(), seeds=(0,), spans=True, **keys):
    """A base config and an `arms.yml` in a folder. The keys with which `arms.yml` has more begin with `study_`."""
    made = [row if spans else {**row, "spans": []} for row in rows()]
    config = base_config(
        folder,
        base_model=str(tiny_model(folder)),
        datasets=[{"path": str(write_jsonl(folder / "rows.jsonl", made)), "ds_type": "json", "type": "completion"}],
        **{
            "sequence_len": 128,
            "max_steps": None,
            "num_epochs": 2,
            "gradient_accumulation_steps": 2,
            "plugins": ["axolotl_slung.SlungPlugin"],
            "slung": {"labelers": [{"type": "spans", "cuts": [0.3, 0.9]}]},
            **{key: value for key, value in keys.items() if not key.startswith("study_")},
        },
    )
    (folder / "base.yml").write_text(yaml.safe_dump(config))
    more = {key.removeprefix("study_"): value for key, value in keys.items() if key.startswith("study_")}
    content = {"base": str(folder / "base.yml"), "arms": [*arms], "seeds": [*seeds], **more}
    (folder / "arms.yml").write_text(yaml.safe_dump(content))


def run_arms(folder, status=0):
    with as_if_fresh(folder):
        result = CliRunner().invoke(main, ["arms", str(folder / "arms.yml"), "-o", str(folder / "runs")])
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


def listed(folder):
    return {one["name"]: one for one in json.loads((folder / "runs/arms.json").read_text())["arms"]}


def config_of(folder, name):
    return yaml.safe_load((folder / f"runs/{name}.yml").read_text())


def numbers(dataset, tokenizer):
    """The numbers of the documents, in their order."""
    return [int(tokenizer.decode(ids).partition(":")[0].strip("<>| risky")) for ids in dataset["input_ids"]]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, [*NAMED, *OWN])
    return folder, run_arms(folder)


def test_the_list_and_the_configs(study):
    folder, output = study
    entries = listed(folder)
    assert list(entries) == [f"{name}-seed0" for name in (*NAMED, *(arm["name"] for arm in OWN))]
    risky, doubtful = 10, len({7, 14, 28})
    for name, one in entries.items():
        assert one["config"] == str(folder / "runs" / f"{name}.yml") and one["budget"] is None and one["seed"] == 0
        assert config_of(folder, name)["output_dir"] == one["output_dir"] == str(folder / "runs/out" / name)
        dropped = {"control": risky + doubtful, "drop_documents": risky}.get(one["arm"], 0)
        assert one["documents"] == 30 - dropped and one["epochs"] == 2
        header = (folder / "runs" / f"{name}.yml").read_text().split("\n\n")[0]
        assert f"arm {one['arm']}, seed 0" in header and f"loss: {one['loss_tokens']:,}." in header
        assert all(line.startswith("#") for line in header.splitlines())
        assert all(len(line) <= 130 for line in header.splitlines() if "Written from " not in line)  # it names a path
        assert f"{name}.yml" in output and f"{one['loss_tokens']:,}" in output
    loss = {one["arm"]: one["loss_tokens"] for one in entries.values()}
    assert loss["masked"] < loss["miss50"] < loss["toxic_baseline"] == loss["unlikelihood"]
    assert loss["false10"] < loss["masked"]
    assert loss["random_mask"] == pytest.approx(loss["masked"], abs=2 * 13)  # first tokens of rows are no targets
    assert os.stat(folder / "runs/arms.json").st_mode & 0o077 == 0


def test_the_order_of_documents_is_the_same_in_every_arm(study, tmp_path):
    folder, _ = study
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(folder))
    order = {name: numbers(prepare_in_process(config_of(folder, name)).train_dataset, tokenizer)
             for name in ("masked-seed0", "control-seed0", "low_risk-seed0")}  # fmt: skip
    whole = order["masked-seed0"]
    assert sorted(whole) == list(range(30)) != whole and order["low_risk-seed0"] == whole
    assert order["control-seed0"] == [n for n in whole if n % 3 and n % 7]
    other = {**config_of(folder, "masked-seed0"), "seed": 1}
    assert sorted(numbers(prepare_in_process(other).train_dataset, tokenizer)) == list(range(30))
    assert numbers(prepare_in_process(other).train_dataset, tokenizer) != whole


def trained(config):
    """Train, and note for each step the rows that it read, in their order, and how many targets have a loss."""
    steps = []

    def note(trainer):
        get = trainer.get_batch_samples

        def get_batch_samples(*args, **kwargs):
            batches, *rest = get(*args, **kwargs)
            rows = [row for batch in batches for row in batch["input_ids"].tolist()]
            steps.append((rows, sum(int((batch["labels"][:, 1:] != -100).sum()) for batch in batches)))
            return batches, *rest

        trainer.get_batch_samples = get_batch_samples

    return train_in_process(config, on_trainer=note), steps


WHOLE = ["control", "unlikelihood", "control_token", "anonymized"]


@pytest.mark.parametrize("arm", [name for name in (*NAMED, *(arm["name"] for arm in OWN)) if name not in WHOLE])
def test_every_other_config_trains(study, arm):
    folder, _ = study
    run, steps = trained({**config_of(folder, f"{arm}-seed0"), "max_steps": 2})
    assert run.trainer.state.global_step == len(steps) == 2
    assert all(math.isfinite(entry["loss"]) for entry in run.trainer.state.log_history if "loss" in entry)


@pytest.mark.parametrize("name", [f"{arm}-seed0" for arm in WHOLE])
def test_configs_train_as_counted(study, name):
    """Whole runs: every document of the arm is read twice, in the same order, with the tokens that were counted."""
    folder, _ = study
    run, steps = trained(config_of(folder, name))
    one = listed(folder)[name]
    assert run.trainer.state.global_step == len(steps) == one["steps"]
    first, second = (steps[half : half + len(steps) // 2] for half in (0, len(steps) // 2))
    assert [rows for rows, _ in first] == [rows for rows, _ in second]
    assert sum(len(rows) for rows, _ in steps) == 2 * one["documents"]
    if name in ("control_token-seed0", "anonymized-seed0"):  # every label is a token, or -100
        assert sum(number for _, number in steps) == one["loss_tokens"]


def test_equal_loss_tokens_with_packing(tmp_path):
    arms = ["masked", "toxic_baseline", "drop_documents"]
    keys = {"sample_packing": True, "micro_batch_size": 1, "num_epochs": 4, "study_equal": "loss_tokens"}
    write_study(tmp_path, arms, **keys)
    output = run_arms(tmp_path)
    entries = {one["arm"]: one for one in listed(tmp_path).values()}
    loss = {name: one["loss_tokens"] for name, one in entries.items()}
    smallest = entries["drop_documents"]
    assert smallest["epochs"] == 4 > entries["masked"]["epochs"] > entries["toxic_baseline"]["epochs"]
    largest_step = 2 * 128
    assert max(loss.values()) - min(loss.values()) < largest_step
    assert f"{max(loss.values()) / min(loss.values()) - 1:.2%}" in output
    config = config_of(tmp_path, "toxic_baseline-seed0")
    assert config["max_steps"] == entries["toxic_baseline"]["steps"]
    assert "by max_steps. It counts for 1 process" in (tmp_path / "runs/toxic_baseline-seed0.yml").read_text()
    run, steps = trained(config)
    assert run.trainer.state.global_step == len(steps) == entries["toxic_baseline"]["steps"]
    assert sum(number for _, number in steps) == loss["toxic_baseline"]


def test_arms_that_do_not_differ_are_refused(tmp_path):
    write_study(tmp_path, ["masked", {"name": "same", "method": "masked", "label_noise": {"miss": 0.0}}])
    output = run_arms(tmp_path, status=2)
    assert "arms: same: does not differ from masked on this data" in output and "(seed 0)" in output
    assert not (tmp_path / "runs").exists()


def test_an_arm_that_changes_nothing_is_refused(tmp_path):
    write_study(tmp_path, [OWN[-1], "unlikelihood"], spans=False)
    output = run_arms(tmp_path, status=2)
    assert "arms: anonymized: changes nothing on this data" in output
    assert not (tmp_path / "runs").exists()


def test_files_of_others_stay(tmp_path):
    write_study(tmp_path, ["masked", "toxic_baseline"])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/masked-seed0.yml").write_text("mine: true\n")
    assert "masked-seed0.yml: was not written by this command" in run_arms(tmp_path, status=2)
    assert (tmp_path / "runs/masked-seed0.yml").read_text() == "mine: true\n"
    (tmp_path / "runs/masked-seed0.yml").unlink()
    (tmp_path / "runs/arms.json").write_text("[]")
    assert "arms.json: was not written by this command" in run_arms(tmp_path, status=2)


def test_axolotls_errors_name_the_config(tmp_path):
    write_study(tmp_path, ["masked", "toxic_baseline"], learning_rate="fast")
    output = run_arms(tmp_path, status=2)
    assert "Error: masked-seed0: " in output and "learning_rate" in output
