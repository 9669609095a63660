"""The action `replace` in prepared and streamed data, against prompts built by hand."""

import importlib
import json
import re

import pytest
from helpers.axolotl_run import prepare_in_process, rows_config, train_in_process
from helpers.chats import call, chat
from helpers.tiny import write_jsonl

from axolotl_slung.labels.codec import FIRST_CODE, IGNORE
from axolotl_slung.labels.made_up import made_up
from axolotl_slung.training.data.row_labels import SlungDataError

END = "<|end_of_text|>"
PATTERNS = {"type": "patterns", "builtin": ["email", "phone"]}
NAMES = {"type": "entities", "names": ["Maria Hernandez"], "name": "person"}
ADDRESS, PHONE, NAME = "maria@corp.com", "(415) 220-3311", "Maria Hernandez"
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>"
    "{% if message['reasoning_content'] %}<think>{{ message['reasoning_content'] }}</think>{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] or [] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{% for call in message['tool_calls'] or [] %}{{ call['function']['arguments'] | tojson }}{% endfor %};"
    "{% endfor %}"
)


@pytest.fixture(scope="module", autouse=True)
def logging_is_configured():
    """Axolotl configures logging when it is first imported. In a test, that would remove the handler of `caplog`."""
    importlib.import_module("axolotl.cli")


def block(text="<{KIND}>", labelers=(PATTERNS, NAMES), **keys):
    buckets = [
        {"name": "fine", "below": 0.3, "action": "train"},
        {"name": "personal", "action": "replace", "text": text, **keys},
    ]
    return {"plugins": ["axolotl_slung.SlungPlugin"], "slung": {"labelers": list(labelers), "buckets": buckets}}


def prepared(folder, rows, entry, keys, **more):
    run = prepare_in_process(rows_config(folder, rows, entry, keys, **more))
    return list(run.train_dataset), run.tokenizer


def values(seed=7):
    return {
        "email": made_up(ADDRESS, "email", seed),
        "phone": made_up(PHONE, "phone", seed),
        "person": made_up(NAME, "person", seed),
    }


def texts():
    return [
        f"Write to {ADDRESS} or call {PHONE}.",
        f"{NAME} is {NAME.upper()}: {ADDRESS}",
        "Nobody is in here.",
        ADDRESS,
    ]


def by_hand(texts, of):
    """The slow way: each known original by name."""
    kinds = {ADDRESS: "email", PHONE: "phone", NAME: "person"}
    for original, kind in kinds.items():
        texts = [text.replace(original, of[kind]).replace(original.upper(), of[kind]) for text in texts]
    return texts


@pytest.mark.parametrize("seed", [None, 7])
def test_completion(tmp_path, seed):
    keys = block() if seed is None else block("{made_up}", seed=seed)
    of = {kind: f"<{kind.upper()}>" for kind in values()} if seed is None else values(seed)
    rows, tokenizer = prepared(tmp_path, [{"text": text} for text in texts()], {"type": "completion"}, keys)
    expected = [tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] for text in by_hand(texts(), of)]
    assert [row["input_ids"] for row in rows] == expected
    assert [row["labels"] for row in rows] == expected  # trained as usual
    assert ADDRESS not in str([tokenizer.decode(ids) for ids in expected])


def conversation():
    arguments = {"to": ADDRESS, "body": f'Hi "{NAME}"\n{PHONE}', "copy": [ADDRESS]}
    return chat(
        ("user", f"Mail {NAME} at {ADDRESS}."),
        ("assistant", "", {"reasoning_content": f"Her address is {ADDRESS}.", **call(json.dumps(arguments))}),
        ("assistant", [{"type": "text", "text": f"Sent to {ADDRESS}, "}, {"type": "text", "text": f"ask {PHONE}."}]),
    )


CHAT = {
    "type": "chat_template",
    "chat_template": "jinja",
    "chat_template_jinja": TEMPLATE,
    "roles_to_train": ["user", "assistant"],
}


@pytest.mark.parametrize("text", ['"<{KIND}>\\', "{made_up}"])
def test_chats_with_thoughts_calls_and_parts(tmp_path, text, caplog):
    of = values() if text == "{made_up}" else {kind: text.replace("{KIND}", kind.upper()) for kind in values()}
    keys = block(text, **({"seed": 7} if "made_up" in text else {}))
    [row], tokenizer = prepared(tmp_path, [conversation()], CHAT, keys)
    said = tokenizer.decode(row["input_ids"])
    arguments = {"to": of["email"], "body": f'Hi "{of["person"]}"\n{of["phone"]}', "copy": [of["email"]]}
    expected = (
        f"<user>Mail {of['person']} at {of['email']}.;"
        f"<assistant><think>Her address is {of['email']}.</think>{json.dumps(arguments)};"
        f"<assistant>Sent to {of['email']}, ask {of['phone']}.;"
    )
    assert said.removesuffix(END) == expected
    assert min(row["labels"]) >= IGNORE and "not labeled exactly" not in caplog.text


def test_what_cannot_be_replaced_is_masked(tmp_path, caplog):
    """A number in the arguments of a call is not text, and the key of a mapping is not edited."""
    row = chat(("user", "Call."), ("assistant", "", call({"number": 4152203311, ADDRESS: "x"}, name="call_her")))
    numbers = {"type": "entities", "names": ["4152203311"], "name": "number"}
    [row], tokenizer = prepared(tmp_path, [row], CHAT, block(labelers=[PATTERNS, numbers]))
    masked = tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"]) if label == IGNORE])
    assert ADDRESS in tokenizer.decode(row["input_ids"])
    assert ADDRESS in masked and "4152203311" in masked
    assert "a span could not be removed, replaced or get its control token; it is masked" in caplog.text


