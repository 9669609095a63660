"""Weights of rows through Axolotl's strategies into labels, and what is said of those that cannot be used."""

import copy

import numpy as np
import pytest
import yaml
from helpers.axolotl_run import as_if_fresh, base_config, prepare_in_process, train_in_process, write_config
from helpers.tiny import tiny_model, write_jsonl
from pydantic import ValidationError

from axolotl_slung.config import SlungConfig
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode
from axolotl_slung.training.conflicts import conflicts_of
from axolotl_slung.training.data.row_labels import SlungDataError

TEXT = "The mill burned down. You are a liar."
WEIGHTS = {"type": "spans", "weights_field": "w"}
DROP = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "bad", "action": "drop_span"}]
NOT = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "bad", "action": "unlikelihood"}]
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"


@pytest.fixture
def config(tmp_path, slung):
    def made(rows, kind="completion", labelers=(WEIGHTS,), entry=None, **block):
        path = write_jsonl(tmp_path / "rows.jsonl", rows)
        return base_config(
            tmp_path,
            base_model=str(tiny_model(tmp_path)),
            datasets=[{"path": str(path), "ds_type": "json", "type": kind, **(entry or {})}],
            shuffle_merged_datasets=False,
            sequence_len=256,
            **slung(labelers=copy.deepcopy(list(labelers)), **block),
        )

    return made


def weights_of(row, tokenizer):
    """The trained tokens and their weights, as text."""
    said = []
    for token, label in zip(row["input_ids"], row["labels"]):
        if label != IGNORE:
            weight = 1.0 if label >= 0 else float(decode(label).values)
            assert label >= 0 or decode(label).given
            said.append((tokenizer.decode([token]), round(weight, 6)))
    return said


def spelt(said, weight):
    return "".join(token for token, of_token in said if of_token == weight)


def test_numbers_and_spans_without_buckets_or_method(config):
    """All is trained, with its weight. The end of the text has the weight 1."""
    rows = [{"text": TEXT, "w": weights} for weights in ([[4, 8, 0.3]], [[0, 21, -1.0], [21, 37, 0.0]], [])]
    run = prepare_in_process(config(rows))
    one, two, none = (weights_of(row, run.tokenizer) for row in run.train_dataset)
    assert spelt(one, 0.3) == " mill" and spelt(one, 1.0) == TEXT.replace(" mill", "") + "<|end_of_text|>"
    assert (spelt(two, -1), spelt(two, 0), spelt(two, 1)) == (TEXT[:21], TEXT[21:], "<|end_of_text|>")
    # the weight 1 leaves labels as they are
    assert run.train_dataset[2]["labels"] == run.train_dataset[2]["input_ids"]


def test_a_number_for_a_row_and_an_end_that_inherits(config):
    run = prepare_in_process(config([{"text": TEXT, "w": 7.0}, {"text": TEXT, "w": 0.0}], eos="inherit"))
    seven, zero = (weights_of(row, run.tokenizer) for row in run.train_dataset)
    assert spelt(seven, 7) == spelt(zero, 0) == TEXT + "<|end_of_text|>"


def test_the_weight_0_without_codes_of_masked_tokens_is_ignored(config):
    run = prepare_in_process(config([{"text": TEXT, "w": [[0, 21, 0.0], [21, 37, 2]]}], monitor_masked=False))
    [row] = run.train_dataset
    assert spelt(weights_of(row, run.tokenizer), 2) == TEXT[21:]
    assert (
        run.tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"]) if label == IGNORE]) == TEXT[:21]
    )


