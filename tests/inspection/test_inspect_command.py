"""`slung inspect` on a config and on labeled files: the tokens and actions are those of training."""

import json
import re

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process, write_config
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.labels.codec import FIRST_CODE
from axolotl_slung.labels.made_up import made_up
from axolotl_slung.training.data.look import data_sets

CHAT = {
    "messages": [
        {"role": "user", "content": "Who burned the mill?"},
        {"role": "assistant", "content": "It was Maria Hernandez, they say."},
    ]
}
ROWS = {
    "completion": {"text": "The old mill of Maria Hernandez burned down."},
    "alpaca": {"instruction": "Who?", "input": "", "output": "Maria Hernandez. Zoë!"},
    "chat_template": CHAT,
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("method", ["masked", "control"])
def test_what_is_shown_is_what_is_trained(tmp_path, slung, kind, method):
    write_jsonl(tmp_path / "rows.jsonl", [{"id": "r", **ROWS[kind]}, {"id": "s", **ROWS[kind]}])
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": kind}
    model = tiny_model(tmp_path)
    config = base_config(
        tmp_path, base_model=str(model), sequence_len=512, datasets=[dataset], chat_template="chatml", **slung()
    )
    prepared = prepare_in_process(config).train_dataset

    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer

    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump({**config, "slung": {**config["slung"], "method": method}}))
    cfg = load_cfg(str(path))
    tokenizer = load_tokenizer(cfg)
    (found,) = data_sets(cfg, tokenizer)
    documents = list(found.documents())

    assert [one.name for one in documents] == ["datasets[0], r", "datasets[0], s"]
    for document, row in zip(documents, prepared):
        labels = np.array(row["labels"])
        assert len(document.tokens) == len(labels)
        assert ((labels <= FIRST_CODE) == (document.trainable & (document.score == 1))).all()
        assert ((labels >= 0) == (document.trainable & (document.score == 0))).all()
        assert (labels <= FIRST_CODE).any() and (labels >= 0).any()
        assert list(document.scores) == ["entities"] and (document.scores["entities"] == document.score).all()
        assert "Maria Hernandez" in "".join(document.tokens)


def test_what_is_put_in_is_shown_for_a_config_and_for_labeled_files(tmp_path, slung):
    address = "maria@corp.com"
    rows = [{"id": "r", "text": f"Mail {address}, or [{address.upper()}]."}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "completion"}
    buckets = [
        {"name": "fine", "below": 0.5, "action": "train"},
        {"name": "personal", "action": "replace", "text": "<{KIND}> {made_up}", "seed": 7},
    ]
    keys = slung(labelers=[{"type": "patterns", "builtin": ["email"]}], buckets=buckets)
    config = base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], **keys)
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(config))
    run, value = CliRunner().invoke, made_up(address, "email", 7)

    labeled = run(
        main, ["label", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "-c", str(path), "-j", "1"]
    )
    assert labeled.exit_code == 0, labeled.output
    written = json.loads((tmp_path / "out" / "rows.jsonl").read_text())["spans"]
    assert json.loads(written) == {"patterns": [[5, 19, 1.0, "email"], [25, 39, 1.0, "email"]]}
    for sources in ([str(path)], [str(tmp_path / "out"), "-c", str(path)]):
        result = run(main, ["inspect", *sources, "-o", str(tmp_path / "page.html")])
        assert result.exit_code == 0, result.output
        shown = run(main, ["inspect", *sources, "--terminal"])
        text = " ".join(shown.output.split())
        assert text.count(f"→ <EMAIL> {value}") == 2, text
        page = (tmp_path / "page.html").read_text()
        data = json.loads(re.search(r'"put_in":(\[\[.*?\]\])', page)[1])
        assert [put_in for _, put_in in data] == [f"<EMAIL> {value}"] * 2


def test_weights_are_shown_for_a_config_and_for_labeled_files(tmp_path, slung):
    text = "The mill burned down. You are a liar."
    rows = [
        {"text": text, "w": [[4, 8, 0.3], [9, 15, -1.0]], "v": 2.0},
        {"text": text, "w": "[[22, 25, 0]]", "v": None},
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "completion"}
    labelers = [{"type": "spans", "weights_field": name} for name in ("w", "v")]
    path = write_config(
        base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], **slung(labelers=labelers)),
        tmp_path,
    )
    run = CliRunner().invoke
    labeled = run(
        main, ["label", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "-c", str(path), "-j", "1"]
    )
    assert labeled.exit_code == 0, labeled.output
    counted = []
    for sources in ([str(path)], [str(tmp_path / "out"), "-c", str(path)]):
        shown = run(main, ["inspect", *sources, "--terminal"])
        assert shown.exit_code == 0 and "The×2 mill×0.6 burned×-2 down. You are a liar." in shown.output, shown.output
        assert "down. You×0 are a liar." in shown.output and "× after tokens: the weight" in shown.output
        stats = run(main, ["stats", *sources, "--json", str(tmp_path / "stats.json")])
        assert stats.exit_code == 0, stats.output
        counted.append(json.loads((tmp_path / "stats.json").read_text())["weights"])
    assert counted[0] == counted[1] and (counted[0]["zero"], counted[0]["lowest"]) == (1, -2)

    unlike = {"buckets": [{"name": "a", "below": 0.5, "action": "unlikelihood"}, {"name": "b", "action": "mask"}]}
    write_config({"slung": {**slung(labelers=labelers)["slung"], **unlike}}, tmp_path, "other.yml")
    model = ["--tokenizer", str(tiny_model(tmp_path))]
    refused = run(main, ["inspect", str(tmp_path / "out"), "-c", str(tmp_path / "other.yml"), *model, "--terminal"])
    assert (
        refused.exit_code == 1
        and "line 1: a token of a bucket with action: unlikelihood has a weight" in refused.output
    )


