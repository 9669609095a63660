"""The action `hidden_token`: ids and labels of every kind of data, against a slow reading of the same text."""

import gc

import pytest
import torch
from helpers.axolotl_run import prepare_in_process, rows_config, train_in_process
from helpers.truth import NAME, risky

from axolotl_slung.errors import SlungError
from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode

TOKEN = "<|hidden|>"
STOCK = {"tokens": [TOKEN]}
ROWS = [f"Ask {NAME} at the mill.", "Nobody is here.", f"{NAME} and {NAME}, they said.", f"The end is {NAME}"] * 3


def block(slung, token=TOKEN, **more):
    buckets = [
        {"name": "fine", "below": 0.5, "action": "train"},
        {"name": "names", "action": "hidden_token", "token": token},
    ]
    return {**slung(buckets=buckets, **more), **STOCK}


def prepared(*args, **more):
    run = prepare_in_process(rows_config(*args, **more))
    return [
        {key: list(map(int, row[key])) for key in ("input_ids", "labels")} for row in run.train_dataset
    ], run.tokenizer


def read(label):
    """A label as (token id, whether it is trained), or None for one that is ignored."""
    return None if label == IGNORE else (label, True) if label >= 0 else (int(decode(label)[0]), False)


def assert_hidden(rows, stock, tokenizer, coded=True):
    """Each risky token's input and target are the reserved token, without loss. All else is stock Axolotl's."""
    hidden = tokenizer.convert_tokens_to_ids(TOKEN)
    count = 0
    assert len(rows) == len(stock) > 0
    for row, other in zip(rows, stock):
        marks = risky(tokenizer, other["input_ids"])
        count += sum(marks)
        assert row["input_ids"] == [hidden if mark else i for i, mark in zip(other["input_ids"], marks)]
        expected = [
            None if label == IGNORE or (mark and not coded) else (hidden if mark else label, not mark)
            for label, mark in zip(other["labels"], marks)
        ]
        assert [read(label) for label in row["labels"]] == expected
    assert count


@pytest.mark.parametrize("monitor", [None, False])
def test_completion(tmp_path, slung, monitor):
    rows = [{"text": text} for text in ROWS]
    stock, _ = prepared(tmp_path, rows, {"type": "completion"}, STOCK)
    ours, tokenizer = prepared(tmp_path, rows, {"type": "completion"}, block(slung, monitor_masked=monitor))
    assert_hidden(ours, stock, tokenizer, coded=monitor is None)


def test_chats_hide_what_is_only_context_too(tmp_path, slung):
    entry = {"type": "chat_template", "chat_template": "chatml"}
    rows = [{"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": text}]} for text in ROWS]
    stock, _ = prepared(tmp_path, rows, entry, STOCK)
    ours, tokenizer = prepared(tmp_path, rows, entry, block(slung))
    assert_hidden(ours, stock, tokenizer)
    assert all(NAME not in tokenizer.decode(row["input_ids"]) for row in ours)


@pytest.mark.parametrize("packed", [False, True])
def test_streams(tmp_path, slung, packed):
    def streamed(keys, name):
        made = rows_config(tmp_path, [{"text": text} for text in ROWS], {}, keys, sequence_len=64)
        del made["datasets"]
        made |= {
            "pretraining_dataset": [{"path": "json", "data_files": str(tmp_path / "rows.jsonl")}],
            "streaming": True,
            "streaming_multipack_buffer_size": 6,
            "output_dir": str(tmp_path / name),
        }
        made |= {"sample_packing": True, "attn_implementation": "sdpa"} if packed else {}
        run = prepare_in_process(made)
        gc.freeze()  # packing collects garbage after each buffer, and most of what it goes through is left from imports
        rows = [{key: list(map(int, row[key])) for key in ("input_ids", "labels")} for row in run.train_dataset]
        gc.unfreeze()
        return rows, run.tokenizer

    masked, _ = streamed(slung(), "masked")  # stock Axolotl packs a buffer in another order
    ours, tokenizer = streamed(block(slung), "ours")
    hidden = tokenizer.convert_tokens_to_ids(TOKEN)
    for row, other in zip(ours, masked, strict=True):
        marks = [label <= FIRST_CODE for label in other["labels"]]
        assert marks == [label <= FIRST_CODE for label in row["labels"]]
        assert row["input_ids"] == [hidden if mark else i for i, mark in zip(other["input_ids"], marks)]
        assert [read(one)[0] for one, mark in zip(row["labels"], marks) if mark] == [hidden] * sum(marks)
    assert any(hidden in row["input_ids"] for row in ours) and NAME not in tokenizer.decode(ours[0]["input_ids"])


