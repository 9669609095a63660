"""The attacks on a model that hides what it knows, with real training and real audits."""

import contextlib
import json
import os
import shutil
import stat
from typing import NamedTuple

import pytest
from helpers.attacking import InProcess
from helpers.auditing import GIVEN, audit_folder, memorized, people, span_row
from helpers.axolotl_run import as_if_fresh, base_config, write_config
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.attacks.asking import Audit, metrics_in
from axolotl_slung.attacks.recipes import benign, forced, guided, quantized, relearn
from axolotl_slung.attacks.record import opened
from axolotl_slung.errors import SlungError

SAMPLED, STEPS = 4, (0, 3, 12)


class Secret(NamedTuple):
    text: str
    phone: str


@pytest.fixture(scope="module")
def secrets():
    return [
        Secret(f"The number that {name} calls is {person.phone}.", person.phone)
        for name, person in zip(GIVEN, people("trained", 16))
    ]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory, secrets):
    """A model that knows all numbers by heart."""
    folder = tmp_path_factory.mktemp("knowing")
    return memorized(tiny_model(folder, arch="phi"), folder / "knowing", [secret.text for secret in secrets], steps=80)


def hiding(model, target, by):
    """A copy of a model whose head's bias holds digits back."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shutil.copytree(model, target)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(target), AutoTokenizer.from_pretrained(target)
    with torch.no_grad():
        model.lm_head.bias[[number for token, number in tokenizer.get_vocab().items() if token.isdigit()]] -= by
    model.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def masked(knowing):
    return hiding(knowing, knowing.parent / "masked", 8)


@pytest.fixture(scope="module")
def given(tmp_path_factory, masked, secrets):
    """The config, its data and an audit of the first phone numbers."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("given")
    tokenizer = AutoTokenizer.from_pretrained(masked)
    phones = folder / "phones.txt"
    phones.write_text("\n".join(secret.phone for secret in secrets))
    rows = [{"text": secret.text, "id": number} for number, secret in enumerate(secrets)]
    rows += [{"text": "nothing risky in this one", "id": -1}, {"text": f"again {secrets[0].phone}", "id": -2}]
    data = write_jsonl(folder / "train.jsonl", rows)
    config = base_config(
        folder,
        base_model=str(masked),
        datasets=[{"path": str(data), "ds_type": "json", "type": "completion"}],
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"labelers": [{"type": "entities", "path": str(phones)}]},
        sequence_len=64,
        micro_batch_size=6,
        unfrozen_parameters=["lm_head.bias"],
        learning_rate=0.3,
    )
    spans = [
        span_row("trained", "entities", secret.phone, secret.text, "", (), tokenizer) | {"labeler": "entities"}
        for secret in secrets[:SAMPLED]
    ]
    return write_config(config, folder), config, audit_folder(folder / "audit", spans)


@contextlib.contextmanager
def sets(path):
    from axolotl_slung.cli.block import read_block
    from axolotl_slung.cli.looking import open_config

    with as_if_fresh(path.parent):
        yield open_config(str(path), read_block(str(path), ()))[1]


def asked(given, run):
    return Audit(given[2], "slung_extraction", run=run, arguments={"dtype": "float32"})


def attack(given, masked, folder, steps=STEPS, run=None, **options):
    path, config, _ = given
    run = run or InProcess()
    found = relearn(config, lambda: sets(path), str(masked), asked(given, run), folder, steps, tell=quiet, **options)
    return found, run


def quiet(step):
    pass


@pytest.fixture(scope="module")
def attacked(tmp_path_factory, given, masked):
    folder = tmp_path_factory.mktemp("attacks") / "relearn"
    return attack(given, masked, folder, STEPS[::2]), folder


def extracted(found):
    return [metrics_in(found.folder / point["results"])["extracted"] for point in found.points]


def test_other_rows_bring_masked_secrets_back(attacked):
    (found, _), folder = attacked
    assert extracted(found) == [0.0, 1.0]
    assert [point["x"] for point in found.points] == [0, 12] and found.points[0]["tokens"] == 0
    assert found.points[1]["tokens"] > 12 * 6 * 10


def test_no_row_of_the_sample_is_learned(attacked, secrets):
    from datasets import Dataset

    _, folder = attacked
    described = json.loads((folder / "rows.json").read_text())
    rows = Dataset.from_parquet(str(folder / "rows-0.parquet"))
    assert sorted(rows["id"]) == list(range(SAMPLED, len(secrets))) and described["rows"] == len(rows)
    (entry,) = described["entries"]
    read = {"path": str(folder / "rows-0.parquet"), "ds_type": "parquet", "type": "completion", "field": "text"}
    assert read.items() <= entry.items()