def test_actions_and_two_labelers(config):
    """Weights multiply what a bucket does. Masked tokens stay masked."""
    row = {"text": TEXT, "spans": [[22, 25, 1.0], [26, 29, 0.7]], "w": [[0, 37, 0.5]], "v": [[22, 29, 4.0]]}
    buckets = [
        {"name": "fine", "below": 0.5, "action": "train"},
        {"name": "doubtful", "below": 0.9, "action": "mask"},
        {"name": "bad", "action": "unlikelihood"},
    ]
    labelers = [
        {"type": "spans", "field": "spans", "weights_field": "w"},
        {"type": "spans", "field": "spans", "weights_field": "v"},
    ]
    run = prepare_in_process(config([row], labelers=labelers, buckets=buckets))
    found = {}
    for token, label in zip(run.train_dataset[0]["input_ids"], run.train_dataset[0]["labels"]):
        if label <= FIRST_CODE:
            _, bucket, value, given = decode(label)
            key = (int(bucket), round(float(value), 4), bool(given))
            found[key] = found.get(key, "") + run.tokenizer.decode([token])
    assert found == {(0, 0.5, True): TEXT.replace(" You are", ""), (2, 2.0, True): " You", (1, 0.7, False): " are"}


def test_chats(config):
    messages = [
        {"role": "user", "content": "Who was it?", "w": 3.0},
        {"role": "assistant", "content": "A liar. Perhaps.", "w": 0.5},
        {"role": "assistant", "content": "A liar. Perhaps.", "w": None},
    ]
    run = prepare_in_process(
        config(
            [{"messages": messages, "x": 1}],
            kind="chat_template",
            entry={"chat_template": "jinja", "chat_template_jinja": CHATML, "roles_to_train": ["assistant"]},
        )
    )
    said = weights_of(run.train_dataset[0], run.tokenizer)
    assert spelt(said, 0.5) == "A liar. Perhaps." and spelt(said, 1).count("A liar. Perhaps.") == 1
    assert not spelt(said, 3)


@pytest.mark.parametrize(
    "weights", [[1.0, 0.3, 7.0, 1.0], [[1, 2, 0.3], [2, 3, 7]], "[[1, 3, 0.3], [2, 3, 23.333333]]"]
)
def test_tokenized_data(config, weights):
    ids = [40, 41, 42, 43]
    rows = [{"input_ids": ids, "attention_mask": [1] * 4, "labels": [IGNORE, *ids[1:]], "w": weights}] * 2
    for row in prepare_in_process(config(rows)).train_dataset:
        assert "w" not in row and row["labels"][0] == IGNORE and row["labels"][3] == 43
        assert decode(np.array(row["labels"][1:3])).values.tolist() == pytest.approx([0.3, 7], rel=1e-6)


def test_codes_of_an_earlier_version_are_refused(config):
    ids = [40, 41, 42]
    old = -101 - ((41 << 28) | (2 << 24) | (1 << 23))
    rows = [{"input_ids": ids, "attention_mask": [1] * 3, "labels": [40, old, 42]}] * 2
    made = config(rows, labelers=[{"type": "entities", "names": ["Maria"]}])
    with pytest.raises(SlungDataError, match="hold numbers below -100 that are not slung's codes"):
        prepare_in_process(made)


@pytest.mark.parametrize(
    "rows, block, message",
    [
        ([{"text": TEXT, "x": 1}], {}, r"weights_field: row 0 of the batch: has no 'w'"),
        ([{"text": TEXT, "w": [[0, 99, 2]]}], {}, "outside the text of 37 characters"),
        ([{"text": TEXT, "w": [[0, 3, 2]], "spans": [[0, 1]]}], {}, "a column 'spans', which .*add `field: spans`"),
        (
            [{"text": TEXT, "w": [[0, 3, -2]], "spans": [[0, 3, 1]]}],
            {"labelers": [{**WEIGHTS, "field": "spans"}], "buckets": NOT},
            r"datasets\[0\]: row 0 of the batch: .*action: unlikelihood has a weight below 0",
        ),
        (
            [{"text": TEXT, "w": [[0, 3, 2]], "spans": [[4, 8, 1]]}],
            {"labelers": [{**WEIGHTS, "field": "spans"}], "buckets": DROP},
            "text: its weights count characters of a text that an action changes",
        ),
    ],
)
def test_rows_that_cannot_be_used(config, rows, block, message):
    with pytest.raises((SlungDataError, ValueError), match=message) as raised:
        prepare_in_process(config(rows, **block))
    assert "liar" not in str(raised.value)


