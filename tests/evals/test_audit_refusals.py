"""What the tasks of slung_audit refuse, what they do without log-likelihoods, and that errors hold no text."""

import json
import logging
import math
import traceback

import pytest
from helpers.auditing import audit_folder, people, private_texts, rows_of
from helpers.engines import Engine
from helpers.harness import about, evaluate, metrics_of, saying
from helpers.served import Reply, chat
from helpers.tiny import tiny_model, tiny_tokenizer, write_jsonl
from transformers import AutoTokenizer

from axolotl_slung import manifest
from axolotl_slung.errors import SlungError
from axolotl_slung.evals import audit_prompts

DATA = [{"where": "datasets[0]", "digest": "ab" * 32, "from": "content"}]


@pytest.fixture(scope="module")
def rows(models):
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(models))
    trained, heldout = people("trained", 3), people("heldout", 2)
    return rows_of(trained, trained, tokenizer) + rows_of(heldout, heldout, tokenizer)


@pytest.fixture
def audit(rows, tmp_path):
    return audit_folder(tmp_path / "audit", rows, provenance={"data": DATA, "holdout_share": 0})


def asked(task, model, audit, **options):
    metadata = {"slung_audit": str(audit)} | {
        f"slung_{name}": options.pop(name) for name in [*options] if "audit" in name
    }
    return evaluate(task, model, metadata, log_samples=True, **options)


@pytest.mark.parametrize("task", ["slung_extraction", "slung_membership", "slung_answers", "slung_kept"])
def test_a_folder_must_be_given_and_be_an_audit(monkeypatch, tmp_path, task, rows):
    with pytest.raises(SlungError, match="SLUNG_AUDIT: not set; draw the questions with `slung audit"):
        evaluate(task, saying(str))
    with pytest.raises(SlungError, match="audit.json"):
        evaluate(task, saying(str), {"slung_audit": str(tmp_path)})
    folder = audit_folder(tmp_path / "others", [row for row in rows if row["set"] == "heldout"])
    if task in ("slung_answers", "slung_kept"):
        with pytest.raises(SlungError, match="has no span that"):
            evaluate(task, saying(str), {"slung_audit": str(folder)})


@pytest.mark.parametrize("given", [{"cache_requests": True}, {"predict_only": True}])
def test_what_would_write_texts_or_nothing_is_refused(audit, given):
    (name,) = given
    with pytest.raises(SlungError, match=f"--{name}"):
        asked("slung_kept", saying(str), audit, **given)


def test_a_model_without_log_likelihoods_is_refused_before_it_is_asked(audit):
    model = saying(str)

    def none(requests, **options):
        raise NotImplementedError

    model.loglikelihood = none
    for task in ("slung_extraction", "slung_membership", "slung_kept"):
        with pytest.raises(SlungError, match=f"{task}: needs log-likelihoods, but lm_eval's Saying") as caught:
            asked(task, model, audit)
        assert ("SLUNG_AUDIT_SAMPLES" in str(caught.value)) == (task == "slung_extraction")
    assert not model.asked


def test_a_model_that_tells_sums_only(audit, rows):
    texts = {row["text"] for row in rows if row["set"] == "trained"}
    model = saying(str, lambda context, text: -1.0 if text in texts else -4.0)
    said = metrics_of(asked("slung_extraction", model, audit), "slung_extraction")
    assert said["extracted"] == 0 and said["found_in_1"] == pytest.approx(math.exp(-1))
    assert math.isnan(said["common_prefix"]) and math.isnan(said["extraction_strength"])
    said = metrics_of(asked("slung_membership", model, audit), "slung_membership")
    # decoys are names of the training data too, as likely as the others
    assert said["exposure"] == pytest.approx(math.log2(3) - math.log2(2)) and said["rank_first"] == 0
    model.loglikelihood = lambda requests, **options: [(-1.0, True)] * len(requests)
    said = metrics_of(asked("slung_extraction", model, audit), "slung_extraction")
    assert said["extracted"] == 1 and math.isnan(said["common_prefix"]) and math.isnan(said["extraction_strength"])
    with pytest.raises(SlungError, match="SLUNG_AUDIT_FORCED=1: this model"):
        asked("slung_extraction", model, audit, audit_forced=1)


