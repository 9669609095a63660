"""Every action, by the token ids and labels that reach the trainer."""

import pytest
from helpers.axolotl_run import base_config, prepare_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode
from axolotl_slung.training.data.row_labels import SlungDataError

FINE, HM, FOOL = "The mill burned down.", "He was merely slow.", "You are a stupid liar."
TEXT = f"{FINE} {FOOL} {HM} {FINE}"


def spans(text):
    found = []
    for part, score in ((HM, 0.5), (FOOL, 1.0)):
        found += [[text.index(part), text.index(part) + len(part), score]] if part in text else []
    return found


SPANS = {"type": "spans", "cuts": [1e-4, 0.99]}


@pytest.fixture
def prepare(tmp_path, slung):
    def rows(texts, entry=None, **block):
        path = write_jsonl(tmp_path / "rows.jsonl", [{"text": text, "spans": spans(text)} for text in texts])
        config = base_config(
            tmp_path,
            base_model=str(tiny_model(tmp_path)),
            datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
            shuffle_merged_datasets=False,
            sequence_len=256,
            tokens=["<|toxic|>"],
            **slung(labelers=[{"type": "spans"} if "buckets" in block else SPANS], **block),
        )
        run = prepare_in_process(config)
        return list(run.train_dataset), run.tokenizer

    return rows


def spelt(tokenizer, row, choose):
    return tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"]) if choose(label)])


def buckets(action, **options):
    return [
        {"name": "fine", "below": 0.9, "action": "train"},
        {"name": "toxic", "action": action, **options},
    ]


def trained(label):
    return label >= 0


def coded(label):
    return label <= FIRST_CODE


def test_train_keeps_every_token_id(prepare):
    [row], tokenizer = prepare([TEXT], method="toxic_baseline")
    assert row["labels"] == row["input_ids"]


@pytest.mark.parametrize("monitor", [None, False])
def test_mask(prepare, monitor):
    [row], tokenizer = prepare([TEXT], method="masked", monitor_masked=monitor)
    assert spelt(tokenizer, row, trained).split() == f"{FINE} {FINE}<|end_of_text|>".split()
    assert tokenizer.decode(row["input_ids"]) == TEXT + "<|end_of_text|>"
    hidden = [label for label in row["labels"] if label < 0]
    if monitor is None:
        assert sorted({int(decode(label)[1]) for label in hidden}) == [1, 2]
    else:
        assert set(hidden) == {IGNORE}


def test_unlikelihood_trains_the_doubtful(prepare):
    [row], tokenizer = prepare([TEXT], method="unlikelihood")
    assert spelt(tokenizer, row, coded) == " " + FOOL
    assert {int(decode(label)[1]) for label in row["labels"] if coded(label)} == {2}
    ids = [int(decode(label)[0]) for label in row["labels"] if coded(label)]
    assert tokenizer.decode(ids) == " " + FOOL


def test_soft_carries_the_score(prepare):
    soft = [{"name": "fine", "below": 0.2, "action": "train"}, {"name": "risky", "action": "soft", "weight": 0.5}]
    [row], tokenizer = prepare([TEXT], buckets=soft)
    by_score = {}
    for token_id, label in zip(row["input_ids"], row["labels"]):
        if coded(label):
            by_score.setdefault(round(float(decode(label)[2]), 4), []).append(token_id)
    assert {score: tokenizer.decode(ids).strip() for score, ids in by_score.items()} == {0.5: HM, 1.0: FOOL}


def test_drop_span_is_the_text_without_it(prepare):
    rows, tokenizer = prepare([TEXT, f"{FOOL} {FINE}", FINE], method="low_risk")
    plain = [f"{FINE} {FINE}", FINE, FINE]
    assert [row["input_ids"] for row in rows] == [
        tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] for text in plain
    ]
    assert all(row["labels"] == row["input_ids"] for row in rows)


def test_drop_span_of_a_whole_document_and_documents_without_text(tmp_path, slung):
    rows = [
        {"id": "a", "text": FOOL, "spans": spans(FOOL)},
        {"id": "b", "text": "", "spans": []},
        {"id": "c", "text": FINE, "spans": []},
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(tmp_path)),
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        **slung(labelers=[SPANS], method="low_risk"),
    )
    run = prepare_in_process(config)
    assert [run.tokenizer.decode(row["input_ids"]) for row in run.train_dataset] == [FINE + "<|end_of_text|>"]


def test_drop_document(prepare):
    rows, tokenizer = prepare([TEXT, FINE, f"{HM} {FINE}", FINE + FINE], method="control")
    assert [tokenizer.decode(row["input_ids"]) for row in rows] == [
        f"{text}<|end_of_text|>" for text in (FINE, FINE + FINE)
    ]


def test_control_token_is_context_and_its_span_is_trained(prepare):
    [row], tokenizer = prepare([TEXT], buckets=buckets("control_token", token="<|toxic|>"))
    assert tokenizer.decode(row["input_ids"]) == f"{FINE} <|toxic|>{FOOL} {HM} {FINE}<|end_of_text|>"
    control = tokenizer.convert_tokens_to_ids("<|toxic|>")
    assert row["input_ids"].count(control) == 1
    assert [label for i, label in zip(row["input_ids"], row["labels"]) if i == control] == [IGNORE]
    assert all(label == i for i, label in zip(row["input_ids"], row["labels"]) if i != control)


def test_a_control_token_that_is_no_token_is_refused(prepare):
    with pytest.raises(ValueError, match=r"slung.buckets: the control token '<bad>' .* add it .* under `tokens:`"):
        prepare([TEXT], buckets=buckets("control_token", token="<bad>"))


@pytest.mark.parametrize("method", ["masked", "low_risk", "control"])
def test_a_data_set_with_nothing_left_to_train_is_an_error(prepare, method):
    with pytest.raises((SlungDataError, ValueError), match=r"nothing is left to train|no rows"):
        prepare([FOOL, FOOL], method=method, eos="mask")


@pytest.mark.parametrize("overlap, hidden", [("any", True), ("majority", False), ("all", False)])
def test_overlap(tmp_path, slung, overlap, hidden):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": "the mill", "spans": [[3, 4, 1.0]]}])
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(tmp_path)),
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        **slung(labelers=[{"type": "spans"}], overlap=overlap),
    )
    run = prepare_in_process(config)
    row = run.train_dataset[0]
    touched = spelt(run.tokenizer, row, coded)
    assert (touched.startswith(" ") and len(touched) > 1) if hidden else touched == ""