def test_one_weight_of_a_text_that_changes(config):
    row = {"text": TEXT, "w": 0.3, "spans": "[[3, 8, 1.0]]"}
    run = prepare_in_process(config([row], labelers=[{**WEIGHTS, "field": "spans"}], buckets=DROP))
    assert spelt(weights_of(run.train_dataset[0], run.tokenizer), 0.3) == "The burned down. You are a liar."


@pytest.mark.parametrize(
    "block, message",
    [
        ({"labelers": [{**WEIGHTS, "field": "w"}]}, "'w' is both `field` and `weights_field`"),
        (
            {"labelers": [WEIGHTS], "buckets": [{**DROP[0]}, {"name": "bad", "action": "soft"}]},
            "weights_field` cannot be used with action: soft",
        ),
        (
            {"labelers": [WEIGHTS], "buckets": [DROP[0], {**NOT[1], "weight": -1}]},
            "only `weighted` takes a weight below 0",
        ),
        ({"labelers": [WEIGHTS], "buckets": [DROP[0], {**NOT[1], "weight": 0}]}, "`weight: 0` leaves no loss"),
        ({"labelers": [WEIGHTS], "weight_start": 3}, "no bucket's action has a `weight`"),
    ],
)
def test_blocks_that_are_refused(block, message):
    with pytest.raises(ValidationError, match=message):
        SlungConfig.model_validate(block)


def test_a_fused_loss_that_reads_only_ids_is_refused():
    block = SlungConfig.model_validate({"labelers": [WEIGHTS]})
    [error] = conflicts_of({"cut_cross_entropy": True}, block)
    assert error.startswith("slung.labelers: weights_field: needs slung's loss, but Cut Cross-Entropy replaces it")


def test_inspection_shows_weights(config, tmp_path):
    """In the documents, the terminal and the statistics."""
    from axolotl_slung.inspection.terminal import terminal_view
    from axolotl_slung.label_stats.statistics import risk_report

    made = config([{"text": TEXT, "w": [[4, 8, 0.3], [9, 15, -1.0], [22, 25, 0.0]]}])
    path = write_config(made, tmp_path)
    with as_if_fresh(tmp_path):
        from axolotl.cli.config import load_cfg
        from axolotl.loaders import load_tokenizer

        from axolotl_slung.training.data.look import data_sets

        cfg = load_cfg(str(path))
        [one] = data_sets(cfg, load_tokenizer(cfg))
        documents = list(one.documents())
        buckets = one.strategy.policy.buckets
    shown = "\n".join(terminal_view(documents, buckets, color=False))
    assert "The mill×0.3 burned×-1 down. You×0 are a liar." in shown and "× after tokens: the weight" in shown
    below = int((documents[0].weight < 0).sum())
    assert f"0 leaves none (tokens: 1), below 0 makes it unlikelihood (tokens: {below})" in " ".join(shown.split())
    report = risk_report(documents, buckets)
    words = len(documents[0].tokens)
    assert (report.weights.zero, report.weights.lowest, report.weights.highest) == (1, -1, 1)
    burned = report.outcomes["unlikelihood"]
    assert report.weights.other == burned + 2 and report.outcomes["mask"] == 1
    assert report.outcomes["train"] == words - burned - 1 and yaml.safe_dump(report.to_json())


def test_streams(config, tmp_path):
    """A stream's rows have the labels of a data set."""
    rows = [{"text": TEXT, "w": [[4, 8, 0.3], [9, 15, -1.0]]}] * 4
    made = config(rows)
    stream = [{"path": "json", "data_files": str(tmp_path / "rows.jsonl"), "type": "pretrain"}]
    streamed = {**made, "datasets": None, "pretraining_dataset": stream, "output_dir": str(tmp_path / "stream")}
    run = train_in_process({key: value for key, value in streamed.items() if value is not None}, train=False)
    [whole, *_] = prepare_in_process(made).train_dataset["labels"]
    labels = [int(label) for label in next(iter(run.dataset_meta.train_dataset))["labels"] if label != IGNORE]
    assert labels == whole[: len(labels)] and sum(label <= FIRST_CODE for label in labels) >= 2