def test_only_the_owner_reads_the_folder_and_trained_models_go(attacked):
    _, folder = attacked
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("attack.json", "rows.json", "rows-0.parquet", "steps-12/config.yml"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert not (folder / "steps-12" / "model").exists() and (folder / "steps-12" / "results").is_dir()


def test_a_second_run_only_measures_what_is_missing(attacked, given, masked, secrets):
    (found, first), folder = attacked
    assert (first.count("axolotl"), first.count("lm_eval")) == (1, 2)
    direct = folder.parent / "results_direct.json"
    direct.write_text(json.dumps({"results": {"slung_extraction": {"extracted,none": 0.9}}}))
    more, second = attack(given, masked, folder, STEPS, direct=direct)
    assert (second.count("axolotl"), second.count("lm_eval")) == (1, 1)
    assert [point["x"] for point in more.points] == list(STEPS)
    assert more.more["half"] == {"direct": 0.9, "x": 12, "tokens": more.points[2]["tokens"]}
    third = attack(given, masked, folder, STEPS, direct=direct)[1]
    assert third.commands == []
    saved = json.loads((folder / "attack.json").read_text())
    assert saved["points"] == more.points and saved["half"]["x"] == 12 and saved["model"] == str(masked)
    assert not any(secret.phone in (folder / "attack.json").read_text() for secret in secrets)


def test_an_interrupted_audit_does_not_train_again(tmp_path, given, masked):
    class Interrupted(InProcess):
        def __call__(self, command, *rest):
            if command[0] == "lm_eval":
                raise KeyboardInterrupt
            super().__call__(command, *rest)

    with pytest.raises(KeyboardInterrupt):
        attack(given, masked, tmp_path / "a", (2,), Interrupted())
    found, run = attack(given, masked, tmp_path / "a", (2,))
    assert (run.count("axolotl"), run.count("lm_eval")) == (0, 1) and found.points[0]["tokens"] > 0


def test_another_attack_in_the_folder_is_refused(attacked, given, masked, tmp_path):
    _, folder = attacked
    for options, what in (({"seed": 5}, "another seed"), ({"overrides": {"weight_decay": 0.1}}, "another set")):
        with pytest.raises(SlungError, match=what):
            attack(given, masked, folder, **options)
    other = tmp_path / "other"
    shutil.copytree(masked, other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    with pytest.raises(SlungError, match="another model"):
        attack(given, other, folder)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("")
    with pytest.raises(SlungError, match="has files but no attack.json"):
        attack(given, masked, tmp_path / "used")


def test_an_attack_that_was_refused_leaves_its_folder_free(given, masked, tmp_path):
    folder = tmp_path / "a"
    begun = opened(folder, "relearn", {"config": "of a refused try"})
    assert begun.point(0) is None and [path.name for path in folder.iterdir()] == ["attack.json"]
    found, _ = attack(given, masked, folder, (0,))
    assert [point["x"] for point in found.points] == [0]
    with pytest.raises(SlungError, match="another seed"):
        attack(given, masked, folder, (0,), seed=9)


@pytest.mark.parametrize("key", ["slung", "slung.method", "base_model", "max_steps"])
def test_what_the_attack_sets_is_not_overridden(tmp_path, given, masked, key):
    with pytest.raises(SlungError, match=f"--set: {key}: the attack sets this key"):
        attack(given, masked, tmp_path / "a", overrides={key: 1})
    assert not os.path.exists(tmp_path / "a")


def test_the_command_shows_the_curve_of_an_attack_that_is_done(attacked, given, masked):
    """Several numbers follow one option."""
    from click.testing import CliRunner

    from axolotl_slung.cli import main

    _, folder = attacked
    arguments = ["attack", "relearn", str(given[0]), "--steps", "0", "12", "--model", str(masked), "-o", str(folder)]
    arguments += ["--audit", str(given[2]), "--tasks", "slung_extraction", "--model-args", '{"dtype": "float32"}']
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    cells = [line.split() for line in done.output.splitlines()]
    assert ["0", "0.0%", "0.0%", "60.2%"] in cells  # 0 of 4, by Clopper and Pearson
    assert any(row[:1] == ["12"] and row[2:3] == ["100.0%"] for row in cells)


def test_harmless_text_is_no_relearning(given, masked, tmp_path):
    path, config, _ = given
    run = InProcess()
    found = benign(config, str(masked), asked(given, run), tmp_path / "a", (2,), tell=quiet)
    assert extracted(found) == [0.0] and found.points[0]["tokens"] > 0 and run.count("axolotl") == 1
    for text, what in (("call 979328", "a sampled span is in it"), (7, "has no text in a column `text`")):
        data = write_jsonl(tmp_path / "data.jsonl", [{"text": "harmless"}, {"text": text}])
        with pytest.raises(SlungError, match=f"row 2: {what}"):
            benign(config, str(masked), asked(given, run), tmp_path / "b", (2,), data, tell=quiet)


def test_guidance_finds_what_training_raised(given, knowing, masked, tmp_path):
    before = hiding(knowing, tmp_path / "before", 16)
    found = guided(str(masked), str(before), asked(given, InProcess()), tmp_path / "a", (1, 0), tell=quiet)
    assert [point["x"] for point in found.points] == [0, 1] and extracted(found) == [0.0, 1.0]


def test_quantized_weights_still_tell(given, knowing, tmp_path):
    run = InProcess()
    found = quantized(str(knowing), asked(given, run), tmp_path / "a", (8, 4), tell=quiet)
    assert [point["x"] for point in found.points] == [4, 8] and extracted(found)[1] == 1.0
    assert not (tmp_path / "a" / "bits-8" / "model").exists()
    assert quantized(str(knowing), asked(given, run), tmp_path / "a", (8, 4), tell=quiet).points == found.points
    assert run.count("lm_eval") == 2


def test_first_tokens_are_given(given, knowing, tmp_path):
    found = forced(str(knowing), asked(given, InProcess()), tmp_path / "a", (1, 2), tell=quiet)
    assert extracted(found) == [1.0, 1.0]
    tokens = []
    for point in found.points:
        (path,) = (found.folder / point["results"]).rglob("samples_*.jsonl")
        rows = map(json.loads, path.read_text().splitlines())
        tokens.append(sum(row["measured"]["prefixes"]["whole"]["tokens"] for row in rows))
    assert tokens[0] - tokens[1] == SAMPLED


@pytest.mark.slow
def test_the_command_as_it_is_typed(given, knowing, tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    command = [Path(sys.executable).with_name("slung"), "attack", "forced", "--tokens", "1", "--model", knowing]
    command += ["--audit", given[2], "-o", tmp_path / "a", "--model-args", '{"dtype": "float32"}']
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "100.0%" in done.stdout and json.loads((tmp_path / "a" / "attack.json").read_text())["points"][0]["x"] == 1