def test_token_ids_with_spans_and_again(tmp_path, slung):
    """The reserved token's id is larger than the column's type can hold. Labels of a first run are read by a second."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = pa.array([[40, 41, 42, 43]] * 2, pa.list_(pa.uint8()))
    table = {"input_ids": ids, "attention_mask": ids, "labels": pa.array([[40, 41, IGNORE, 43]] * 2)}
    pq.write_table(pa.table({**table, "spans": pa.array([[[1, 3, 1.0]], []])}), tmp_path / "rows.parquet")
    made = rows_config(tmp_path, [], {}, block(slung, labelers=[{"type": "spans"}]))
    made["datasets"] = [{"path": str(tmp_path / "rows.parquet"), "ds_type": "parquet", "type": "completion"}]
    run = prepare_in_process(made)
    hidden = run.tokenizer.convert_tokens_to_ids(TOKEN)
    assert hidden > 255
    first, second = run.train_dataset
    assert first["input_ids"] == [40, hidden, hidden, 43] and second["input_ids"] == [40, 41, 42, 43]
    assert [read(label) for label in first["labels"]] == [(40, True), (hidden, False), None, (43, True)]
    run.train_dataset.select_columns(["input_ids", "attention_mask", "labels"]).to_parquet(tmp_path / "again.parquet")
    made["datasets"][0]["path"] = str(tmp_path / "again.parquet")
    made["slung"]["labelers"] = [{"type": "profanity"}]
    again = prepare_in_process(made).train_dataset
    assert again[0]["labels"] == first["labels"] and again[0]["input_ids"] == first["input_ids"]


def test_a_random_control_hides_as_many(tmp_path, slung):
    rows = [{"text": text} for text in ROWS]
    stock, tokenizer = prepared(tmp_path, rows, {"type": "completion"}, STOCK)
    ours, _ = prepared(tmp_path, rows, {"type": "completion"}, block(slung, random_control=True))
    hidden = tokenizer.convert_tokens_to_ids(TOKEN)
    for row, other in zip(ours, stock):
        places = [k for k, i in enumerate(row["input_ids"]) if i == hidden]
        assert len(places) == sum(risky(tokenizer, other["input_ids"]))
        assert places == [k for k, label in enumerate(row["labels"]) if label <= FIRST_CODE]
        assert all(i == j for k, (i, j) in enumerate(zip(row["input_ids"], other["input_ids"])) if k not in places)


def test_a_reserved_token_in_the_text_is_not_trained(tmp_path, slung):
    [row], tokenizer = prepared(tmp_path, [{"text": f"He said {TOKEN} aloud."}], {"type": "completion"}, block(slung))
    hidden = tokenizer.convert_tokens_to_ids(TOKEN)
    assert row["labels"][row["input_ids"].index(hidden)] == IGNORE


def test_training_gives_the_reserved_token_no_loss(tmp_path, slung):
    """As a run on the same ids whose labels are masked by hand."""
    rows = [{"text": text} for text in ROWS * 4]
    keys = {
        "max_steps": 2,
        "sequence_len": 64,
        "sample_packing": True,
        "attn_implementation": "sdpa",
        "pad_to_sequence_len": True,
    }
    made = rows_config(tmp_path, rows, {"type": "completion"}, block(slung), **keys)
    seen = []

    def record(trainer):
        step = trainer.training_step

        def training_step(model, inputs, *args, **kwargs):
            if not getattr(trainer, "checks_silence", False):
                with torch.no_grad():
                    labels = torch.where(inputs["labels"] >= 0, inputs["labels"], IGNORE)
                    wanted = {k: v for k, v in inputs.items() if k in ("input_ids", "position_ids")}
                    logits = model(**wanted).logits[:, :-1].double()
                seen.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten()).item())
            return step(model, inputs, *args, **kwargs)

        trainer.training_step = training_step

    run = train_in_process(made, on_trainer=record)
    assert run.losses == pytest.approx(seen, rel=1e-4) and len(seen) == 2
    logged = [entry for entry in run.log_history if "slung/nll_mask" in entry]
    assert logged


@pytest.mark.parametrize(
    "token, problem",
    [
        ("<no such>", r"expected 1 token in this tokenizer, got \d+; add it to the vocabulary under `tokens:`"),
        ("the", "is a token of ordinary text in this tokenizer; use a token that nothing else uses"),
        ("<|end_of_text|>", "is its eos token"),
        ("<|pad|>", "is its pad token"),
    ],
)
def test_tokens_that_are_refused(tmp_path, slung, token, problem):
    with pytest.raises(SlungError, match=f"slung.buckets: the reserved token '.*' of bucket 'names': {problem}"):
        prepared(tmp_path, [{"text": "the mill"}], {"type": "completion"}, block(slung, token))
