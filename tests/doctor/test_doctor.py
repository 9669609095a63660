"""`slung doctor`: a sound config passes, and each way to defeat the loss is found, on real runs."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from helpers import ROOT
from helpers.axolotl_run import as_if_fresh, base_config, child_environment, run_command, write_config
from helpers.tiny import write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.doctor import run
from axolotl_slung.doctor.run import FAILED, NOTE, OK, examine

TEXTS = [f"{i}. I met Maria Hernandez there, and she rebuilt the mill in 1851, with three wheels." for i in range(30)]


@pytest.fixture
def config(tmp_path, slung):
    def write(texts=TEXTS, plugins=(), block=None, **overrides):
        path = write_jsonl(tmp_path / "rows.jsonl", [{"text": text} for text in texts])
        keys = slung(["Maria Hernandez"], **(block or {"method": "unlikelihood"}))
        data = {"datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}]}
        made = base_config(tmp_path, **{**keys, **data, "plugins": [*plugins, *keys["plugins"]], **overrides})
        return str(write_config(made, tmp_path, "mine.yml"))

    with as_if_fresh(tmp_path):
        yield write


def verdicts(findings):
    return {finding.check: finding.verdict for finding in findings}


def text_of(findings, check):
    [finding] = [finding for finding in findings if finding.check == check]
    return finding.text


OWN = [
    {"name": "fine", "below": 0.5, "action": "train"},
    {"name": "name", "action": "custom", "objective": "no_such_module:loss"},
]
HINGE = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "name", "action": "hinge", "threshold": 0.5}]
ALL_CHECKS = [
    "config", "labels", "loss", "masked micro-batches", "labels in the batches", "gradients of masked targets", "gradients of their neighbors", "normalizer",
]  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"sample_packing": True, "sequence_len": 128, "attn_implementation": "sdpa", "gradient_accumulation_steps": 3},
        {"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_modules": ["q_proj", "lm_head"]},
        {"val_set_size": 0.2, "save_steps": 1, "eval_steps": 1, "hub_model_id": "nobody/nothing"},
        {"block": {"method": "masked", "normalize_by": "all_tokens", "fused": False}},
        {"block": {"method": "masked", "monitor_masked": False, "mask_document_starts": True}},
        {"block": {"method": "unlikelihood", "weight_start": 100}},
        {"block": {"method": "unlikelihood", "weight_start": 1, "weight_warmup": 4}, "gradient_accumulation_steps": 2},
        {"block": {"buckets": HINGE}},
    ],
    ids=str,
)
def test_sound_configs_pass(config, overrides, tmp_path):
    told = []
    findings = examine(config(**overrides), 2, told.append)
    assert [finding.check for finding in findings] == ALL_CHECKS
    lora = "lora_r" in overrides
    assert verdicts(findings) == {check: NOTE if lora and check == "loss" else OK for check in ALL_CHECKS}
    where = (
        "in the model's head"
        if "adapter" not in overrides and "False" not in str(overrides.get("block", {}).get("fused"))
        else "logits"
    )
    assert where in text_of(findings, "loss")
    assert "exactly zero for all" in text_of(findings, "gradients of masked targets")
    parts = overrides.get("gradient_accumulation_steps", 1)
    assert (f"{parts} micro-batches" if parts > 1 else "1 micro-batch") + " on 1 rank" in text_of(
        findings, "normalizer"
    )
    assert not (tmp_path / "out").exists() and not (tmp_path / "prepared").exists() and len(told) == 4


def test_edited_texts_are_not_said_to_be_harmless(config):
    """What `replace` puts in is trained, so no label says that something was found."""
    buckets = [
        {"name": "fine", "below": 0.5, "action": "train"},
        {"name": "name", "action": "replace", "text": "<{KIND}>"},
    ]
    findings = examine(config(block={"buckets": buckets}), 1, print)
    told = text_of(findings, "labels")
    assert "replace: changes texts and leaves no labels" in told and "nothing risky" not in told


def test_counts_of_planted_labels_are_those_of_the_batches(config):
    """By hand: rows of one length, every fifth trained token, buckets in turns."""
    findings = examine(config(texts=["the old mill " * 9] * 4, micro_batch_size=4), 1, print)
    text = text_of(findings, "labels in the batches")
    length = (
        sum(int(part) for part in text_of(findings, "labels").split("train ")[1].split()[0].rstrip(",").split()) // 4
    )
    arrived = [int(word.rstrip(",")) for word in text.split(": ")[1].split() if word.rstrip(",").isdigit()]
    assert sum(arrived) == 4 * (length // 5)
    assert verdicts(findings)["labels"] == NOTE and "the labelers found nothing risky" in text_of(findings, "labels")


@pytest.mark.parametrize(
    "overrides",
    [{}, {"sample_packing": True, "pretrain_multipack_buffer_size": 20}, {"dataloader_num_workers": 1}],
    ids=str,
)
def test_labels_are_planted_in_streams_too(config, overrides, tmp_path):
    stream = [{"path": "json", "data_files": str(tmp_path / "rows.jsonl"), "type": "pretrain"}]
    keys = {"datasets": None, "pretraining_dataset": stream, "sequence_len": 128}
    findings = examine(config(**keys, **overrides), 3, print)
    apart = "dataloader_num_workers" in overrides
    notes = {"labels": NOTE, "labels in the batches": NOTE if apart else OK}
    assert verdicts(findings) == {**dict.fromkeys(ALL_CHECKS, OK), **notes}
    text = text_of(findings, "labels in the batches")
    if apart:
        assert text.startswith("not checked: `dataloader_num_workers: 1` processes label the stream")
    else:
        assert re.fullmatch(
            r"all planted labels of the \d rows in 3 batches passed .*: mask \d+, unlikelihood \d+", text
        )


WEIGHTED = {
    "labelers": [{"type": "spans", "weights_field": "weights"}],
    "buckets": [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "more", "action": "weighted"}],
}


def test_weights_are_planted_and_arrive(config, tmp_path):
    path = config(block=WEIGHTED, sample_packing=True, sequence_len=128, attn_implementation="sdpa")
    write_jsonl(tmp_path / "rows.jsonl", [{"text": text, "weights": [[0, 9, -1.0], [9, 20, 0.0]]} for text in TEXTS])
    findings = examine(path, 2, print)
    assert verdicts(findings) == dict.fromkeys(ALL_CHECKS, OK)
    assert re.search(
        r"mask \d+, unlikelihood \d+ tokens, [1-9]\d* with a weight other than 1$", text_of(findings, "labels")
    )
    assert re.search(
        r"mask \d+, train with a weight \d+, weighted with a weight \d+$", text_of(findings, "labels in the batches")
    )


def test_a_weight_that_changes_on_the_way_is_found(config, tmp_path):
    path = config(block=WEIGHTED, plugins=["helpers.rivals.ForgetsWeights"])
    write_jsonl(tmp_path / "rows.jsonl", [{"text": text, "weights": 0.5} for text in TEXTS])
    findings = examine(path, 1, print)
    assert findings[-1].verdict == FAILED and "labels" in findings[-1].text


def test_a_collator_that_rewrites_labels_is_found(config):
    findings = examine(config(plugins=["helpers.rivals.RewritesLabels"]), 1, print)
    assert findings[-1].verdict == FAILED and "do not match their token ids" in findings[-1].text


def test_a_loss_that_passes_ours_by_is_found(config):
    findings = examine(config(plugins=["helpers.rivals.OtherLoss"]), 1, print)
    assert (findings[-1].check, findings[-1].verdict) == ("loss", FAILED)
    assert "the model never called slung's loss" in findings[-1].text


@pytest.mark.parametrize(
    "rival, check, message",
    [
        (
            "OwnCollator",
            "loss",
            "helpers.rivals.RemakesLabels (of the plugin helpers.rivals.OwnCollator) changes labels",
        ),
        ("SecondLoss", "loss", "labels are all -100 leaves a gradient"),
        ("SecondHead", "loss", "labels are all -100 leaves a gradient"),
        ("BackwardBeforeOptimizer", "loss", "a backward pass through the model starts outside the training step"),
        ("Crashes", "training", "IndexError in cross_entropy, "),
    ],
)
def test_what_goes_past_the_loss_is_found(config, rival, check, message):
    findings = examine(config(plugins=[f"helpers.rivals.{rival}"]), 1, print)
    finding = findings[-1]
    assert (finding.check, finding.verdict) == (check, FAILED) and message in finding.text, finding
    assert "Maria" not in str(findings) and "-119" not in str(findings)


def test_a_model_that_keeps_the_count_to_itself(config):
    """The loss divides by the trainer's count all the same, and the doctor looks at what it divided by."""
    findings = examine(config(plugins=["helpers.rivals.DropsTheCount"], gradient_accumulation_steps=2), 2, print)
    assert set(verdicts(findings).values()) == {OK}


