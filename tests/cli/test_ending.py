"""How every command ends: one message that is safe to show, and an exit status by one rule."""

import json
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from helpers import ROOT

import axolotl_slung
from axolotl_slung.cli import main
from axolotl_slung.cli.block import read_yaml
from axolotl_slung.cli.ending import STATUSES
from axolotl_slung.errors import FileError, SlungError, few, first_line, get_logger, kind_of, meant, os_problem
from axolotl_slung.visible import visible

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u2028\x85\r\nError: forged\udcff\U000e0041"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("Ada\n")
    (tmp_path / "in.jsonl").write_text('{"text": "Ada"}\n')
    (tmp_path / "block.yml").write_text("slung:\n  labelers:\n    - {type: entities, path: names.txt}\n")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


L = ["-l", "{type: entities, path: names.txt}"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], 0),
        (["label", "in.jsonl", "-o", "out", *L], 0),
        (["nosuch"], 2),
        (["--nosuch"], 2),
        (["label", "in.jsonl"], 2),
        (["label", "in.jsonl", "-o", "out"], 2),
        (["label", "nowhere.jsonl", "-o", "out", *L], 2),
        (["label", "in.jsonl", "-o", "out", "-l", "{type: entities, path: nowhere.txt}"], 2),
        (["label", "in.jsonl", "-o", "out", "-l", "{type: entity}"], 2),
        (["label", "in.jsonl", "-o", "out", "-l", "{type: ["], 2),
        (["label", "in.jsonl", "-o", "out", "-c", "nowhere.yml"], 2),
        (["label", "in.jsonl", "-o", "out", "-c", "names.txt"], 2),
        (["label", "in.jsonl", "-o", "names.txt", *L], 1),
        (["label", "", "-o", "out", *L], 2),
        (["label", "in.jsonl", "-o", "", *L], 2),
        (["label", "in.jsonl", "-o", "out", "--spans-field=", *L], 2),
        (["label", "in.jsonl", "-o", "out", "--text-field", "txt", *L], 1),
        (["qa", "nowhere.jsonl", "--gold", "gold", *L], 2),
        (["qa", "in.jsonl", "--gold", "gold", *L], 1),
        (["qa", "in.jsonl", *L], 2),
        (["stats", "nowhere.yml"], 2),
        (["stats", "block.yml", "--html", "names.txt"], 2),
        (["stats", "block.yml", "--json", "names.txt"], 2),
        (["sweep", "nowhere.yml"], 2),
        (["inspect", "nowhere.yml"], 2),
        (["inspect", "block.yml", "-o", "names.txt"], 2),
        (["inspect", "in.jsonl"], 2),
        (["doctor", "nowhere.yml"], 2),
        (["report", "nowhere"], 2),
        (["report", "."], 1),
        (["rescore", "nowhere.jsonl"], 2),
        (["rescore", "in.jsonl"], 1),
    ],
)
def test_the_status_follows_one_rule(here, arguments, status):
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    assert ("is empty; give a value" in result.output) == any(arg in ("", "--spans-field=") for arg in arguments)
    if status:
        assert sum(line.startswith("Error: ") for line in result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("slug:\n  labelers: []\n", "config.yml: slug: unknown key; did you mean `slung`?"),
        ("labelers: [{type: profanity}]\n", "config.yml: labelers: is a key of the `slung:` block; write `slung:`"),
        ("base_model: x\n", "config.yml: no `slung:` block in it; add one"),
        ("slung:\n  - {type: profanity}\n", "slung: expected a mapping, got a list; write"),
        ("slung: {labelers: [profanity]}\n", "slung.labelers[0]: expected a mapping, got profanity; write"),
        ("slung: {labelers: [{type: profanity}]}\nplugins: [axolotl_slung.Slung]\nrl: dpo\n",
         "plugins: axolotl_slung.Slung: is not a plugin; did you mean axolotl_slung.SlungPlugin?"),
        ("slung: {labelers: [{type: profanity, datasets: [b.jsonl]}]}\ndatasets: [{path: data/b.jsonl}]\n",
         "slung.labelers[0].datasets: 'b.jsonl': not a `path` under `datasets:`, which are ['data/b.jsonl']; did you mean 'data/b.jsonl'?"),
    ],
)  # fmt: skip
def test_mistakes_of_a_config_are_told_before_axolotl_is_imported(here, text, answer):
    (here / "config.yml").write_text(text)
    result = run("stats", "config.yml")
    assert result.exit_code == 2 and answer in result.output


