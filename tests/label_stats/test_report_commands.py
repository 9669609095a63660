"""`slung stats`, `slung sweep` and `slung qa` by their command lines."""

import json

import pytest
import yaml
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process
from helpers.tiny import tiny_model, write_jsonl
from transformers import AutoTokenizer

from axolotl_slung.cli import main
from axolotl_slung.labels.codec import FIRST_CODE


@pytest.fixture
def project(tmp_path, slung):
    """A config whose data set has 12 rows, 4 of them with a name; and `slung label`'s files of it."""
    rows = [
        {"text": f"{n} {'Maria Hernandez' if n % 3 == 0 else 'somebody'} burned the mill.", "n": n} for n in range(12)
    ]
    for row in rows:
        start = row["text"].find("Maria")
        row["gold"] = [[start, start + 15]] if start >= 0 else []
        row["who"] = "Maria Hernandez"
    rows[0]["gold"] = [[2, 7]]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    dataset = {"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "completion"}
    config = base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], **slung())
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    run("label", tmp_path / "rows.jsonl", "-o", tmp_path / "out", "-c", tmp_path / "config.yml", "-j", 1)
    return tmp_path, config


def run(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_stats_count_what_training_sees(project):
    folder, config = project
    output = run("stats", folder / "config.yml", "--html", folder / "s.html", "--json", folder / "s.json")
    figures = json.loads((folder / "s.json").read_text())
    labels = [label for row in prepare_in_process(config).train_dataset["labels"] for label in row]
    assert figures["documents"] == 12
    assert figures["tokens"] == len(labels)
    assert figures["outcomes"]["mask"] == sum(label <= FIRST_CODE for label in labels) > 0
    assert figures["loss_tokens"] == sum(label >= 0 for label in labels)
    assert "hernandez" in output and "hernandez" in (folder / "s.html").read_text()

    quiet = run("stats", folder / "config.yml", "--no-words", "--html", folder / "s.html", "--json", folder / "s.json")
    assert "hernandez" not in quiet + (folder / "s.html").read_text() + (folder / "s.json").read_text()


def test_stats_of_labeled_files_estimate_the_whole_corpus(project):
    """Bytes are those of the unlabeled corpus; the time comes from the journals, and is unknown without them."""
    folder, _ = project
    command = ["stats", folder / "out", "-c", folder / "config.yml", "--no-words", "--json", "-", "--cores", 4]
    size = (folder / "rows.jsonl").stat().st_size
    labeled = (folder / "out" / "rows.jsonl").stat().st_size
    found = json.loads(run(*command, "--total-bytes", 1000 * size))["estimate"]
    assert found["times"] == pytest.approx(1000) and found["by"] == "bytes"
    assert found["file_bytes"] == pytest.approx(1000 * labeled, rel=0.01)
    assert found["core_hours"] > 0 and found["hours"] == pytest.approx(found["core_hours"] / 4)
    # of a third of the documents: three times the sample, by lines
    third = json.loads(run(*command, "-n", 4, "--total-bytes", 1000 * size))["estimate"]
    assert third["times"] == pytest.approx(3000, rel=0.05)
    assert third["core_hours"] == pytest.approx(found["core_hours"], rel=0.05)
    assert json.loads(run(*command))["estimate"]["times"] == 1
    command[-4:] = []
    assert "for the files of slung label" in run(*command, "--total-bytes", 10**9)

    for journal in (folder / "out" / ".slung").glob("*.journal"):
        journal.unlink()
    without = json.loads(run(*command, "--json", "-", "--total-bytes", 1000 * labeled))["estimate"]
    assert without["times"] == pytest.approx(1000) and without["hours"] is None
    assert "n/a  of labeling" in run(*command)


def test_progress_of_a_run(project):
    folder, _ = project
    assert "1 of 1  tasks done" in run("progress", folder / "out")
    [task] = json.loads(run("progress", folder / "out", "--json", "-"))
    assert task["name"] == "rows.jsonl" and task["finished"] and task["documents"] == 12 and task["seconds"] > 0


def test_sweep_of_files_and_of_their_config_agree(project):
    folder, _ = project
    run("sweep", folder / "config.yml", "--json", folder / "c.json", "-t", "0.5", "--all")
    of_config = json.loads((folder / "c.json").read_text())
    of_files = json.loads(
        run("sweep", folder / "out", "-c", folder / "config.yml", "--json", "-", "-t", "0.5", "--all")
    )
    assert of_config["documents"] == of_files["documents"] == 12
    # the config's documents have a token more each: the end of the sequence
    assert of_config["tokens"] == of_files["tokens"] + 12
    assert of_config["combined"]["documents"] == of_files["combined"]["documents"] == [4] * len(of_files["thresholds"])


def test_qa_of_spans_and_of_names(project):
    folder, config = project
    labeler = json.dumps(config["slung"]["labelers"][0])
    spans = json.loads(run("qa", folder / "rows.jsonl", "--gold", "gold", "-l", labeler, "--json", "-"))
    best = spans["labelers"]["entities"]["characters"]["best"]
    assert (best["precision"], best["recall"]) == (50 / 60, 1.0)
    tokenizer = ["--tokenizer", config["base_model"]]
    names = json.loads(run("qa", folder / "rows.jsonl", "--names", "who", "-l", labeler, *tokenizer, "--json", "-"))
    best = names["labelers"]["entities"]["tokens"]["best"]
    assert best["recall"] == best["precision"] == 1.0


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["sweep", "out", "-c", "config.yml", "-t", "half"], "--threshold: 'half': expected a number"),
        (["sweep", "out", "-c", "config.yml", "-t", "0.1,0.2,0.3"], "0.1, 0.2, 0.3"),
        (
            ["qa", "rows.jsonl", "-l", "{type: spans, field: gold}"],
            "--gold, --names, --gold-label: expected one of them; give a column of spans, a column of names",
        ),
        (["qa", "rows.jsonl", "--gold", "nothing", "-c", "config.yml"], "no column 'nothing'; choose from"),
    ],
)
def test_mistakes(project, monkeypatch, arguments, says):
    monkeypatch.chdir(project[0])
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code and says in " ".join(result.output.split()), (result.output, result.exception)


