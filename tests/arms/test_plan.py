"""What `arms.yml` may say, and the configs that come of it. Nothing here is labeled."""

import pytest

from axolotl_slung.arms.plan import NAMED, plan_of
from axolotl_slung.arms.runs import runs_of
from axolotl_slung.errors import SlungError
from axolotl_slung.labels.buckets import PRESETS

SPANS = {"type": "spans", "cuts": [0.3, 0.9]}


def content(**keys):
    return {"base": "base.yml", "arms": ["masked", "control"], **keys}


def base(**keys):
    made = {
        "base_model": "model",
        "plugins": ["axolotl_slung.SlungPlugin"],
        "datasets": [{"path": "rows.jsonl", "type": "completion"}],
        "slung": {"labelers": [SPANS]},
        **keys,
    }
    return {key: value for key, value in made.items() if value is not None}


def runs(tmp_path, given=None, **keys):
    return {run.name: run for run in runs_of(plan_of(content(**keys), "arms.yml"), given or base(), tmp_path / "runs")}


def said(function, *args, **keys):
    with pytest.raises(SlungError) as caught:
        function(*args, **keys)
    return list(caught.value.args)


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"base": None}, ["base: missing"]),
        ({"arm": ["masked"]}, ["arm: unknown key; did you mean 'arms'?"]),
        ({"arms": ["masked"]}, ["arms: expected a list of two or more arms"]),
        ({"arms": "masked"}, ["arms: expected a list of two or more arms"]),
        ({"arms": ["masked", "controll"]}, ["arms[1]: controll: is not one of", "did you mean 'control'?"]),
        ({"arms": ["masked", "mine"]}, ["arms[1]: mine: is not one of", "{name: mine, method: masked"]),
        ({"arms": ["masked", 3]}, ["arms[1]: expected a name or a mapping with a `name`"]),
        ({"arms": ["masked", "masked"]}, ["arms[1]: masked: another arm has this name"]),
        ({"arms": ["masked", {"name": "Masked", "method": "control"}]}, ["arms[1]: Masked: another arm has this name"]),
        ({"arms": ["masked", {"name": "m", "method": "masked"}]}, ["arms[1] (m): has the keys of the arm masked"]),
        ({"arms": ["masked", {"method": "control"}]}, ["arms[1].name: missing"]),
        ({"arms": ["masked", {"name": "../x", "method": "control"}]}, ["arms[1].name: ../x: expected letters"]),
        ({"arms": ["masked", {"name": "m", "methd": "control"}]}, ["arms[1] (m): methd: unknown key; did you mean 'method'?"]),
        ({"arms": ["masked", {"name": "m"}]}, ["arms[1] (m): has no keys of the `slung:` block"]),
        ({"seeds": [0, 1, 0]}, ["seeds: 0: given twice"]),
        ({"seeds": []}, ["seeds: expected a list of whole numbers"]),
        ({"seeds": [True, -1, 2**40]}, ["seeds: True: expected", "seeds: -1: expected", "seeds: 1099511627776: expected"]),
        ({"budgets": ["20M"]}, ["budgets: have no effect without `data`"]),
        ({"budgets": ["20M"], "data": "d.jsonl"}, ["data: has no {budget}"]),
        ({"budgets": ["20M", "20m"], "data": "{budget}"}, ["budgets: 20m: given twice"]),
        ({"budgets": ["a/b"], "data": "{budget}"}, ["budgets: a/b: expected a name"]),
        ({"data": "{budget}/x"}, ["data: {budget}: there are no `budgets`"]),
        ({"data": "{sed}/x"}, ["data: {sed}: unknown placeholder; did you mean 'seed'?"]),
        ({"data": 3}, ["data: expected a path"]),
        ({"data": "a\0b"}, ["data: has a NUL character"]),
        ({"seeds": b"12"}, ["seeds: expected a list of whole numbers"]),
        ({"equal": "tokens"}, ["equal: tokens: is not one of documents, loss_tokens"]),
        ({"ranks": 0}, ["ranks: 0: expected a whole number"]),
    ],
    ids=str,
)  # fmt: skip
def test_faults(keys, words):
    lines = said(plan_of, content(**keys), "arms.yml")
    assert all(line.startswith("arms.yml: ") and "; " in line for line in lines)
    assert all(any(word in line for line in lines) for word in words), lines


def test_all_faults_are_said_at_once():
    assert len(said(plan_of, {"arms": ["masked", "x"], "seeds": [0, 0], "euqal": 1}, "arms.yml")) == 4
    assert said(plan_of, [1], "arms.yml")[0].startswith("arms.yml: expected a mapping, got a list")


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"slung": None}, "has no `slung:` block"),
        ({"slung": {"labelers": [SPANS], "method": "masked"}}, "slung.method: is for the arms to say"),
        ({"slung": {"labelers": [SPANS], "label_noise": {}}}, "slung.label_noise: is for the arms to say"),
        ({"val_set_size": 0.1}, "val_set_size: 0.1: the rows that Axolotl sets apart"),
        ({"streaming": True}, "streaming: True: a stream is not prepared"),
        ({"group_by_length": True}, "group_by_length: True: the order depends on"),
        ({"max_steps": 100}, "max_steps: 100: arms with fewer tokens would read further"),
        ({"num_epochs": 1.5}, "num_epochs: 1.5: expected a whole number"),
        ({"datasets": [{"path": "a"}, {"path": "b"}]}, "datasets: 2: expected one entry"),
        ({"datasets": None}, "datasets: no list: expected one entry"),
        ({"use_dft": True}, "use_dft"),
        ({"seed": "../x"}, "seed: ../x: expected a whole number from 0"),
        ({"seed": True}, "seed: True: expected a whole number from 0"),
        ({"micro_batch_size": -1}, "micro_batch_size: -1: expected a whole number"),
        ({"gradient_accumulation_steps": 1.5}, "gradient_accumulation_steps: 1.5: expected a whole number"),
        ({"num_epochs": float("nan")}, "num_epochs: nan: expected a whole number"),
        ({"num_epochs": True}, "num_epochs: True: expected a whole number"),
    ],
    ids=str,
)
def test_faults_of_the_base_config(tmp_path, keys, words):
    lines = said(runs, tmp_path, base(**keys))
    assert len(lines) == 1 and lines[0].startswith("base.yml: ") and words in lines[0], lines