def test_samples_in_place_of_log_likelihoods(audit, rows):
    known = {row["before"].rstrip(" ")[-20:]: row["text"] for row in rows if row["kind"] == "phone number"}
    turns = iter(range(10_000))

    def answer(prompt):
        # knows phone numbers by heart, but says every second one only
        return f" {known.get(prompt[-20:], 'nobody')}, ask again." if next(turns) % 2 == 0 else "0"

    results = asked("slung_extraction", saying(answer), audit, audit_samples=4)
    said = metrics_of(results, "slung_extraction")
    assert said["found_in_1_heldout"] > 0 and said["found_in_1"] == pytest.approx(0.25) and "found_in_100" not in said
    assert {"median_tries", "common_prefix", "extraction_strength"}.isdisjoint(said)
    assert about(results, "slung_extraction")["samples"] == 4
    hits = [its["measured"]["prefixes"][its["measured"]["main"]] for its in results["samples"]["slung_extraction"]]
    assert {(its["hits"], its["samples"]) for its in hits} == {(0, 4), (2, 4)}
    assert not [text for text in private_texts(rows) if text in json.dumps(results["samples"], default=str)]
    with pytest.raises(SlungError, match="SLUNG_AUDIT_FORCED: needs log-likelihoods"):
        asked("slung_extraction", saying(answer), audit, audit_samples=4, audit_forced=1)


def test_forced_tokens_are_given_and_not_counted(audit, models):
    folder = tiny_model(models)
    plain, forced = (
        asked("slung_extraction", folder, audit, audit_forced=number)["samples"]["slung_extraction"]
        for number in (0, 2)
    )
    for one, other in zip(plain, forced):
        for length, its in one["measured"]["prefixes"].items():
            their, (score,) = (
                other["measured"]["prefixes"][length],
                one["resps"][[*one["measured"]["prefixes"]].index(length)][0],
            )
            assert their["tokens"] == its["tokens"] - 2
            assert their["logprob"] == pytest.approx(sum(score.each[2:]), rel=1e-5)
            assert their["extracted"] == all(score.likeliest[2:])


def test_a_reference_needs_all_spans(audit, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlungError, match="has no samples of slung_membership"):
        asked("slung_membership", saying(str), audit, audit_reference=str(tmp_path / "empty"))
    other = write_jsonl(tmp_path / "samples_slung_membership_1.jsonl", [{"measured": {"id": "00", "logprob": -1.0}}])
    with pytest.raises(SlungError, match="has no log-probability of 10 of the spans"):
        asked("slung_membership", saying(str), audit, audit_reference=str(tmp_path))
    other.write_text('{"measured": 1}\n')
    with pytest.raises(SlungError, match="is not a samples file of slung_membership"):
        asked("slung_membership", saying(str), audit, audit_reference=str(other))


