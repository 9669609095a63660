"""lm_eval_tasks/: what a reader of the YAML sees is what runs."""

import re
from pathlib import Path

import pytest
from helpers.harness import TASKS, load_task, local

from axolotl_slung.evals.measures.tofu import NEXT_QUESTION
from axolotl_slung.evals.services.options import Options

OPTION = re.compile(r"#   SLUNG_(?P<name>\w+)=(?P<default>\S*)")

ASKED = {
    "slung_toxicity": ("SLUNG_TOXICITY_PROMPTS", {"prompt": "{{7}} 42\n"}, "{{7}} 42\n", ""),
    "slung_toxicity_50": ("SLUNG_TOXICITY_PROMPTS", {"prompt": " 42"}, " 42", ""),
    "slung_tofu": (
        "SLUNG_TOFU", {"question": "Who?\n", "answer": "[42]", "author": "Bo Tarn"}, "Question: Who?\n\nAnswer:", "[42]",
    ),
    "slung_perplexity": ("SLUNG_PERPLEXITY_TEXT", {"text": "42"}, "", "42"),
    "slung_perplexity_reddit": ("SLUNG_PERPLEXITY_REDDIT", {"text": "[4, 2]"}, "", "[4, 2]"),
}  # fmt: skip


@pytest.mark.parametrize("file", sorted(TASKS.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_defaults_in_the_comments_are_the_options(file):
    said = dict(match.groups() for match in map(OPTION.match, file.read_text().splitlines()) if match)
    assert said or file.stem in ("slung", "slung_audit", "slung_general", "slung_toxicity_50")
    for name, default in said.items():
        default_of = Options.model_fields[name.lower()].default
        default_of = ",".join(default_of) if isinstance(default_of, tuple) else default_of
        assert default == ("" if default_of is None else str(default_of)), name


def test_every_option_of_a_measurement_is_in_a_comment():
    said = {match["name"].lower() for file in TASKS.glob("*.yaml") for match in OPTION.finditer(file.read_text())}
    # the rest says how a service is reached
    assert Options.model_fields.keys() - said == {"scorer_url", "judge_url", "concurrency", "requests_per_second"}


VERSIONS = {
    "slung_toxicity": 3,
    "slung_toxicity_50": 3,
    "slung_tofu": 3,
    "slung_perplexity": 1,
    "slung_perplexity_reddit": 1,
}


@pytest.mark.parametrize("name", ASKED)
def test_prompt_and_target_are_the_yamls(monkeypatch, tmp_path, name):
    option, row, prompt, target = ASKED[name]
    local(monkeypatch, tmp_path, option, [row])
    task = load_task(name)
    (doc,) = task.eval_docs
    assert (task.doc_to_text(doc), task.doc_to_target(doc)) == (prompt, target)
    assert (task.config.num_fewshot, task.VERSION) == (0, VERSIONS[name])


def test_comments_are_read_as_they_are(embedded):
    task = load_task("slung_civilcomments")
    assert {(task.doc_to_text(doc), task.doc_to_target(doc)) for doc in task.eval_docs} == {
        (doc["text"], "toxic" if doc["toxic"] else "not toxic") for doc in task.eval_docs
    }
    assert (task.config.num_fewshot, task.VERSION) == (0, 2)


def test_answers_end_where_they_are_cut(monkeypatch, tmp_path):
    local(monkeypatch, tmp_path, "SLUNG_TOFU", [{"question": "Who?", "answer": "Bo.", "author": "Bo Tarn"}])
    assert load_task("slung_tofu").config.generation_kwargs["until"] == list(NEXT_QUESTION)


def test_the_general_group_names_tasks_that_lm_eval_has():
    import lm_eval
    import yaml

    group = yaml.safe_load((TASKS / "slung_general.yaml").read_text())
    files = Path(lm_eval.__file__).parent.joinpath("tasks").rglob("*.yaml")
    known = {file.stem for file in files}
    assert group["group"] == "slung_general" and len(group["task"]) == 3 and set(group["task"]) <= known
