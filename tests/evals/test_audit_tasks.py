"""The tasks of slung_audit on a model that knows its training data by heart, and on one that never saw it."""

import json
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers.auditing import audit_folder, learned, memorized, people, private_texts, rows_of
from helpers.harness import TASKS as TASKS_FOLDER
from helpers.harness import evaluate, metrics_of
from helpers.plain_model import Plain
from helpers.recomputed import statistics
from helpers.recomputed_audit import AUDIT_TASKS, asked
from helpers.tiny import tiny_model
from transformers import AutoTokenizer

TEXT_TASKS = ["slung_extraction", "slung_membership", "slung_kept"]


@pytest.fixture(scope="module")
def audit(models, tmp_path_factory):
    """An audit folder, its rows, a model that never saw its texts, and one that knows them by heart."""
    cwd = tmp_path_factory.mktemp("audit")
    fresh = tiny_model(models, hidden=64)
    trained, heldout = people("trained", 6), people("heldout", 6)
    tokenizer = AutoTokenizer.from_pretrained(fresh)
    rows = rows_of(trained, trained, tokenizer) + rows_of(heldout, heldout, tokenizer)
    prompts = cwd / "prompts.yml"
    prompts.write_text("any: ['{context}', 'Who are you?']\n")
    return SimpleNamespace(
        cwd=cwd,
        rows=rows,
        folder=audit_folder(cwd / "audit", rows),
        prompts=prompts,
        fresh=fresh,
        knowing=memorized(fresh, cwd / "knowing", learned(rows)),
    )


@pytest.fixture(scope="module")
def fresh(audit):
    """The results of the model that never saw the texts."""
    return evaluate(TEXT_TASKS, audit.fresh, {"slung_audit": str(audit.folder)}, log_samples=True)


@pytest.fixture(scope="module")
def knowing(audit, fresh):
    """What `lm_eval` writes, prints and logs about the model that knows them, every logger at its most talkative.

    In a process of its own: where Axolotl was imported, its class of loggers drops what other packages inform of.
    """
    reference = audit.cwd / "samples_slung_membership_reference.jsonl"
    samples = fresh["samples"]["slung_membership"]
    reference.write_text("".join(json.dumps(sample, default=str) + "\n" for sample in samples))
    metadata = {"slung_audit": str(audit.folder), "slung_audit_reference": str(reference)}
    metadata |= {"slung_audit_prompts": str(audit.prompts)}
    as_typed = "import logging; logging.basicConfig(level=0); from lm_eval.__main__ import cli_evaluate; cli_evaluate()"
    command = [
        sys.executable,
        "-c",
        as_typed,
        "--model",
        "hf",
        "--model_args",
        f"pretrained={audit.knowing},dtype=float32",
    ]
    command += ["--tasks", "slung_audit", "--device", "cpu", "--batch_size", "8", "--log_samples", "--write_out"]
    command += ["--output_path", str(audit.cwd / "out"), "--metadata", json.dumps(metadata)]
    command += ["--include_path", str(TASKS_FOLDER), "--gen_kwargs", "max_gen_toks=16"]
    done = subprocess.run(
        command, env={**os.environ, "LMEVAL_LOG_LEVEL": "DEBUG"}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-4000:]
    files = [path for path in (audit.cwd / "out").rglob("*") if path.is_file()]
    (results,) = (path for path in files if path.name.startswith("results_"))
    found = {task: [] for task in AUDIT_TASKS}
    for task, its in found.items():
        (path,) = (path for path in files if path.name.startswith(f"samples_{task}_"))
        its += map(json.loads, path.read_text().splitlines())
    return SimpleNamespace(
        results=json.loads(results.read_text()),
        samples=found,
        reference={sample["doc"]["id"]: sample["measured"]["logprob"] for sample in samples},
        said=done.stdout + done.stderr + "".join(path.read_text() for path in files),
    )


def test_a_model_that_knows_them_says_all_spans(knowing):
    said = metrics_of(knowing.results, "slung_extraction")
    for name in ("extracted", "extracted_25", "extracted_50", "extracted_whole", "extracted_kind_phone_number"):
        assert (said[name], said[f"{name}_ci_high"]) == (1, 1), name
        assert said[f"{name}_ci_low"] == pytest.approx(0.025 ** (1 / said[f"{name}_n"])), name
    assert (said["extracted_n"], said["extracted_whole_n"], said["extracted_kind_phone_number_n"]) == (12, 12, 6)
    assert said["extracted_heldout"] == 0 and said["extracted_low_risk"] == 1
    assert (said["extraction_strength"], said["common_prefix"]) == (1, 1)
    assert said["found_in_10"] > 0.99 and said["median_tries"] < 2 and said["found_in_1000_heldout"] < 0.01
    said = metrics_of(knowing.results, "slung_membership")
    assert (said["rank_first"], said["exposure"], said["exposure_median"]) == (1, math.log2(6), math.log2(6))
    assert said["exposure_ci_low"] < 0.9 * math.log2(6) and said["exposure_ci_high"] == pytest.approx(math.log2(6))
    assert said["rank_first_chance"] == 1 / 6 and said["auroc_loss"] > 0.95 and said["auroc_reference"] > 0.95
    assert metrics_of(knowing.results, "slung_kept")["low_risk_greedy"] == 1


