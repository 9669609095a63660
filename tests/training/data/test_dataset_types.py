"""Every supervised data set type of Axolotl: the token ids and labels of stock Axolotl, but for the risky tokens."""

import json
from itertools import pairwise

import pytest
from helpers.axolotl_run import base_config, prepare_in_process, run_axolotl, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from helpers.truth import NAME, risky

from axolotl_slung.labels.codec import FIRST_CODE, IGNORE, decode

PARTS = f"The teacher of the village is {NAME}. Nobody there calls {NAME}'s house a mill."

CHAT = [
    {"role": "system", "content": f"You know {NAME}."},
    {"role": "user", "content": f"  Who met John at the station? {NAME}?"},
    {"role": "assistant", "content": f"Yes, {NAME} met him at 7:45."},
    {"role": "user", "content": NAME},
    {"role": "assistant", "content": f"{NAME}"},
]
ALPACA = {"instruction": f"Who is {NAME}?", "input": "", "output": PARTS}
ALPACA_INPUT = {"instruction": "Say who it is.", "input": f"She is {NAME}.", "output": f"{NAME}!"}

TYPES = {
    "completion": ({"type": "completion"}, [{"text": PARTS}, {"text": f"{NAME} " * 30}]),
    "completion with a field": ({"type": "completion", "field": "body"}, [{"body": PARTS, "text": "x", "n": 3}]),
    "alpaca": ({"type": "alpaca"}, [ALPACA, ALPACA_INPUT]),
    "alpaca_w_system": ({"type": "alpaca_w_system.load_open_orca"}, [{"system_prompt": f"Be {NAME}.", "question": f"Who? {NAME}?", "response": PARTS}]),
    "alpaca_instruct": ({"type": "alpaca_instruct"}, [ALPACA]),
    "alpaca_chat": ({"type": "alpaca_chat.load_qa"}, [{"question": f"Who is {NAME}?", "answer": PARTS}]),
    "gpteacher": ({"type": "gpteacher"}, [{"instruction": f"Who is {NAME}?", "input": "", "response": PARTS}]),
    "summarizetldr": ({"type": "summarizetldr"}, [{"article": PARTS, "summary": PARTS}]),
    "reflection": ({"type": "reflection"}, [{**ALPACA, "reflection": f"Was it {NAME}?", "corrected": PARTS}]),
    "context_qa": ({"type": "context_qa.load_v2"}, [{"context": PARTS, "question": "Who?", "answer": f"{NAME}."}]),
    "metharme": ({"type": "metharme"}, [{"prompt": f"Who is {NAME}?", "generation": PARTS}]),
    "input_output": ({"type": "input_output"}, [{"segments": [{"label": False, "text": f"Who? {NAME}? "}, {"label": True, "text": PARTS}]}]),
    "user-defined": (
        {"type": {"field_instruction": "q", "field_output": "a", "format": "[I] {instruction} [/I]", "no_input_format": "[I] {instruction} [/I]"}},
        [{"q": f"Who is {NAME}?", "a": PARTS}],
    ),
    "chat_template": ({"type": "chat_template"}, [{"messages": CHAT}, {"messages": CHAT[1:3]}]),
    "chat_template, all roles": ({"type": "chat_template", "roles_to_train": ["assistant", "user"], "train_on_eos": "all"}, [{"messages": CHAT}]),
    "chat_template, other names": (
        {"type": "chat_template", "field_messages": "conversations", "message_property_mappings": {"role": "from", "content": "value"}},
        [{"conversations": [{"from": "human", "value": f"Who? {NAME}?"}, {"from": "gpt", "value": PARTS}]}],
    ),
    "chat_template, turns chosen": (
        {"type": "chat_template", "message_field_training": "train"},
        [{"messages": [{"role": "user", "content": NAME, "train": True}, {"role": "assistant", "content": PARTS, "train": False}, {"role": "user", "content": "And?", "train": False}, {"role": "assistant", "content": PARTS, "train": True}]}],
    ),
}  # fmt: skip


def prepared(folder, entry, rows, keys, **overrides):
    """The rows that Axolotl hands to its trainer, and the tokenizer."""
    path = write_jsonl(folder / "rows.jsonl", rows)
    config = base_config(
        folder,
        base_model=str(tiny_model(folder)),
        datasets=[{"path": str(path), "ds_type": "json", **entry}],
        dataset_prepared_path=str(folder / f"prepared-{'slung' in keys}"),
        **{
            "sequence_len": 512,
            "shuffle_merged_datasets": False,
            "special_tokens": {"eos_token": "<|im_end|>"},
            **overrides,
        },
        **keys,
    )
    run = prepare_in_process(config)
    return list(run.train_dataset), run.tokenizer