def test_a_model_trained_on_other_data_is_refused(audit, models, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model(models).iterdir():
        (folder / path.name).symlink_to(path)
    content = {**dict.fromkeys(manifest.KEYS), "data": DATA, "holdout_share": 0}
    manifest.write(folder, content)
    asked("slung_kept", folder, audit, limit=1)
    manifest.write(folder, {**content, "data": [{**DATA[0], "digest": "cd" * 32}]})
    with pytest.raises(
        SlungError, match=r"datasets\[0\]: its data \(abababababab\) is not what the model was trained on"
    ):
        asked("slung_kept", folder, audit, limit=1)


def test_other_labels_than_the_models_are_warned_of(rows, models, tmp_path, caplog):
    """A name that another file of names has was not masked, and a model may well say it."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in tiny_model(models).iterdir():
        (folder / path.name).symlink_to(path)
    content = {**dict.fromkeys(manifest.KEYS), "data": DATA, "holdout_share": 0}

    def said(drawn, trained, asked_about=rows):
        drawn, trained = (
            [{"name": name, "type": "entities", "digest": digest} for name, digest in its] for its in (drawn, trained)
        )
        provenance = {"data": DATA, "holdout_share": 0, "labelers": drawn}
        audit = audit_folder(tmp_path / "audit", asked_about, provenance=provenance)
        manifest.write(folder, {**content, "labelers": trained})
        caplog.clear()
        asked("slung_kept", folder, audit, limit=1)
        return [line for line in caplog.messages if "other labels" in line]

    same, other = ("people", "aa"), ("people", "bb")
    assert not said([same], [same]) and not said([same], [("names", "aa"), ("more", "cc")])
    (line,) = said([same], [other])
    assert ": people: other labels than those that " in line
    assert not said([same], []), "a model that was trained without labels"
    strangers = [{**row, "labeler": "strangers"} if row["set"] == "heldout" else row for row in rows]
    assert not said([same, ("strangers", "dd")], [same], strangers), "they label only rows that are held out"
    assert said([same, ("strangers", "dd")], [same], rows)


def test_the_first_spans_only(audit, models):
    results = asked("slung_membership", tiny_model(models), audit, limit=3)
    assert metrics_of(results, "slung_membership")["measured"] == 3


def test_without_heldout_spans_chance_lines_are_left_out_and_told(tmp_path, rows, caplog):
    folder = audit_folder(tmp_path / "audit", [row for row in rows if row["set"] == "trained"])
    for task, some in (
        ("slung_extraction", "extracted"),
        ("slung_membership", "exposure"),
        ("slung_answers", "leaked_rate"),
    ):
        said = metrics_of(asked(task, saying(str), folder), task)
        assert some in said and not any("heldout" in name or "auroc" in name or "low_risk" in name for name in said)
        assert f"{task}: the audit has no held-out spans" in caplog.text


def test_a_chat_service_is_asked_in_turns(audit, rows, served):
    from lm_eval.models.openai_completions import LocalChatCompletion

    served.answer = lambda text, nth: chat("nobody")
    model = LocalChatCompletion(model="m", base_url=f"{served.url}/v1/chat/completions", max_retries=1)
    assert metrics_of(asked("slung_answers", model, audit, limit=2), "slung_answers")["leaked_rate"] == 0
    results = asked("slung_extraction", model, audit, audit_samples=2, limit=2)
    assert metrics_of(results, "slung_extraction")["extracted"] == 0
    assert all(body["messages"][0]["role"] == "user" for body in served.bodies)
    with pytest.raises(SlungError, match="slung_kept: needs log-likelihoods"):
        asked("slung_kept", model, audit, limit=2)


def test_a_service_with_log_likelihoods_measures_as_hf(audit, models, served):
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    folder, tasks = tiny_model(models), ["slung_extraction", "slung_membership", "slung_kept", "slung_answers"]
    engine = Engine(folder)
    served.answer = lambda *_: engine.reply(served.bodies[-1])
    given = {"model": "m", "tokenizer": str(folder), "tokenizer_backend": "huggingface", "max_length": 513}
    model = LocalCompletionsAPI(base_url=f"{served.url}/v1/completions", **given)
    found, expected = (asked(tasks, one, audit, gen_kwargs="max_gen_toks=4") for one in (model, folder))
    # what needs single tokens
    alone = ("common_prefix", "extraction_strength", "auroc_min_k", "low_risk_greedy")
    for task in tasks:
        mine, theirs = metrics_of(found, task), metrics_of(expected, task)
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            if name.startswith(alone):
                assert isinstance(value, str) or math.isnan(mine[name]), name
            elif not isinstance(value, str):
                assert mine[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), (task, name)


class TestAnswers:
    def test_a_text_that_the_prompt_does_not_say_is_leaked(self, audit, rows):
        ours, others = (next(row["text"] for row in rows if row["set"] == its) for its in ("trained", "heldout"))
        model = saying(lambda prompt: f"It was {ours.upper()}." if "List" in prompt else f"{others}, {ours}")
        results = asked("slung_answers", model, audit)
        said = metrics_of(results, "slung_answers")
        rates = {sample["doc"]["id"]: sample["leaked_rate"] for sample in results["samples"]["slung_answers"]}
        prompts = {prompt: ours in prompt for prompt, _ in model.asked}
        assert sum(rates.values()) == sum(not says for says in prompts.values())
        assert 0 < said["leaked_heldout_rate"] < 1
        assert not [text for text in private_texts(rows) if text in json.dumps(results["samples"], default=str)]

    def test_a_person_asks_a_model_that_has_a_template(self, audit):
        model = saying(str)
        model.tokenizer = type("Tokenizer", (), {"chat_template": "x"})()
        model.apply_chat_template = lambda turns: f"<{turns[-1]['role']}>{turns[-1]['content']}"
        asked("slung_answers", model, audit, limit=2)
        assert all(prompt.startswith("<user>") for prompt, _ in model.asked)
        model.asked.clear()
        asked("slung_answers", model, audit, limit=2, system_instruction="Be brief.", apply_chat_template=False)
        assert all("Be brief." in prompt for prompt, _ in model.asked)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("- a", "is a list"),
            ("any: Ada Fenwick", "entry 1 is not a kind with a list"),
            ("any: []", "entry 1 is not a kind with a list"),
            ("any: [x]\nkey: [x, '']", "prompt 2 of entry 2 is not a text"),
            ("any: ['{name} Fenwick']", "another placeholder than {context}"),
            ("any: [", "not valid YAML"),
        ],
    )
    def test_prompts_of_the_user(self, tmp_path, text, said):
        path = tmp_path / "prompts.yml"
        path.write_text(text)
        with pytest.raises(SlungError, match=f"SLUNG_AUDIT_PROMPTS: .*{said}") as caught:
            audit_prompts.prompts(str(path))
        assert "Fenwick" not in str(caught.value)

    def test_a_kind_of_the_users_replaces_ours(self, tmp_path):
        path = tmp_path / "prompts.yml"
        path.write_text('email: ["Which?"]\n')
        found = audit_prompts.prompts(str(path))
        assert audit_prompts.of_kind(found, "email") == ["Which?"]
        assert audit_prompts.of_kind(found, "EMAIL_ADDRESS") != ["Which?"]
        assert audit_prompts.of_kind(found, "iou") == found["any"]


class TestFailures:
    """A model that fails may quote what it was asked."""

    @pytest.mark.parametrize("task", ["slung_extraction", "slung_answers"])
    def test_an_error_of_the_model_is_told_without_its_message(self, audit, rows, task):
        def fail(*texts):
            raise ValueError(f"cannot read {texts}")

        with pytest.raises(SlungError, match=f"{task}: lm_eval's Saying failed with ValueError in ") as caught:
            asked(task, saying(fail, fail), audit)
        told = "".join(traceback.format_exception(caught.value))
        assert not [text for text in private_texts(rows) if text in told]

    def test_an_error_of_a_service_is_not_logged(self, audit, rows, served, models, caplog, monkeypatch):
        from lm_eval.models.openai_completions import LocalCompletionsAPI

        monkeypatch.setenv("OPENAI_API_KEY", "k")
        caplog.set_level(logging.DEBUG)
        served.answer = lambda text, nth: Reply({"error": text, "says": [row["text"] for row in rows]}, 400)
        model = LocalCompletionsAPI(
            model="m",
            tokenizer=str(tiny_tokenizer(models)),
            tokenizer_backend="huggingface",
            base_url=f"{served.url}/v1/completions",
            max_retries=1,
            max_length=256,
        )
        for task in ("slung_extraction", "slung_answers"):
            with pytest.raises(SlungError, match="failed with") as caught:
                asked(task, model, audit, limit=2)
            told = "".join(traceback.format_exception(caught.value)) + caplog.text
            assert not [text for text in private_texts(rows) if text in told]
        assert served.bodies and "a message is not shown" in caplog.text
