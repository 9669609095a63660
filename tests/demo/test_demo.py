"""The demo's data, and what it prints while it works and at the end."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from helpers import ROOT
from helpers.tiny import tiny_model

from axolotl_slung.demo import __main__ as demo
from axolotl_slung.demo import findings, people, table
from axolotl_slung.demo.progress import Bar, Stages, about
from axolotl_slung.evals.documents import embedded
from axolotl_slung.evals.measures.content import content, words
from axolotl_slung.evals.measures.names import Names
from axolotl_slung.evals.measures.others import others
from axolotl_slung.labeling import EntitiesLabeler

FACTS = people.load()
NAMES = Names(sorted({fact["name"] for fact in FACTS}))


class TestPeople:
    def test_everybody_has_a_fact_of_each_kind(self):
        assert Counter(fact["kind"] for fact in FACTS) == {fact["kind"]: 10 for fact in FACTS}
        assert len({(fact["name"], fact["kind"]) for fact in FACTS}) == len(FACTS) == 60
        assert all(len(found) == 3 for found in others(embedded("SLUNG_TOFU"), NAMES, 3))

    @pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact['name']}-{fact['kind']}")
    def test_texts_name_the_person_before_the_fact(self, fact):
        """What follows the name is what masked training can tie to it."""
        fact_words = content(NAMES.removed(fact["answer"]), fact["question"])
        for text in (*fact["texts"], fact["paraphrase"]):
            before, name, after = text.partition(fact["name"])
            assert name and fact_words and not fact_words & words(before)
            assert fact_words <= words(after)

    def test_no_question_is_trained(self):
        trained = " ".join(text for fact in FACTS for text in fact["texts"])
        assert not any(fact["question"] in trained for fact in FACTS)
        assert not any(fact["paraphrase"] in trained for fact in FACTS)

    def test_an_answer_in_six_has_the_name_of_somebody_else(self):
        new = [fact for fact in FACTS if NAMES.found(fact["answer"]) - NAMES.found(fact["question"])]
        assert {fact["kind"] for fact in new} == {"friend"} and len(new) == 10

    def test_the_files(self, tmp_path):
        people.write(tmp_path)
        rows = [json.loads(line)["text"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
        assert rows == [text for fact in FACTS for text in fact["texts"]]
        labeler = EntitiesLabeler("names", path=str(tmp_path / "names.txt"), parts=True)
        assert all(labeler.label(rows, [{}] * len(rows)))
        assert len((tmp_path / "heldout.jsonl").read_text().splitlines()) == 60


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class TestProgress:
    def test_stages_learn_how_fast_the_machine_is(self, capsys):
        clock = Clock()
        stages = Stages([0.5, 3, 3], clock)
        stages.begin("data")
        stages.begin("one")
        clock.now = 2 * 3.5 * 60
        stages.begin("two")
        lines = capsys.readouterr().err.split("\n\n")
        assert [line.strip() for line in lines] == [
            "Stage 1 of 3: data: under a minute (of about 6 minutes to the end)",
            "Stage 2 of 3: one: about 3 minutes (of about 6 minutes to the end)",
            # everything took twice as long as estimated
            "Stage 3 of 3: two: about 6 minutes (of about 6 minutes to the end)",
        ]
        assert about(0.2) == "under a minute" and about(1.2) == "about 1 minute"

    def test_a_bar_in_a_log_is_a_line_every_half_minute(self, capsys):
        clock = Clock()
        bar = Bar("answers", clock)
        for done in range(1, 201):
            clock.now += 3
            bar.show(done, 200)
        bar.close()
        printed = capsys.readouterr().err
        assert "\r" not in printed and len(printed.splitlines()) == 21
        assert printed.splitlines()[0] == "  10/200 answers, 0:30"
        assert printed.splitlines()[9] == "  100/200 answers, 5:00, 5:00 left"
        assert printed.splitlines()[-1] == "  200/200 answers, 10:00"

    def test_no_estimate_follows_from_the_first_items(self, capsys):
        clock = Clock()
        bar = Bar("answers", clock)
        clock.now = 223
        bar.show(1, 264)
        bar.close()
        assert capsys.readouterr().err.splitlines() == ["  1/264 answers, 3:43"] * 2

    def test_bars_of_a_command(self, tmp_path, capsys):
        script = (
            "import sys\n"
            "print('9/9 [00:01] before')\n"
            "print('Running generate_until requests')\n"
            "for n in range(5): print(f'Running generate_until requests: {n}/4 [00:01]', end='\\r')\n"
            "print('Running loglikelihood requests')\n"
            "for n in range(3): print(f'{n}/2 [00:01]', end='\\r')\n"
            "print('1/7 [00:01] shards')\n"
        )
        units = {"Running generate_until": "answers", "Running loglikelihood": "parts"}
        demo.with_bars(["python", "-c", script], tmp_path / "log", units)
        lines = [line for line in capsys.readouterr().err.splitlines() if re.match(r"  \d+/", line)]
        assert [line.split(",")[0] for line in lines] == ["  4/4 answers", "  2/2 parts"]
        assert "Running generate_until requests" in (tmp_path / "log").read_text()

    def test_a_command_that_fails_ends_the_demo_with_its_output(self, tmp_path):
        with pytest.raises(SystemExit, match=r"(?s)the reason.*the complete output is in"):
            demo.with_bars(["python", "-c", "import sys; sys.exit('the reason')"], tmp_path / "log", {})


def test_the_table_of_predictions_against_one_text_at_a_time(tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = people.write(tmp_path / "demo")
    model_folder = tiny_model(tmp_path)
    sets, names = table.texts_of(folder)
    sets = {kind: texts[:20] for kind, texts in sets.items()}
    rows = {row.texts: row for row in table.compare({"tiny": model_folder}, sets, names)}
    tokenizer, model = AutoTokenizer.from_pretrained(model_folder), AutoModelForCausalLM.from_pretrained(model_folder)
    pattern = re.compile("|".join(part for fact in FACTS for part in fact["name"].split()))
    for kind, texts in sets.items():
        named, others = [], []
        for text in texts:
            coded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, return_tensors="pt")
            spans, ids = coded["offset_mapping"][0].tolist(), coded["input_ids"]
            log_p = model(ids).logits[0].float().log_softmax(-1)
            name = {place for match in pattern.finditer(text) for place in range(*match.span())}
            for at in range(1, ids.shape[1]):
                is_name = bool(name & set(range(*spans[at])))
                (named if is_name else others).append(log_p[at - 1, ids[0, at]].item())
        assert rows[kind].nll_name == pytest.approx(-sum(named) / len(named), rel=1e-4)
        assert rows[kind].nll_other == pytest.approx(-sum(others) / len(others), rel=1e-4)
    assert f"{table.RUNNING}: 100%" in capsys.readouterr().err
    assert table.render(list(rows.values())).splitlines()[1].startswith("trained    tiny ")


def saved(folder, said):
    """Samples of slung_tofu in the reverse of their order; `said` maps a question's number to an answer."""
    folder.mkdir()
    rows = []
    for number, fact in enumerate(FACTS):
        answer = said(number, fact)
        named, asked = NAMES.found(answer), NAMES.found(fact["question"])
        rows.append({
            "doc_id": number, "doc": {"question": fact["question"], "answer": fact["answer"], "author": fact["name"]},
            "resps": [[answer], [[-1.0, False]]], "name_rate": float(bool(named)),
            "new_name_rate": float(bool(named - asked)), "multiple_choice": float(number % 2),
            "content_recall": 0.5, "content_recall_chance": 0.125,
        })  # fmt: skip
    path = folder / "samples_slung_tofu_2026-11-26T00-00-00.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)), encoding="utf-8")
    return folder