def test_another_divisor_is_found(config, monkeypatch):
    from axolotl_slung.loss.causal_lm import SelectiveCausalLMLoss

    monkeypatch.setattr(
        SelectiveCausalLMLoss, "divisor", property(lambda self: None, lambda self, value: None), raising=False
    )
    findings = examine(config(plugins=["helpers.rivals.DropsTheCount"], gradient_accumulation_steps=2), 2, print)
    assert verdicts(findings)["normalizer"] == FAILED


def test_lost_labels_leaks_and_a_wrong_count_are_found(config, monkeypatch):
    """What the run itself would stop for, were it not kept from it here."""
    from axolotl_slung.loss import head
    from axolotl_slung.training.loop.batches import WatchedCollator
    from axolotl_slung.training.loop.gradients import LoopProof
    from axolotl_slung.training.loop.losses import LossWatch
    from axolotl_slung.training.loop.silence import Silence

    monkeypatch.setattr(WatchedCollator, "_check", lambda *_: None)
    monkeypatch.setattr(LoopProof, "_watch", lambda *_: None)
    monkeypatch.setattr(LossWatch, "differ", lambda *_, **__: False)
    monkeypatch.setattr(Silence, "check", lambda *_, **__: None)
    real = run.Probe._watch_batches

    def meddle(probe, trainer):
        really = trainer.get_batch_samples
        collate = trainer.data_collator

        def fewer(features):
            batch = collate(features)
            batch["labels"][:, 9] = -100  # every fifth is planted
            return batch

        trainer.get_batch_samples = lambda *a, **k: (lambda batches, count: (batches, count + 1))(*really(*a, **k))
        trainer.data_collator = fewer
        real(probe, trainer)

    monkeypatch.setattr(run.Probe, "_watch_batches", meddle)
    linear = head.linear_selective_loss

    def leaking(hidden, *args, **kwargs):
        loss, log_odds = linear(hidden, *args, **kwargs)
        return loss + 1e-3 * hidden.sum() * (log_odds.numel() > head.COMPARED), log_odds

    monkeypatch.setattr(head, "linear_selective_loss", leaking)
    findings = verdicts(examine(config(micro_batch_size=8), 1, print))
    assert (
        findings["labels in the batches"] == findings["gradients of masked targets"] == findings["normalizer"] == FAILED
    )