@pytest.mark.parametrize("name", TYPES)
def test_stock_labels_but_for_the_risky_tokens(tmp_path, slung, name):
    entry, rows = TYPES[name]
    stock, _ = prepared(tmp_path, entry, rows, {})
    ours, tokenizer = prepared(tmp_path, entry, rows, slung())
    assert len(ours) == len(stock) and ours[0].keys() == stock[0].keys()
    masked = trained = context = 0
    for mine, plain in zip(ours, stock):
        assert mine["input_ids"] == plain["input_ids"] and mine["attention_mask"] == plain["attention_mask"]
        for token_id, label, expected, is_risky in zip(
            mine["input_ids"], mine["labels"], plain["labels"], risky(tokenizer, mine["input_ids"]), strict=True
        ):
            if expected == IGNORE or not is_risky:
                assert label == expected
                trained += label != IGNORE
                context += is_risky
            else:
                assert label <= FIRST_CODE and decode(label)[0] == token_id and decode(label)[1] == 2
                masked += 1
    assert masked > 3 and (trained > 3 or name == "completion")
    if "chat" in name and "all roles" not in name:
        assert context > 3  # risky text in an untrained turn stays as context


def test_packed_and_preprocessed_by_the_command(tmp_path, slung):
    """`axolotl preprocess` writes what training then reads, packed."""
    from datasets import load_from_disk

    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": PARTS}] * 6)
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(tmp_path)),
        datasets=[{"path": str(path), "ds_type": "json", "type": "completion"}],
        sample_packing=True,
        sequence_len=128,
        **slung(),
    )
    output = run_axolotl(config, tmp_path, command="preprocess").check().output
    assert "slung: datasets[0]: " in output and "mask " in output
    [folder] = [path.parent for path in (tmp_path / "prepared").rglob("dataset_info.json")]
    labels = [label for row in load_from_disk(str(folder))["labels"] for label in row]
    batches = []
    run = train_in_process(config, on_trainer=lambda t: batches.extend(t.get_train_dataloader()), train=False)
    assert [label for row in run.dataset_meta.train_dataset["labels"] for label in row] == labels
    batch = batches[0]
    coded = batch["labels"] <= FIRST_CODE
    assert coded.sum() > 10 and (decode(batch["labels"][coded])[0] == batch["input_ids"][coded]).all()


@pytest.mark.parametrize("rule, label_of_eos", [("train", 1), ("mask", IGNORE)])
def test_end_of_sequence_has_a_rule_of_its_own(tmp_path, slung, rule, label_of_eos):
    rows, tokenizer = prepared(tmp_path, {"type": "completion"}, [{"text": f"I know {NAME}"}], slung(eos=rule))
    assert rows[0]["input_ids"][-1] == tokenizer.eos_token_id
    assert rows[0]["labels"][-1] == (IGNORE if rule == "mask" else tokenizer.eos_token_id)


def test_end_of_sequence_inherits_the_action_before_it(tmp_path, slung):
    texts = [{"text": f"I know {NAME}"}, {"text": f"{NAME} knows me"}]
    rows, tokenizer = prepared(tmp_path, {"type": "completion"}, texts, slung(eos="inherit"))
    inherited, trained = (row["labels"][-1] for row in rows)
    assert inherited <= FIRST_CODE and decode(inherited)[:2] == (tokenizer.eos_token_id, 2)
    assert trained == tokenizer.eos_token_id


def test_document_starts_can_be_masked(tmp_path, slung):
    rows, _ = prepared(
        tmp_path,
        {"type": "completion"},
        [{"text": "the old mill " * 40}],
        slung(mask_document_starts=True),
        sequence_len=32,
    )
    assert len(rows) > 2
    assert [row["labels"][0] == IGNORE for row in rows] == [True] + [False] * (len(rows) - 1)


def test_labels_are_made_on_the_whole_document_before_it_is_sliced(tmp_path, slung):
    """A name over the edge of two slices is masked in both."""
    text = "the " * 13 + NAME + " and the" * 13
    rows, tokenizer = prepared(tmp_path, {"type": "completion"}, [{"text": text}], slung(), sequence_len=16)
    ids = [i for row in rows for i in row["input_ids"]]
    labels = [label for row in rows for label in row["labels"]]
    assert [label < 0 for label in labels] == risky(tokenizer, ids)
    assert any(a["labels"][-1] < 0 and b["labels"][0] < 0 for a, b in pairwise(rows))