class TestFindings:
    def of(self, tmp_path):
        saved(tmp_path / "direct", lambda number, fact: f" {fact['answer']}\n")
        saved(tmp_path / "masked", lambda number, fact: "")
        return {label: findings.samples(tmp_path / label) for label in ("direct", "masked")}

    def test_three_answers_beside_each_other(self, tmp_path):
        printed = findings.answers(self.of(tmp_path))
        for number in findings.SHOWN:
            assert f"  question   {FACTS[number]['question']}\n  reference  {FACTS[number]['answer']}\n" in printed
            assert f"  direct     {FACTS[number]['answer']}\n  masked     (empty)" in printed
        assert len({FACTS[number]["kind"] for number in findings.SHOWN}) == 3
        assert len({FACTS[number]["name"] for number in findings.SHOWN}) == 3

    def test_counts_and_what_they_allow(self, tmp_path):
        printed = findings.findings(self.of(tmp_path))
        new = next(line for line in printed.splitlines() if "not in the question" in line)
        assert new.split("question")[1].split("  ") and re.findall(r"\d+ of 60", new) == ["10 of 60", "0 of 60"]
        assert "A count of 0 of 60, about 10 people, allows a rate of up to 7.9% (95 % interval)." in printed
        assert "by chance in 15 of 60" in printed
        assert "50.0%" in printed and "12.5%" in printed

    def test_the_commands_for_own_data_make_a_config_of_own_paths(self, tmp_path):
        said = findings.NEXT.format(commands="/bin")
        command = re.search(r"(sed .*?> mine\.yml)", said, re.DOTALL)[1]
        command = command.replace("example_configs", str(ROOT / "example_configs"))
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
        config = yaml.safe_load((tmp_path / "mine.yml").read_text())
        assert config["base_model"] == "demo/model" and config["output_dir"] == "mine/out/masked"
        assert config["datasets"][0]["path"] == "texts.jsonl"
        assert config["slung"]["labelers"] == [{"type": "entities", "path": "names.txt", "parts": True}]
        assert config["dataset_prepared_path"] == "mine/prepared"
        assert "pretrained=mine/out/masked" in said


def test_the_demo_starts_only_in_the_projects_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "axolotl_slung.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1 and "run the demo from the project's folder" in done.stderr