def test_a_model_that_never_saw_them_says_none(fresh):
    said = metrics_of(fresh, "slung_extraction")
    assert said["extracted"] == said["extracted_whole"] == said["extracted_heldout"] == 0
    assert said["extracted_ci_high"] == pytest.approx(1 - 0.025 ** (1 / 12))
    assert said["median_tries"] > 1e6 and said["found_in_1000"] < 0.01
    said = metrics_of(fresh, "slung_membership")
    for name in ("auroc_loss", "auroc_min_k"):
        assert said[f"{name}_ci_low"] < 0.5 < said[f"{name}_ci_high"], name
    assert said["exposure_ci_low"] < said["exposure_chance"] < said["exposure_ci_high"]
    assert said["rank_first_ci_low"] < said["rank_first_chance"] < said["rank_first_ci_high"]
    assert metrics_of(fresh, "slung_kept")["nll_after"] > 4


def test_no_text_of_the_audit_is_in_what_lm_eval_writes_and_says(audit, knowing):
    assert "Running" in knowing.said and "document 0" in knowing.said  # the log and --write_out are there
    found = [
        text for text in private_texts(audit.rows) if text in knowing.said or json.dumps(text)[1:-1] in knowing.said
    ]
    assert not found
    doc = {"id", "set", "kind", "frequency", "labeler", "bucket", "action"}
    assert all(set(sample["doc"]) == doc for its in knowing.samples.values() for sample in its)
    measured = [sample["measured"] for sample in knowing.samples["slung_extraction"]]
    assert {*measured[0]["prefixes"]["whole"]} == {"extracted", "lcp", "strength", "logprob", "tokens"}


@pytest.mark.parametrize("task", AUDIT_TASKS)
def test_every_metric_follows_from_the_saved_samples(audit, knowing, task):
    values = knowing.results["results"][task].items()
    said = {name[:-5]: value for name, value in values if name.endswith(",none") and not isinstance(value, str)}
    plain, spans = Plain(audit.knowing), {row["id"]: row for row in audit.rows}

    def answer(doc):
        prompt = "Who are you?"
        if doc["id"] in spans:
            row = spans[doc["id"]]
            prompt = row["before"][row["prefixes"].get("50", row["prefixes"].get("25", 0)) :]
        template = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        return prompt, plain.greedy(template, 16)

    known = SimpleNamespace(
        reference=knowing.reference,
        answer=answer,
        ours=[row["text"] for row in audit.rows if row["set"] == "trained"],
        others=[row["text"] for row in audit.rows if row["set"] == "heldout"],
    )
    slow = {}
    for name, figure in AUDIT_TASKS[task](knowing.samples[task], known).items():
        slow |= statistics(name, figure)
    assert slow.keys() == said.keys()
    for name, value in slow.items():
        assert said[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_log_likelihoods_are_those_of_each_text_by_itself(audit, knowing, fresh):
    rows = {row["id"]: row for row in audit.rows}
    for folder, samples in ((audit.knowing, knowing.samples), (audit.fresh, fresh["samples"])):
        plain = Plain(folder)
        for task in TEXT_TASKS:
            for sample in samples[task][::7]:
                row = rows[sample["doc"]["id"]]
                for name, (scores,) in zip(asked(sample), sample["resps"], strict=True):
                    context, texts = row["before"][row["prefixes"][name.split()[1]] :], [row["text"], *row["decoys"]]
                    if task == "slung_kept" and row["set"] == "trained":
                        context, texts = row["before"] + row["text"], [row["after"]]
                    for text, score in zip(texts, scores):
                        assert float(score[0]) == pytest.approx(plain.log_likelihood(context, text), rel=1e-4, abs=1e-3)


def test_extracted_is_what_greedy_decoding_says(audit, knowing):
    plain, rows = Plain(audit.knowing), {row["id"]: row for row in audit.rows}
    for sample in knowing.samples["slung_extraction"][::5]:
        row, said = rows[sample["doc"]["id"]], sample["measured"]["prefixes"]
        for length, its in said.items():
            context = row["before"][row["prefixes"][length] :].rstrip(" ")
            continued = plain.greedy(context, its["tokens"])
            assert its["extracted"] == (continued.strip() == row["text"].strip()), (sample["doc"], length)
