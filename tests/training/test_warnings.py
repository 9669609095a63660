"""The same warnings in every command: of finds that are trained, of a lost loss, and of what labelers warn of."""

import importlib
import json
import logging

import pytest
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process, write_config
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.training.data import setup

FINE = [{"name": "fine", "below": 0.5, "action": "train"}, {"name": "risky", "action": "mask"}]
MOSTLY = [{"name": "fine", "below": 0.0001, "action": "train"}, {"name": "risky", "action": "mask"}]
FINDS = "the model learns to say what phones found: 60 {unit} are in the bucket 'fine', whose action is train (60 with the score 0.4)"
TEXTS = [f"Call me at 55501{n:02d} tomorrow, said the miller." for n in range(12)]


@pytest.fixture
def config(tmp_path, slung):
    """Writes a config with the pattern `phones`, whose score is 0.4, for rows with one number each."""
    importlib.import_module("axolotl.cli")  # it sets up logging, which would take caplog's handler away

    def write(buckets, name="config.yml", labelers=(), path="rows.jsonl"):
        (tmp_path / "patterns.yml").write_text("phone: {pattern: '\\b\\d{5}', score: 0.4}")
        write_jsonl(tmp_path / "rows.jsonl", [{"text": text} for text in TEXTS])
        phones = {"type": "patterns", "name": "phones", "path": str(tmp_path / "patterns.yml")}
        keys = slung(labelers=list(labelers) or [phones], **({"buckets": buckets} if buckets else {}))
        dataset = {"path": str(tmp_path / path), "ds_type": "json", "type": "completion"}
        made = base_config(tmp_path, base_model=str(tiny_model(tmp_path)), datasets=[dataset], sequence_len=256, **keys)
        return made, write_config(made, tmp_path, name)

    return write


def run(*arguments):
    setup._built = None  # a process opens its labelers once, and each command has a process
    result = CliRunner().invoke(main, list(map(str, arguments)), env={"COLUMNS": "500"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def logged(caplog, made):
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prepare_in_process(made)
    found = [record.getMessage() for record in caplog.records if record.name.startswith("axolotl_slung")]
    return [text.removeprefix("slung: datasets[0]: ") for text in found]


def test_trained_finds_are_warned_of_in_the_same_words(tmp_path, config, caplog):
    # a digit is a token of this tokenizer
    made, path = config(FINE)
    says = f"Warning: {FINDS}".format(unit="tokens")
    out = tmp_path / "out_of_label"
    assert f"Warning: {FINDS}".format(unit="characters") in run("label", tmp_path / "rows.jsonl", "-o", out, "-c", path)
    assert (out / ".slung" / "cuts.yml").read_text() == "phones: any\n"
    page = tmp_path / "page.html"
    for command in (["stats", "--html", page], ["sweep", "--html", page], ["inspect", "-o", page]):
        for sources in ([path], [out, "-c", path]):
            assert says in run(command[0], *sources, *command[1:])
            assert "learns to say what phones found" in page.read_text()
    for form in (["stats", "--json", "-"], ["inspect", "--terminal", "--all"]):
        assert says in run(form[0], path, *form[1:])
    first, second = logged(caplog, made), logged(caplog, made)  # the second one loads what the first one prepared
    assert first == second == [FINDS.format(unit="tokens")]
    # the files' record says that these are finds, also to training
    read, _ = config(FINE, "read.yml", [{"type": "spans"}], "out_of_label/rows.jsonl")
    assert logged(caplog, read) == [FINDS.format(unit="tokens")]


@pytest.mark.parametrize("method", [None, "low_risk"])
def test_a_lost_loss_is_warned_of_in_the_same_words(tmp_path, config, caplog, method):
    labelers = [{"type": "profanity", **({"cuts": [1e-4, 0.99]} if method else {})}]
    made, path = config(None if method else MOSTLY, labelers=labelers)
    if method:
        made["slung"]["method"] = method
        rows = [{"text": text} for text in TEXTS] + [{"text": "   \n" * 9}]  # a document without a sentence
        write_jsonl(tmp_path / "rows.jsonl", rows)
        write_config(made, tmp_path, "config.yml")
    output = run("stats", path, "--no-words")
    (warning,) = [line.removeprefix("Warning: ") for line in output.splitlines() if line.startswith("Warning: ")]
    assert "of the" in warning and "trainable tokens lose their loss; `slung sweep` shows" in warning
    assert warning in run("sweep", path) and warning in run("inspect", path, "--terminal", "--all")
    share, _, rest = warning.partition("%")
    assert float(share) > 50
    said = logged(caplog, made)
    if method is None:
        assert said == [warning]
    else:  # tokens are other ones without the spans that were taken out
        assert [text.partition("lose")[2] for text in said] == [rest.partition("lose")[2]]
    of_characters = run("label", tmp_path / "rows.jsonl", "-o", tmp_path / "out_of_label", "-c", path)
    assert "trainable characters lose their loss" in of_characters


def test_no_command_swallows_what_a_labeler_warns_of(tmp_path, config):
    (tmp_path / "loud.py").write_text(
        "import logging\n"
        "class Loud:\n"
        "    def check(self):\n"
        "        logging.getLogger('axolotl_slung.labeling.loud').warning('slung.labelers[0]: no model of \\x1b names')\n"
        "    def label(self, texts, rows):\n"
        "        return [[(0, 4, 1.0)] for _ in texts]\n"
    )
    loud = {"type": "custom", "class_path": f"{tmp_path}/loud.py:Loud", "cuts": "any"}
    _, path = config(None, labelers=[loud])
    says = "slung.labelers[0]: no model of ⟨U+001B⟩ names"
    for command in (["stats"], ["sweep"], ["inspect", "-o", tmp_path / "page.html"], ["doctor"]):
        output = run(command[0], path, *command[1:])
        assert f"Warning: {says}" in output, command
        assert output.count("Warning: ") == 1
        if command == ["doctor"]:
            assert " ".join(output.split()).count(says) == 2  # as it comes, and in the report
    assert says in run("label", tmp_path / "rows.jsonl", "-o", tmp_path / "out_of_label", "-c", path)


def test_labeled_files_keep_what_their_scores_mean(tmp_path, config, caplog):
    _, path = config(None, labelers=[{"type": "profanity"}])
    out = tmp_path / "out_of_label"
    run("label", tmp_path / "rows.jsonl", "-o", out, "-c", path)
    run("stats", path, "--no-words", "--json", tmp_path / "direct.json")
    read, read_path = config(None, "read.yml", [{"type": "spans"}], "out_of_label/rows.jsonl")
    for again in (
        run("stats", read_path, "--no-words", "--json", tmp_path / "read.json"),
        run("stats", out, "--tokenizer", read["base_model"], "--no-words"),
    ):
        assert "Warning" not in again
    direct, again = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("direct", "read"))
    assert direct["buckets"][0]["below"] == 0.2 and direct["combined"] == again["combined"]
    assert logged(caplog, read) == []
    # without the record the scores are not guessed
    (out / ".slung" / "cuts.yml").unlink()
    for command in (["stats", read_path], ["stats", out, "--tokenizer", read["base_model"]]):
        result = CliRunner().invoke(main, list(map(str, command)))
        assert (
            result.exit_code == 1 and "cuts: not set" in result.output and "{profanity: [low, high]}" in result.output
        )