def test_made_up_values_are_not_labeled_again(tmp_path, caplog):
    """The value is an address, too, and the whole prompt is searched for addresses."""
    rows = [chat(("user", ADDRESS), ("assistant", f"It is {ADDRESS}."))]
    [row], tokenizer = prepared(tmp_path, rows, CHAT, block("{made_up}", seed=7))
    assert tokenizer.decode(row["input_ids"]).count(values()["email"]) == 2
    assert not [label for label in row["labels"] if label <= FIRST_CODE] and "not labeled exactly" not in caplog.text


def test_an_original_that_equals_its_text(tmp_path, caplog):
    labelers = [{"type": "entities", "names": ["REDACTED"]}]
    keys = block("REDACTED", labelers)
    [row], tokenizer = prepared(tmp_path, [{"text": "It is REDACTED."}], {"type": "completion"}, keys)
    assert row["labels"] == row["input_ids"] and "not labeled exactly" not in caplog.text


def test_beside_other_actions(tmp_path):
    text = f"Ask Anna Bell, {ADDRESS}. You are a fool. Call {PHONE} at once."
    spans = [
        [text.index(part), text.index(part) + len(part), score]
        for part, score in ((ADDRESS, 0.5), ("You are a fool.", 0.9), (PHONE, 0.5), ("Anna Bell", 1.0))
    ]
    buckets = [
        {"name": "fine", "below": 0.4, "action": "train"},
        {"name": "personal", "below": 0.6, "action": "replace", "text": "<{KIND}>"},
        {"name": "rude", "below": 0.95, "action": "drop_span"},
        {"name": "names", "action": "mask"},
    ]
    keys = {**block(), "slung": {"labelers": [{"type": "spans"}], "buckets": buckets}}
    [row], tokenizer = prepared(tmp_path, [{"text": text, "spans": spans}], {"type": "completion"}, keys)
    assert tokenizer.decode(row["input_ids"]) == f"Ask Anna Bell, <SPANS>. Call <SPANS> at once.{END}"
    masked = tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"]) if label <= FIRST_CODE])
    assert masked.strip() == "Anna Bell"


def test_a_stream_has_the_same_values(tmp_path):
    rows = [{"text": text} for text in texts()]
    path = str(write_jsonl(tmp_path / "stream.jsonl", rows))
    made = rows_config(tmp_path, rows, {}, block("{made_up}", seed=7))
    del made["datasets"]
    made |= {
        "pretraining_dataset": [{"path": "json", "data_files": path}],
        "streaming_multipack_buffer_size": 4,
        "streaming": True,
    }
    run = prepare_in_process(made)
    said = sorted(run.tokenizer.decode(row["input_ids"]).removesuffix(END) for row in run.train_dataset)
    assert said == sorted(by_hand(texts(), values()))


def test_packed_training(tmp_path):
    rows = [{"text": text} for text in texts() * 8]
    made = rows_config(
        tmp_path,
        rows,
        {"type": "completion"},
        block("{made_up}", seed=7),
        sample_packing=True,
        pad_to_sequence_len=True,
        attn_implementation="sdpa",
        max_steps=1,
    )
    seen = []

    def record(trainer):
        step = trainer.training_step

        def training_step(model, inputs, *args, **kwargs):
            seen.extend(inputs["input_ids"].tolist())
            return step(model, inputs, *args, **kwargs)

        trainer.training_step = training_step

    run = train_in_process(made, on_trainer=record)
    said = " ".join(run.tokenizer.decode(ids) for ids in seen)
    assert values()["email"] in said and ADDRESS not in said and len(run.losses) == 1


def test_originals_are_nowhere(tmp_path, caplog, capfd):
    secret = "xq7-Zt4-hidden-original@private-corp.example-secret.com"
    rows = [{"text": f"Write to {secret} at once."}, {"text": "Nobody."}]
    prepared(tmp_path, rows, {"type": "completion"}, block("{made_up}", seed=7))
    for part in ("xq7-Zt4", "example-secret"):
        assert part not in caplog.text and part not in "".join(capfd.readouterr())
        for path in tmp_path.rglob("*"):
            # datasets keeps the raw rows, with and without slung
            if (
                path.is_file()
                and path.name != "rows.jsonl"
                and not path.is_relative_to(tmp_path / "hf_home/datasets/json")
            ):
                assert part.encode() not in path.read_bytes(), path


def test_tokenized_data_is_refused(tmp_path):
    row = {"input_ids": [40, 41], "attention_mask": [1, 1], "labels": [40, 41], "spans": [[0, 1, 1.0]]}
    for action in (
        {"action": "replace", "text": "x"},
        {"action": "drop_span"},
        {"action": "control_token", "token": "!"},
    ):
        keys = block(labelers=[{"type": "spans"}])
        keys["slung"]["buckets"][1] = {"name": "personal", **action}
        with pytest.raises(
            SlungDataError, match=re.escape(f"datasets[0]: it is already tokenized, so action: {action['action']}")
        ):
            prepared(tmp_path, [row], {"type": "completion"}, keys)
