"""`slung scorer` as it is typed."""

import json

import pytest
from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.errors import SlungError
from axolotl_slung.evals.frozen import read_frozen, read_more
from axolotl_slung.evals.services.scorers import open_scorer

POLITE = ["have a lovely day, number {n}", "the bus {n} leaves at noon", "we read book {n} aloud"]
RUDE = ["you stupid fucking idiot {n}", "shut up, bitch number {n}", "what a load of shit, {n}"]


def run(*arguments):
    return CliRunner().invoke(main, ["scorer", *map(str, arguments)])


def row(number, rude, nested=True):
    prompt = (RUDE if rude else POLITE)[number % 3].format(n=number)
    after, score = (POLITE[number % 3], 0.1) if number % 4 else (RUDE[number % 3], 0.9)
    after = " " + after.format(n=number + 1000)
    first = None if number == 5 else 0.9 if rude else 0.1
    if nested:
        parts = {
            "prompt": {"text": prompt, "toxicity": first, "threat": None},
            "continuation": {"text": after, "toxicity": score},
        }
        return {"filename": "0001.txt", "challenging": False, **parts}
    return {"prompt": prompt, "toxicity": first, "continuation": after, "continuation_toxicity": score}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "rtp.jsonl", [row(number, number % 2) for number in range(60)])


def test_check(data, tmp_path):
    done = run("check", "profanity", "--data", data, "--json", tmp_path / "check.json")
    assert done.exit_code == 0, done.output
    assert (
        "toxic prompts" in done.output
        and "after harmless prompts" in done.output
        and "average precision" in done.output
    )
    said = json.loads((tmp_path / "check.json").read_text())
    assert said["scorer"]["name"] == "profanity" and "alt-profanity-check" in said["scorer"]["version"]
    assert said["data"]["rows"] == 60 and said["data"]["texts"] == 119 and said["data"]["without_score"] == 1
    assert (said["data"]["unscored"], said["data"]["seen"]) == (0, 0)
    every = said["groups"]["all"]
    assert every["n"] == 119 and every["auroc"]["value"] > 0.95 and every["auroc"]["low"] <= every["auroc"]["value"]
    assert said["groups"]["toxic prompts"]["auroc"]["value"] is None
    assert said["groups"]["prompts"]["n"] + said["groups"]["continuations"]["n"] == 119
    # the same data in columns
    flat = write(tmp_path / "flat.jsonl", [row(number, number % 2, nested=False) for number in range(60)])
    again = run("check", "profanity", "--data", flat, "--json", "-")
    assert json.loads(again.stdout[again.stdout.index("{") :])["groups"] == said["groups"]


def test_a_draw_of_rows(data):
    done = run("check", "profanity", "--data", data, "-n", 20, "--json", "-")
    said = json.loads(done.stdout[done.stdout.index("{") :])
    assert said["data"]["rows"] == 20 and said["groups"]["all"]["prompts"] == 20


def test_fit_then_check_says_which_prompts_it_knows(data, tmp_path):
    also = write(tmp_path / "also.jsonl", [{"text": "my neighbors are from far away", "toxicity": 0.05}])
    done = run("fit", "--data", data, "--also", also, "-o", tmp_path / "mine.npz")
    assert done.exit_code == 0, done.output
    assert f"SLUNG_SCORER=fitted:{tmp_path / 'mine.npz'}" in done.output
    scorer = open_scorer(f"fitted:{tmp_path / 'mine.npz'}")
    rude, polite = scorer.score(["you stupid fucking idiot", "have a lovely day"])
    assert rude > 0.5 > polite
    other = write(tmp_path / "other.jsonl", [row(number, number % 2) for number in range(40, 90)])
    done = run("check", f"fitted:{tmp_path / 'mine.npz'}", "--data", other)
    assert done.exit_code == 0 and "was fitted to 20 of these prompts" in " ".join(done.output.split())


def test_calibrate_then_score(data, tmp_path):
    path = tmp_path / "map.json"
    done = run("calibrate", "profanity", "--data", data, "-o", path)
    assert done.exit_code == 0, done.output
    assert "before" in done.output and "after" in done.output and f"profanity+{path}" in done.output
    done = run("check", f"profanity+{path}", "--data", data, "--json", "-")
    said = json.loads(done.stdout[done.stdout.index("{") :])
    assert said["scorer"]["name"] == "profanity+map.json" and abs(said["groups"]["all"]["bias"]["value"]) < 1e-6
    # a map may be replaced; another kind of file may not
    assert "replaces the earlier one" in run("calibrate", "profanity", "--data", data, "-o", path).output
    for command in (["calibrate", "profanity"], ["fit"]):
        (tmp_path / "letter").write_text('{"Dear": "reader"}')
        done = run(*command, "--data", data, "-o", tmp_path / "letter")
        assert done.exit_code == 2 and "is another kind of file, which is not replaced" in done.output


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "line 61 of "),
        ('{"text": "x"}', "has no `prompt`; give the file as RealToxicityPrompts ships it"),
        ('{"prompt": 7}', "`prompt` has no text, but a number"),
        ('{"prompt": {"text": "x", "toxicity": 1.5}}', "the toxicity of `prompt` is not a number from 0 to 1"),
        ('{"prompt": {"text": "x", "toxicity": true}}', "the toxicity of `prompt` is not a number from 0 to 1"),
        ('{"prompt": {"text": "x", "toxicity": 0.1}, "continuation": ["y"]}', "`continuation` has no text, but a list"),
    ],
)
def test_rows_that_cannot_be_read(data, line, says):
    with open(data, "a") as file:
        file.write(line + "\n")
    done = run("check", "profanity", "--data", data)
    assert done.exit_code == 2 and says in done.output and "--data: " in done.output


def test_mistakes_are_told_first(data, tmp_path):
    assert run("check", "nonsense", "--data", data).exit_code == 2
    assert run("check", "profanity", "--data", tmp_path / "nowhere.jsonl").exit_code == 2
    empty = write(tmp_path / "empty.jsonl", [{"prompt": {"text": "x", "toxicity": None}}])
    done = run("check", "profanity", "--data", empty)
    assert done.exit_code == 2 and "no text has a toxicity score" in done.output
    few = write(tmp_path / "few.jsonl", [row(0, True)])
    done = run("fit", "--data", few, "-o", tmp_path / "x.npz")
    assert done.exit_code == 2 and "too few to hold some out" in done.output
    done = run("fit", "--data", data, "-o", data)
    assert done.exit_code == 2 and "is another kind of file" in done.output


def test_prompts_that_come_twice_are_one(tmp_path):
    twice = write(tmp_path / "twice.jsonl", [row(1, True), row(2, False), row(1, True)])
    texts = read_frozen("--data", twice).texts
    assert [text.row for text in texts] == [0, 0, 1, 1, 0, 0]
    assert [text.toxic_prompt for text in texts] == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"text": "x"}, "`toxicity` is null"),
        ({"text": "x", "toxicity": 0.5, "weight": 0}, "`weight` is not a number above 0"),
        ({"text": "x", "toxicity": 0.5, "weight": "1"}, "`weight` is not a number above 0"),
        ({"toxicity": 0.5}, "`text` has no text, but null"),
    ],
)
def test_other_texts_that_cannot_be_read(tmp_path, line, says):
    with pytest.raises(SlungError, match=f"^--also: row 1 of .*: {says}"):
        read_more("--also", write(tmp_path / "also.jsonl", [line]))
