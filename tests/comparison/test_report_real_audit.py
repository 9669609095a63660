"""`slung report` on what lm_eval writes for `slung_audit`: a model that knows its training data, and one that never saw it."""

import json

import pytest
from helpers.auditing import audit_folder, learned, memorized, people, private_texts, rows_of
from helpers.harness import evaluate
from helpers.reported import run
from helpers.tiny import tiny_model
from transformers import AutoTokenizer

TASKS = ["slung_extraction", "slung_membership", "slung_kept"]


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """What was printed, the figures, the folder, and the rows of the audit."""
    from lm_eval.loggers import EvaluationTracker

    folder = tmp_path_factory.mktemp("real")
    fresh = tiny_model(folder, hidden=64)
    trained, heldout = people("trained", 4), people("heldout", 4)
    tokenizer = AutoTokenizer.from_pretrained(fresh)
    rows = rows_of(trained, trained, tokenizer) + rows_of(heldout, heldout, tokenizer)
    models = {"fresh": fresh, "knowing": memorized(fresh, folder / "knowing", learned(rows))}
    audit = audit_folder(folder / "audit", rows, counts={"trained": {"person": {"once": {"found": 4, "sampled": 2}}}})
    for label, model in models.items():
        tracker = EvaluationTracker(output_path=str(folder / "evals" / label))
        options = {"log_samples": True, "evaluation_tracker": tracker, "batch_size": 16}
        results = evaluate(TASKS, model, {"slung_audit": str(audit)}, **options)
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for task in TASKS:
            tracker.save_results_samples(task_name=task, samples=samples[task])
    return *run(folder, *(f"{label}={folder / 'evals' / label}" for label in models), audit), folder, rows


def test_the_verdicts_are_the_truth(reported):
    verdicts = {(its["method"], its["kind"]): its for its in reported[1]["leakage"]["verdicts"]}
    assert {kind for _, kind in verdicts} == {None, "person", "phone_number"}
    assert [(verdicts[label, None]["found"], verdicts[label, None]["asked"]) for label in ("fresh", "knowing")] == [
        (0, 8),
        (8, 8),
    ]
    assert verdicts["fresh", "person"]["said"] == (
        "Of 4 names none was extracted. With 95 % confidence fewer than 52.8 % can be by this attack."
    )


def test_differences_are_paired_by_span(reported):
    found = {its["metric"]: its for its in reported[1]["leakage"]["differences"]}
    assert found["extracted"]["difference"] == 1 and found["extracted"]["finding"] == "worse"
    assert found["nll_after"]["finding"] == "better"
    assert all(its["how"].startswith("paired, ") for its in found.values())


def test_the_page_has_all_pictures_and_no_text(reported):
    printed, _, folder, rows = reported
    names = {path.name for path in (folder / "report").iterdir()}
    assert {"extraction.svg", "exposure.svg", "leakage.svg"} <= names
    written = [folder / "figures.json", *(path for path in (folder / "report").iterdir() if path.suffix != ".png")]
    salt = json.loads((folder / "audit" / "audit.json").read_text())["salt"]
    for text in [printed, *(path.read_text(encoding="utf-8") for path in written)]:
        assert not [its for its in {*private_texts(rows), salt} if its in text]