def test_numbers_that_equal_loss_tokens_needs(tmp_path):
    for keys, words in (
        ({"num_epochs": -1}, "num_epochs: -1: expected a number above 0"),
        ({"num_epochs": "many"}, "num_epochs: many: expected a number above 0"),
        ({"max_steps": -1}, "max_steps: -1: expected a whole number"),
    ):
        lines = said(runs, tmp_path, base(**keys), equal="loss_tokens")
        assert len(lines) == 1 and lines[0].startswith(f"base.yml: {words}"), lines


def test_tokens_that_are_no_list_name_the_arm_that_adds_one(tmp_path):
    lines = said(runs, tmp_path, base(tokens=5), arms=["masked", "control_token"])
    assert lines == ["base.yml: tokens: 5: expected a list, to which control_token adds its own; correct it"]


@pytest.mark.parametrize("value", [5, True, float("nan"), [1], [None], {1: 2}, b"x"], ids=str)
def test_lists_of_other_kinds_are_left_to_axolotl(tmp_path, value):
    for key in ("plugins", "test_datasets", "tokens"):
        assert len(runs(tmp_path, base(**{key: value}))) == 2


def test_faults_of_one_arm_name_it(tmp_path):
    lines = said(runs, tmp_path, arms=["masked", {"name": "noisy", "method": "masked", "label_noise": {"mis": 0.2}}])
    assert len(lines) == 1 and lines[0].startswith("arms[1] (noisy): slung.label_noise.mis: unknown key"), lines


def test_names_that_meet_only_with_their_budgets(tmp_path):
    for name in ("c", "b-c"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    keys = {"budgets": ["b-c", "c"], "data": str(tmp_path / "{budget}.jsonl")}
    arms = [{"name": "a", "method": "masked"}, {"name": "a-b", "method": "control"}]
    assert "two configs would be named a-b-c-seed0" in said(runs, tmp_path, arms=arms, **keys)[0]


def test_every_arm_has_the_order_of_its_seed(tmp_path):
    made = runs(tmp_path, base(sample_packing=True), arms=[*NAMED], seeds=[3, 4])
    assert list(made) == [f"{arm}-seed{seed}" for seed in (3, 4) for arm in NAMED]
    for name, run in made.items():
        config = run.config
        assert config["seed"] == run.seed and config["curriculum_sampling"] and config["sample_packing_sequentially"]
        assert config["datasets"] == [{"path": "rows.jsonl", "type": "completion", "shards": 1}]
        assert config["output_dir"] == str(tmp_path / "runs/out" / name)
        assert config["slung"]["labelers"] == [SPANS]
        assert config["slung"]["method"] == ("masked" if run.arm.name == "random_mask" else run.arm.name)
        assert config.get("tokens") == (["<|risky|>"] if run.arm.name == "control_token" else None)
    assert {*NAMED} == {*PRESETS, "random_mask"}


def test_the_order_of_a_base_config_that_has_one_stays(tmp_path):
    [run, _] = runs(tmp_path, base(curriculum_sampling=True, seed=11)).values()
    assert run.name == "masked-seed11" and "shards" not in run.config["datasets"][0]


def test_data_fills_the_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        folder = tmp_path / f"mix/seed-{seed}/20M"
        folder.mkdir(parents=True)
        (folder / "part-00000.jsonl").write_text("{}\n")
    spans = {**SPANS, "datasets": ["rows.jsonl"]}
    given = base(slung={"labelers": [spans]})
    made = runs(tmp_path, given, seeds=[0, 1], budgets=["20M"], data="mix/seed-{seed}/{budget}/*.jsonl")
    config = made["control-20M-seed1"].config
    folder = "mix/seed-1/20M"
    entry = {"path": folder, "data_files": f"{folder}/*.jsonl", "ds_type": "json", "type": "completion", "shards": 1}
    assert config["datasets"] == [entry] and config["slung"]["labelers"][0]["datasets"] == [folder]
    one = runs(tmp_path, base(), data="mix/seed-0/20M/part-00000.jsonl")["masked-seed0"].config["datasets"][0]
    assert one["path"] == "mix/seed-0/20M/part-00000.jsonl" and one["ds_type"] == "json" and "data_files" not in one
    assert said(runs, tmp_path, seeds=[0, 7], data="mix/seed-{seed}/20M/*.jsonl") == [
        "data: mix/seed-7/20M/*.jsonl: no file has such a name; check the path, or make the data first"
    ]
    assert "no such file or folder" in said(runs, tmp_path, data="nothing.jsonl")[0]


def test_an_arm_with_buckets_has_labelers_without_cuts(tmp_path):
    buckets = [{"name": "fine", "below": 0.9, "action": "train"}, {"name": "risky", "action": "mask"}]
    made = runs(tmp_path, arms=["masked", {"name": "own", "buckets": buckets}])
    assert made["own-seed0"].config["slung"] == {"labelers": [{"type": "spans"}], "buckets": buckets}
    assert made["masked-seed0"].config["slung"]["labelers"] == [SPANS]