def test_a_missing_tokenizer_is_said_with_its_reason(here):
    assert "--tokenizer: no tokenizer given; pass --tokenizer, or --config" in run("sweep", "in.jsonl").output
    assert "--tokenizer: block.yml has no `base_model`; pass" in run("sweep", "in.jsonl", "-c", "block.yml").output


def test_the_rule_is_in_the_help_and_the_docs():
    text = " ".join(run("--help").output.split())
    for line in STATUSES.splitlines()[2:]:
        assert " ".join(line.split()) in text
        assert " ".join(line.split()[1:]) in " ".join(
            (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").split()
        )


@pytest.mark.parametrize(
    "arguments",
    [
        [HOSTILE],
        ["--" + HOSTILE],
        ["label", HOSTILE, "-o", "out", *L],
        ["label", "in.jsonl", "-o", "out", "-l", HOSTILE],
        ["label", "in.jsonl", "-o", "out", "-l", "{type: entities, path: '" + HOSTILE[13:].replace("\r\n", "") + "'}"],
        ["label", "in.jsonl", "-o", "out", "-c", HOSTILE],
        ["label", "in.jsonl", "-o", HOSTILE, "--form", HOSTILE, *L],
        ["qa", "in.jsonl", "--gold", HOSTILE, *L],
        ["qa", "in.jsonl", "--gold", "a", "-t", HOSTILE, *L],
        ["stats", HOSTILE],
        ["stats", HOSTILE + ".yml"],
        ["sweep", "in.jsonl", "--tokenizer", "x", "-t", HOSTILE],
        ["inspect", "block.yml", "-o", HOSTILE + "/x/" + "y" * 300],
        ["doctor", HOSTILE],
        ["report", HOSTILE],
        ["report", HOSTILE + "@" + HOSTILE + "=."],
        ["rescore", HOSTILE],
    ],
)  # fmt: skip
def test_arguments_reach_the_terminal_only_visibly(here, arguments):
    result = run(*[argument.replace("\x00", "") for argument in arguments])
    assert result.exit_code in (1, 2)
    assert not RAW.search(result.output.replace("\r ", "")), result.output
    assert sum(line.startswith("Error: ") for line in result.output.splitlines()) == 1


@click.command()
def broken():
    {}["Jane Roe \x1b[2J"]


def test_an_error_that_nobody_expected_shows_its_place_and_not_its_message(monkeypatch):
    monkeypatch.setattr("axolotl_slung.cli._Commands.get_command", lambda *_: broken)
    result = run("broken")
    assert result.exit_code == 1
    assert "test_ending.py" in result.output and "Error: KeyError: not expected here" in result.output
    # the line of source in the frame is the program's, not data
    assert "\x1b" not in result.output


def test_ctrl_c_says_what_the_same_command_does(here):
    (here / "slow.py").write_text(
        "import time\nclass Slow:\n    def label(self, texts, rows):\n        time.sleep(60)\n        return [[] for _ in texts]\n"
    )
    (here / "in.jsonl").write_text('{"text": "Ada"}\n' * 200_000)
    command = [sys.executable, "-m", "axolotl_slung", "label", "in.jsonl", "-o", "out", "-j", "2", "-l",
               "{type: custom, class_path: 'slow.py:Slow'}"]  # fmt: skip
    started = subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(here.glob("out/*.part")):
        assert started.poll() is None
        time.sleep(0.1)
    time.sleep(3)
    for _ in range(3):
        os.killpg(started.pid, signal.SIGINT)
        time.sleep(0.3)
    said = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().splitlines()[-1] == "Error: interrupted; the same command continues where it stopped"


def test_the_module_and_the_version(here):
    done = subprocess.run(
        [sys.executable, "-m", "axolotl_slung", "--version"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(
        rf"slung {re.escape(axolotl_slung.__version__)} \(axolotl \S+, Python 3\.\d+\.\d+\S*\)\n", done.stdout
    )


def test_pages_are_private_and_replace_only_pages(here):
    from axolotl_slung.cli.writing import FIGURES, PAGE, check, write

    page = here / "new" / "page.html"
    check(page, PAGE)
    assert write(page, "<!doctype html>1") == str(page)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    page.chmod(0o644)
    check(page, PAGE)
    assert write(page, "<!doctype html>2") == f"{page} (replaces the earlier one)"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    for path, begins in ((here / "block.yml", PAGE), (here / "block.yml", FIGURES), (page, FIGURES), (here, PAGE)):
        with pytest.raises(SlungError, match="choose another name|name a file in it"):
            check(path, begins)


# ---- what messages are made of


def test_messages_of_errors_are_visible():
    error = SlungError(f"a {HOSTILE} b", "second line")
    assert not RAW.search(str(error)) and str(error).count("\n") == 1
    assert str(error).encode()
    assert repr(SlungError("x")) == "SlungError('x')"
    import pickle

    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert visible(visible(HOSTILE)) == visible(HOSTILE)


def test_data_is_described_and_not_quoted():
    assert [kind_of(value) for value in ("x", True, 1, 0.5, {}, [], None, b"", {1})] == [
        "a string", "true or false", "a number", "a number", "an object", "a list", "null", "bytes", "a set",
    ]  # fmt: skip
    assert few([]) == "none"
    assert few(["a", HOSTILE]).startswith("a, ⟨U+001B⟩")
    assert few(range(9)) == "0, 1, 2, 3, 4 and 4 more"
    assert len(few(["x" * 1000])) == 41
    assert meant("toxc", ["toxic", "safe"]) == "; did you mean 'toxic'?"
    assert meant("zebra", ["toxic"]) == meant(5, ["toxic"]) == meant("", ["toxic"]) == ""
    assert first_line(KeyError()) == "KeyError"


BROKEN = ["a: *Jane", "a: !Jane x", "a: 'Jane", "Jane: [", "\tJane: x", "Jane: a: b", "%Jane", "Jane: 1\nb: 2\nJane: 3"]
BROKEN += [
    "Jane: 2020-13-45",
    "Jane: 0x_",
    "a: !!int Jane",
    "a: !!bool Jane",
    "a: !!timestamp Jane",
    "a: " + "9" * 6000,
]
BROKEN += ["Jane: " + "[" * 5000, "{Jane: " * 3000, "a: {Jane: 1, Jane: 2}"]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_broken_yaml_is_not_quoted(text, tmp_path):
    (tmp_path / "config.yml").write_text(text)
    with pytest.raises(FileError) as caught:
        read_yaml(str(tmp_path / "config.yml"))
    said = str(caught.value)
    assert "Jane" not in said and "config.yml: not valid YAML: " in said and said.endswith("; fix this line")


def test_a_key_that_replaces_a_merged_one_is_not_there_twice(tmp_path):
    (tmp_path / "config.yml").write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4, 1: 0, '1': 0}\n")
    assert read_yaml(str(tmp_path / "config.yml"))["c"] == {"x": 3, "y": 4, 1: 0, "1": 0}


def test_the_byte_that_is_not_utf_8_is_counted_from_the_beginning(tmp_path):
    (tmp_path / "config.yml").write_bytes(b"name: caf\xe9")
    with pytest.raises(FileError, match=r"config\.yml: not UTF-8 \(at byte 9\); save it as UTF-8"):
        read_yaml(str(tmp_path / "config.yml"))


def test_errors_of_the_system_say_what_to_do():
    for error in (FileNotFoundError(2, "No such file or directory", "x"), OSError(28, "No space left on device")):
        assert re.fullmatch(r"(x|y): .*; .*", os_problem(error, error.filename or "y"))
    assert "Jane" not in os_problem(OSError("Jane"), "x")


def test_the_log_is_visible(caplog):
    logger = get_logger("axolotl_slung.test")
    get_logger("axolotl_slung.test")
    assert len(logger.filters) == 1
    with caplog.at_level(logging.INFO, "axolotl_slung.test"):
        logger.info("%s: %d", HOSTILE, 7)
    assert not RAW.search(caplog.messages[0]) and caplog.messages[0].endswith(": 7")


def test_every_module_logs_visibly():
    package = Path(axolotl_slung.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name not in ("errors.py", "log.py"):
            assert "logging.getLogger(__name__)" not in text, path
            assert "axolotl.utils.logging" not in text, path
            # `click.echo` and `print` get fixed texts, or texts that are visible
            # these two hear what libraries warn of
            assert "\nimport warnings" not in text or path.name in ("drawing.py", "gliner.py"), path


def test_options_of_the_schema_are_json():
    assert json.loads(run("schema").output)["title"] == "SlungConfig"