@pytest.mark.parametrize(
    "overrides, check, message",
    [
        ({"label_smoothing_factor": 0.1}, "config", "label smoothing replaces the model's loss"),
        ({"block": {"method": "nonsense"}}, "config", "masked"),
        ({"base_model": "no/such/model"}, "config", "no/such/model"),
        ({"block": {"buckets": OWN}}, "labels", "slung.buckets: objective: no_such_module:loss cannot be imported"),
        (
            {"texts": ["Maria Hernandez"] * 5, "block": {"eos": "mask", "method": "masked"}},
            "labels",
            "nothing is left to train",
        ),
    ],
)
def test_what_stops_before_training_is_told(config, overrides, check, message):
    findings = examine(config(**overrides), 1, print)
    assert (findings[-1].check, findings[-1].verdict) == (check, FAILED) and message in findings[-1].text


TWICE = """
import json, sys
from helpers import ROOT
from helpers.axolotl_run import as_if_fresh
from axolotl_slung.doctor.run import examine
for path in sys.argv[2:]:
    with as_if_fresh(sys.argv[1]):
        findings = examine(path, 2, print)
    print("\\nFOUND", json.dumps([[finding.check, finding.verdict, finding.text] for finding in findings]))
"""


def test_beside_ligers_loss_steps_are_trained_and_labels_compared(config, tmp_path):
    """In a process of its own, for Liger changes classes of Transformers."""
    liger = {"liger_fused_linear_cross_entropy": True, "block": {"method": "masked"}}
    plugin = "axolotl.integrations.liger.LigerPlugin"
    paths = []
    for name, plugins in (("sound", [plugin]), ("hostile", ["helpers.rivals.Unmasks", plugin])):
        paths.append(str(Path(config(plugins=plugins, **liger)).rename(tmp_path / f"{name}.yml")))
    command = [sys.executable, "-c", TWICE, str(tmp_path), *paths]
    _, output = run_command(command, tmp_path, child_environment(tmp_path, {"TRITON_INTERPRET": "1"}), timeout=300)
    found = [json.loads(line.removeprefix("FOUND ")) for line in output.splitlines() if line.startswith("FOUND ")]
    assert len(found) == 2, output[-4000:]
    sound, hostile = found
    assert [verdict for _, verdict, _ in sound] == [OK, OK, NOTE, OK, OK], sound
    assert (
        "Liger's fused linear cross-entropy computes it" in sound[2][2]
        and "one of only -100 leaves no gradient" in sound[3][2]
    )
    assert re.match(r"[1-9]\d* of \d+ labels are -100", sound[4][2])
    assert (
        hostile[-1][:2] == ["loss", FAILED]
        and "(of the plugin helpers.rivals.Unmasks) changes labels" in hostile[-1][2]
    ), hostile