def test_labeled_chats_are_counted_text_by_text(project):
    folder, config = project
    call = {"type": "function", "function": {"name": "send", "arguments": '{"to": "Maria Hernandez"}'}}
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{n} Who is Maria Hernandez?"},
                {"role": "assistant", "content": "Somebody.", "tool_calls": [call] if n else []},
            ],
            "tools": [{"type": "function", "function": {"name": "send", "description": "asks Maria Hernandez"}}],
        }
        for n in range(2)
    ]
    write_jsonl(folder / "chats.jsonl", rows)
    chats, given = folder / "chats", ["--messages-field", "messages", "-c", folder / "config.yml"]
    run("label", folder / "chats.jsonl", "-o", chats, *given, "-j", 1)
    # all strings but roles and types, a token per byte: here the names of arguments, too
    texts = [
        [f"{n} Who is Maria Hernandez?", "Somebody.", *(["send", "to", "Maria Hernandez"] if n else []), "send",
         "asks Maria Hernandez"]
        for n in range(2)
    ]  # fmt: skip
    encode = AutoTokenizer.from_pretrained(config["base_model"])
    tokens = sum(len(encode(text, add_special_tokens=False)["input_ids"]) for of_row in texts for text in of_row)
    named = sum(text.count("Maria Hernandez") for of_row in texts for text in of_row)
    output = run("stats", chats, *given, "--json", folder / "s.json")
    figures = json.loads((folder / "s.json").read_text())
    masked = figures["outcomes"]["mask"]
    assert (figures["documents"], figures["tokens"], named) == (2, tokens, 5)
    of_name = len(encode("Maria Hernandez", add_special_tokens=False)["input_ids"])
    assert abs(masked - named * of_name) <= 2 * named and masked > 0
    assert "labeled chats are read without a chat template" in output and "hernandez" in output
    swept = run("sweep", chats, *given, "-t", "0.5", "--json", folder / "w.json")
    assert json.loads((folder / "w.json").read_text())["cuts"][0]["outcomes"]["mask"] == masked
    assert "without a chat template" in swept
    seen = " ".join(run("inspect", chats, *given, "--terminal", "--all").split())
    assert "[mask:" in seen and "Hernandez" in seen and "Somebody" in seen
    # without the option, or for another column, it is said what to give
    for options, says in (
        (["-c", folder / "config.yml"], "and for chats --messages-field messages"),
        (["--messages-field", "turns", "-c", folder / "config.yml"], "expected a list of messages in 'turns'"),
        (["--spans-field", "marks", *given], "a message has no 'marks'"),
    ):
        result = CliRunner().invoke(main, ["stats", str(chats), *map(str, options)])
        assert result.exit_code == 1 and says in result.output
