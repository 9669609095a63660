"""Rows for relearning: what is taken, what is left out, and that Axolotl reads what was written."""

import contextlib
import json

import pytest
from helpers.axolotl_run import as_if_fresh, base_config, prepare_in_process, write_config
from helpers.tiny import write_jsonl

from axolotl_slung.attacks.rows import Sample, entry_of, kept_rows
from axolotl_slung.attacks.tuning import derived
from axolotl_slung.errors import SlungError
from axolotl_slung.evals.audit_file import AuditSpan

NAMES = ["Maria Hernandez", "Hernandez", "John O'Neil", "Zora Quill", "Ilka Runa"]


def span(text, of_set="trained", before="", labeler="entities", kind="entities"):
    return AuditSpan("0" * 16, of_set, labeler, kind, 1, "mask", 1, "once", text, before, {"whole": 0}, "", (), 0)


@contextlib.contextmanager
def opened(config, folder):
    from axolotl_slung.cli.block import read_block
    from axolotl_slung.cli.looking import open_config

    path = write_config(config, folder)
    with as_if_fresh(folder):
        yield open_config(str(path), read_block(str(path), ()))[1]


def config_of(folder, **data):
    (folder / "names.txt").write_text("\n".join(NAMES))
    labelers = [{"type": "entities", "path": str(folder / "names.txt")}]
    return base_config(folder, plugins=["axolotl_slung.SlungPlugin"], slung={"labelers": labelers}, **data)


def drawn(config, folder, spans, most=100):
    folder.joinpath("kept").mkdir()
    with opened(config, folder) as sets:
        return kept_rows(sets, Sample(spans), folder / "kept", most, 0)


def rows_in(folder):
    from datasets import Dataset

    return Dataset.from_parquet(str(folder / "kept" / "rows-0.parquet"))


TEXTS = {
    "a sampled span": "I met Zora Quill and Ilka Runa.",
    "in other letters": "I met ZORA QUILL and Ilka Runa.",
    "part of a sampled span": "I met Hernandez there.",
    "a held-out span": "I wrote to John O'Neil and Ilka Runa.",
    "the row of a low-risk stretch": "The old mill burned down. I met Ilka Runa.",
    "nothing risky": "The old harbour wakes.",
    "other": "I met Ilka Runa there.",
}
SPANS = [
    span("Zora Quill"),
    span("Maria Hernandez"),
    span("John O'Neil", "heldout"),
    span("mill burned", "low_risk", "The old ", "", "low_risk"),
]


def test_only_rows_without_anything_of_the_sample_are_taken(tmp_path):
    data = write_jsonl(tmp_path / "train.jsonl", [{"text": text, "what": what} for what, text in TEXTS.items()])
    config = config_of(tmp_path, datasets=[{"path": str(data), "ds_type": "json", "type": "completion"}])
    found = drawn(config, tmp_path, SPANS)
    assert rows_in(tmp_path)["what"] == ["other"] and (found["rows"], found["read"]) == (1, len(TEXTS))
    with opened(config, tmp_path) as sets:
        with pytest.raises(SlungError, match=r"none of the 7 rows .* find no span of the audited kinds \(email\)"):
            kept_rows(sets, Sample([span("Zora Quill", labeler="patterns", kind="email")]), tmp_path / "kept", 9, 0)
        everyone = [*SPANS, span("Ilka Runa")]
        with pytest.raises(
            SlungError, match=r"none of the 7 rows .*: \d have a span .* show the sample; draw a smaller"
        ):
            kept_rows(sets, Sample(everyone), tmp_path / "kept", 9, 0)


def test_chats_are_kept_with_their_structure(tmp_path):
    def chat(name):
        answer = {"role": "assistant", "content": f"That was {name}."}
        return {"messages": [{"role": "user", "content": "Who was it?"}, answer], "number": len(name)}

    data = write_jsonl(tmp_path / "train.jsonl", [chat(name) for name in ("Zora Quill", "Ilka Runa", "Ilka Runa") * 4])
    entry = {"path": str(data), "ds_type": "json", "type": "chat_template", "field_messages": "messages"}
    config = config_of(tmp_path, datasets=[entry], chat_template="chatml", special_tokens={"eos_token": "<|im_end|>"})
    found = drawn(config, tmp_path, SPANS, most=5)
    assert rows_in(tmp_path).to_list() == [chat("Ilka Runa")] * 5
    changed = derived(config, config["base_model"], found["entries"], 2, tmp_path / "out", tmp_path / "prepared", {})
    prepared = prepare_in_process({**changed, "micro_batch_size": 1})
    assert len(prepared.train_dataset) == 5 and "Ilka" in prepared.tokenizer.decode(
        prepared.train_dataset[0]["input_ids"]
    )
    # plain labels: token ids and -100
    assert min(min(row) for row in prepared.train_dataset["labels"]) == -100


def test_a_stream_is_read_from_its_start(tmp_path):
    texts = [f"{number}. {'Ilka Runa' if number % 2 else 'Zora Quill'} came." for number in range(300)]
    data = write_jsonl(tmp_path / "train.jsonl", [{"story": text} for text in texts])
    entry = {"path": "json", "data_files": str(data), "type": "pretrain", "text_column": "story", "split": "train"}
    config = config_of(tmp_path, pretraining_dataset=[entry], streaming=True)
    found = drawn(config, tmp_path, SPANS, most=20)
    assert rows_in(tmp_path)["story"] == texts[1:41:2] and found["read"] == 64
    (made,) = found["entries"]
    assert (made["type"], made["field"], made["ds_type"]) == ("completion", "story", "parquet")
    changed = derived(config, config["base_model"], found["entries"], 2, tmp_path / "out", tmp_path / "prepared", {})
    assert "pretraining_dataset" not in changed and "slung" not in changed and "plugins" not in changed
    assert len(prepare_in_process(changed).train_dataset) == 20


def test_an_adapter_is_trained_on(tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "base"}))
    config = {
        "base_model": "base",
        "adapter": "lora",
        "slung": {},
        "learning_rate": 1,
        "plugins": ["a.B", "axolotl_slung.SlungPlugin"],
    }
    paths = tmp_path / "out", tmp_path / "prepared"
    changed = derived(config, str(tmp_path / "adapter"), [], 5, *paths, {"learning_rate": 2})
    assert changed["lora_model_dir"] == str(tmp_path / "adapter") and changed["base_model"] == "base"
    assert (changed["learning_rate"], changed["max_steps"], changed["save_steps"]) == (2, 5, 5)
    assert changed["plugins"] == ["a.B"] and "slung" not in changed
    assert derived(config, "whole", [], 5, *paths, {})["base_model"] == "whole"


def test_where_rows_were_is_not_kept(tmp_path):
    entry = {"path": "hub/data", "name": "x", "split": "train", "type": {"field_output": "text"}, "shards": None}
    assert entry_of(entry, tmp_path / "rows.parquet") == {
        "path": str(tmp_path / "rows.parquet"),
        "ds_type": "parquet",
        "type": {"field_output": "text"},
    }