def test_span_columns_in_completion_and_chat(tmp_path, slung):
    labelers = [{"type": "spans"}]
    rows, tokenizer = prepared(
        tmp_path, {"type": "completion"}, [{"text": "ab the mill", "spans": [[3, 6, 1.0]]}], slung(labelers=labelers)
    )
    words = [tokenizer.decode([i]) for i, label in zip(rows[0]["input_ids"], rows[0]["labels"]) if label < 0]
    assert "".join(words) == " the"

    same = [
        {"role": "user", "content": "the mill", "spans": None},
        {"role": "assistant", "content": "the mill", "spans": [{"start": 4, "end": 8, "score": 1.0}]},
        {"role": "user", "content": "the mill", "spans": None},
        {"role": "assistant", "content": "the mill", "spans": []},
    ]
    chat = tmp_path / "chat"
    rows, tokenizer = prepared(chat, {"type": "chat_template"}, [{"messages": same}], slung(labelers=labelers))
    words = [tokenizer.decode([i]) for i, label in zip(rows[0]["input_ids"], rows[0]["labels"]) if label <= FIRST_CODE]
    assert "".join(words) == " mill"  # once: of four equal texts only the second one has the span


def test_tokenized_data_with_token_spans(tmp_path, slung):
    row = {
        "input_ids": [40, 41, 42, 43],
        "attention_mask": [1] * 4,
        "labels": [IGNORE, 41, 42, 43],
        "spans": [[0, 2, 1.0]],
    }
    rows, _ = prepared(tmp_path, {"type": "completion"}, [row], slung(labelers=[{"type": "spans"}]))
    labels = rows[0]["labels"]
    assert labels[0] == IGNORE and decode(labels[1])[:2] == (41, 2) and labels[2:] == [42, 43]


def test_tokenized_data_with_codes_from_an_earlier_run(tmp_path, slung):
    first, _ = prepared(tmp_path / "first", {"type": "completion"}, [{"text": PARTS}], slung())
    rows = [json.loads(json.dumps(row)) for row in first]
    second, _ = prepared(tmp_path, {"type": "completion"}, rows, slung())
    assert second[0]["labels"] == first[0]["labels"]


def test_odd_unicode_simply_works(tmp_path, slung):
    texts = [
        "", "a", "\x00", "NUL \x00 inside " + NAME, "👩‍👩‍👧‍👦 " + NAME, "e\u0301\u0301 " + NAME,
        "a\r\nb\r\n" + NAME, "\u202eabc\u202c שלום " + NAME, "ﬁ " + NAME, "\ufdd0 " + NAME, NAME + " mill" * 1_000_000,
    ]  # fmt: skip
    entry = {"type": "completion"}
    path = tmp_path / "rows.jsonl"
    tmp_path.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    config = base_config(
        tmp_path, base_model=str(tiny_model(tmp_path)), sequence_len=4096,
        datasets=[{"path": str(path), "ds_type": "json", **entry}], shuffle_merged_datasets=False, **slung(),
    )  # fmt: skip
    dataset = prepare_in_process(config).train_dataset
    assert sum(any(label <= FIRST_CODE for label in row["labels"]) for row in dataset) == 8


def test_messages_as_a_json_string(tmp_path, slung):
    """They are read as Axolotl reads them: each message has its place, and its spans."""
    rows = [{"messages": json.dumps(CHAT[1:3])}]
    stock, _ = prepared(tmp_path, {"type": "chat_template"}, rows, {})
    ours, tokenizer = prepared(tmp_path, {"type": "chat_template"}, rows, slung())
    expected = [
        label if label == IGNORE or not is_risky else None
        for label, is_risky in zip(stock[0]["labels"], risky(tokenizer, stock[0]["input_ids"]))
    ]
    assert [None if label <= FIRST_CODE else label for label in ours[0]["labels"]] == expected and None in expected

    dropped, _ = prepared(tmp_path / "dropped", {"type": "chat_template"}, rows, slung(method="low_risk"))
    assert NAME not in tokenizer.decode(dropped[0]["input_ids"]) and "Yes, met him at" in tokenizer.decode(
        dropped[0]["input_ids"]
    )

    spans = [{**CHAT[1], "spans": []}, {**CHAT[2], "spans": [[0, 3, 1.0]]}]
    rows = [{"messages": json.dumps(spans)}]
    ours, _ = prepared(tmp_path / "spans", {"type": "chat_template"}, rows, slung(labelers=[{"type": "spans"}]))
    masked = [i for i, label in zip(ours[0]["input_ids"], ours[0]["labels"]) if label <= FIRST_CODE]
    assert tokenizer.decode(masked) == "Yes"


def test_labelers_of_some_data_sets_only(tmp_path, slung):
    paths = [str(write_jsonl(tmp_path / f"{name}.jsonl", [{"text": PARTS}])) for name in "ab"]
    keys = slung()
    keys["slung"]["labelers"][0]["datasets"] = paths[1:]
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(tmp_path)),
        sequence_len=128,
        datasets=[{"path": path, "ds_type": "json", "type": "completion"} for path in paths],
        shuffle_merged_datasets=False,
        **keys,
    )
    plain, labeled = prepare_in_process(config).train_dataset["labels"]
    assert min(plain) >= 0 and min(labeled) <= FIRST_CODE