def test_the_command(config, tmp_path):
    path = config()
    result = CliRunner().invoke(main, ["doctor", path, "--steps", "1"])
    assert result.exit_code == 0, result.output
    # the tutorial quotes the last line
    assert result.output.strip().endswith("All checks passed.")
    assert "Its last line is `All checks passed.`" in (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert "without logits (fused; rows by numba)" in " ".join(result.output.split())
    assert "Maria" not in result.output
    broken = yaml.safe_load(Path(path).read_text())
    broken["slung"] = None
    result = CliRunner().invoke(main, ["doctor", str(write_config(broken, tmp_path, "broken.yml"))])
    assert result.exit_code == 1 and "it has no `slung:` block" in " ".join(result.output.split())


def test_it_says_what_the_data_says(config, tmp_path):
    """Flags and ranges that Axolotl follows are counted, and one that it passes over is a warning of the command."""
    said = [
        [{"train": False}, {"weight": 1}, {"weight": 0}],
        [{"ranges": [{"begin_offset": 0, "end_offset": 18, "train": True}]}, {}, {}],
        [{}, {}, {}],
    ]
    rows = [
        {"messages": [{"role": ("user", "assistant")[turn % 2], "content": TEXTS[turn], **keys} for turn, keys in enumerate(({}, *flags))]}
        for flags in said * 8
    ]  # fmt: skip
    entry = {
        "path": str(write_jsonl(tmp_path / "chat.jsonl", rows)), "ds_type": "json", "type": "chat_template", "chat_template": "chatml",
        "message_field_training": "train", "message_field_training_detail": "ranges",
    }  # fmt: skip
    path = config(
        datasets=[entry], sequence_len=512, special_tokens={"eos_token": "<|im_end|>"}, shuffle_merged_datasets=False
    )
    result = CliRunner().invoke(main, ["doctor", path, "--steps", "1"])
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    found = re.search(
        r"ok flags of the data 16 of 24 rows say what is trained: 8 messages with train: false, 8 ranges with train: "
        r"true; so Axolotl leaves out (\d+) tokens that it would train, (\d+) of them risky, and trains 0 others",
        output,
    )
    assert found and int(found[1]) > int(found[2]) > 0, output
    assert (
        "note warning datasets[0]: 8 of 24 rows say something of training that Axolotl does not do: in 8: `train`"
        in output
    )
    assert "Maria" not in output