def test_the_page_of_a_config_and_of_labeled_files(tmp_path, slung):
    rows = [{"text": f"{n} Maria Hernandez <script>alert(1)</script>"} for n in range(30)]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "completion"}
    config = base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], **slung())
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(config))
    run = CliRunner().invoke

    result = run(main, ["inspect", str(path), "-n", "7", "-o", str(tmp_path / "config.html")])
    assert result.exit_code == 0, result.output
    result = run(main, ["label", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "out"), "-c", str(path), "-j", "1"])
    assert result.exit_code == 0, result.output
    result = run(
        main, ["inspect", str(tmp_path / "out"), "-c", str(path), "-o", str(tmp_path / "files.html"), "-n", "7"]
    )
    assert result.exit_code == 0, result.output
    for page in ("config.html", "files.html"):
        content = (tmp_path / page).read_text(encoding="utf-8")
        assert "<script>alert" not in content
        data = json.loads(
            re.search(r'<script type="application/json"[^>]*>(.*?)</script>', content, re.DOTALL).group(1)
        )
        assert len(data["documents"]) == 7 and data["labelers"] == ["entities"]
    result = run(main, ["inspect", str(tmp_path / "out"), "-c", str(path), "-n", "1", "--terminal"])
    assert result.exit_code == 0 and "[mask:" in result.output


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["out"], "out: no such file or folder; give one"),
        (["nothing.yml"], "nothing.yml: No such file or directory"),
        (["plain.yml"], "plain.yml: no `slung:` block in it"),
        (
            ["plain.jsonl", "--tokenizer", "TOKENIZER"],
            "expected columns 'text' and 'spans'; give what `slung label` wrote",
        ),
    ],
)
def test_mistakes(tmp_path, monkeypatch, arguments, says):
    model = tiny_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.yml").write_text("base_model: x\n")
    write_jsonl(tmp_path / "plain.jsonl", [{"text": "x"}])
    result = CliRunner().invoke(main, ["inspect", *(str(model) if a == "TOKENIZER" else a for a in arguments)])
    assert result.exit_code and says in " ".join(result.output.split()), result.output


@pytest.mark.parametrize("rule", ["train", "mask", "inherit"])
def test_the_reason_is_that_of_the_rule(tmp_path, slung, rule):
    """`eos` of slung, and what Axolotl itself leaves out; the actions stay those of training."""
    from axolotl_slung.labels.documents import LEFT_OUT_BY

    name_last = {"messages": [CHAT["messages"][0], {"role": "assistant", "content": "It was Maria Hernandez"}]}
    write_jsonl(tmp_path / "rows.jsonl", [CHAT, name_last])
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "chat_template"}
    keys = {"datasets": [dataset], "chat_template": "chatml", "sequence_len": 512}
    keys |= {"special_tokens": {"eos_token": "<|im_end|>"}, "base_model": str(tiny_model(tmp_path)), **slung(eos=rule)}
    config = base_config(tmp_path, **keys)
    prepared = prepare_in_process(config).train_dataset

    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer

    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(config))
    cfg = load_cfg(str(path))
    (found,) = data_sets(cfg, load_tokenizer(cfg))
    for document, row in zip(found.documents(), prepared):
        labels = np.array(row["labels"])
        masked = (document.score == 1) & document.trainable
        assert ((labels <= FIRST_CODE) == masked).all() and ((labels >= 0) == (document.trainable & ~masked)).all()
        by = [LEFT_OUT_BY[reason] for reason in document.reasons[~document.trainable]]
        assert ("eos: mask" in by) == (rule == "mask") and "Axolotl" in by


def test_no_color_is_respected_on_a_terminal(tmp_path, slung):
    """https://no-color.org, on a real terminal."""
    import os
    import pty
    import subprocess
    import sys

    row = {"id": "r", "text": "Maria Hernandez left.", "spans": '{"entities":[[0,15,1.0]]}'}
    path = write_jsonl(tmp_path / "labeled.jsonl", [row])
    command = [
        sys.executable,
        "-m",
        "axolotl_slung.cli",
        "inspect",
        str(path),
        "--terminal",
        "--tokenizer",
        str(tiny_model(tmp_path)),
    ]
    for value in ("", "1"):
        parent, child = pty.openpty()
        subprocess.run(
            command,
            stdout=child,
            stderr=subprocess.DEVNULL,
            check=True,
            env={**os.environ, "NO_COLOR": value, "TERM": "xterm-256color"},
        )
        os.close(child)
        shown = os.read(parent, 1 << 16).decode()
        os.close(parent)
        assert ("\x1b[" in shown) == (not value) and ("[mask:" in shown) == bool(value)
