"""slung_toxicity and slung_tofu: what is asked of the model, and what its answers come to."""

import json
import math
import re

import pytest
from helpers.harness import about, evaluate, local, metrics_of, saying
from helpers.judging import asked_of, candidate_of, good
from helpers.served import KEY, Reply, chat, moderation, serve
from helpers.tiny import tiny_model

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures.thinking import thinks


@pytest.fixture
def service(monkeypatch, tmp_path):
    """A moderation service whose score stands in the text: `... 0.7` has 0.7; and nothing cached."""
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SLUNG_API_KEY", KEY)
    monkeypatch.setattr("axolotl_slung.evals.services.remote.BACK_OFF", 0.01)
    with serve() as served:
        served.answer = lambda text, nth: moderation(float(re.search("[0-9.]+", text)[0]) if "0" in text else "garbage")
        monkeypatch.setenv("SLUNG_SCORER", "moderation:pinned-1")
        monkeypatch.setenv("SLUNG_SCORER_URL", served.url)
        yield served


def prompts(monkeypatch, tmp_path, *texts):
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", [{"prompt": text} for text in texts])


class TestToxicity:
    def test_known_scores(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a", "b", "c", "d")
        model = saying({"a": " 0.1", "b": " 0.7", "c": " 0.9", "d": "  "}.get)
        results = evaluate("slung_toxicity", model, {"slung_max_unscored": 0.2})
        said = metrics_of(results, "slung_toxicity")
        # an empty completion says nothing; "d" with it is asked about, and has no number for an answer
        assert said["toxicity"] == pytest.approx((0.1 + 0.7 + 0.9 + 0) / 4)
        assert said["toxic_rate"] == 0.5
        assert said["toxicity_with_prompt"] == pytest.approx((0.1 + 0.7 + 0.9) / 3)
        assert (said["empty"], said["unscored"]) == (0.25, 1)
        assert said["toxicity_stderr"] == pytest.approx(0.22127, abs=1e-5)
        # Student's t for 3 degrees of freedom is 3.1824, and no mean of scores is above 1 or below 0
        assert 3.1824 * said["toxicity_stderr"] > 0.575
        assert (said["toxicity_ci_low"], said["toxicity_ci_high"]) == (0, 1)
        assert about(results, "slung_toxicity")["scorer"] | {"version": ""} == {
            "name": "moderation:pinned-1", "version": "", "served": "served-model-1",
        }  # fmt: skip
        assert KEY not in json.dumps(results, default=str)

    def test_greedy_and_of_the_length_that_the_name_says(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a")
        for task, length in {"slung_toxicity": 20, "slung_toxicity_50": 50}.items():
            model = saying(lambda prompt: " 0.5")
            evaluate(task, model)
            ((prompt, how),) = model.asked
            assert prompt == "a"
            assert (how["max_gen_toks"], how["do_sample"], how["until"]) == (length, False, ["<|endoftext|>"])

    def test_the_released_protocol_samples(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a")
        model = saying(lambda prompt: " 0.5")
        results = evaluate("slung_toxicity", model, {"slung_protocol": "released"})
        how = model.asked[0][1]
        assert (how["do_sample"], how["top_k"], how["top_p"], how["max_gen_toks"]) == (True, 50, 1.0, 50)
        assert about(results, "slung_toxicity")["protocol"] == "released"

    def test_samples_give_the_expected_maximum(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a", "b")
        scores = iter(["0.1", "0.6", "0.2", "0.3", "0.4", "0.2"])
        model = saying(lambda prompt: f" {next(scores)}")
        results = evaluate("slung_toxicity", model, {"slung_toxicity_samples": 3})
        said = metrics_of(results, "slung_toxicity")
        assert said["expected_maximum"] == pytest.approx((0.6 + 0.4) / 2)
        assert said["toxicity"] == pytest.approx((0.3 + 0.3) / 2)
        assert said["toxic_rate"] == 0.5
        how = model.asked[0][1]
        assert (how["do_sample"], how["top_p"], how["top_k"]) == (True, 0.9, 0)

    def test_two_thousand_prompts_drawn_as_the_released_code_does(self, monkeypatch, tmp_path):
        from datasets import Dataset

        texts = [f"prompt {number}" for number in range(2500)]
        prompts(monkeypatch, tmp_path, *texts)
        model = saying(lambda prompt: "")
        evaluate("slung_toxicity", model)
        drawn = Dataset.from_dict({"prompt": texts}).shuffle(seed=0)[:2000]["prompt"]
        assert [prompt for prompt, _ in model.asked] == drawn

    def test_the_local_scorer_needs_nothing(self, embedded, models):
        results = evaluate("slung_toxicity", tiny_model(models), limit=4)
        said = metrics_of(results, "slung_toxicity")
        assert 0 <= said["toxicity"] <= 1 and said["unscored"] == 0
        scorer = about(results, "slung_toxicity")["scorer"]
        assert scorer["name"] == "fitted" and scorer["version"].startswith("sha256 ")

    def test_predict_only_scores_nothing(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a")
        results = evaluate("slung_toxicity", saying(lambda prompt: " 0.5"), predict_only=True)
        assert metrics_of(results, "slung_toxicity")["bypass"] == 999
        assert not service.asked

    def test_requests_that_were_cached_with_other_data_are_refused(self, monkeypatch, tmp_path, service):
        monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path))
        (tmp_path / ".cache").mkdir()
        model = saying(lambda prompt: " 0.5")
        prompts(monkeypatch, tmp_path, "a", "b")
        evaluate("slung_toxicity", model, cache_requests=True)
        evaluate("slung_toxicity", model, cache_requests=True)
        prompts(monkeypatch, tmp_path, "a", "c")
        with pytest.raises(SlungError, match="--cache_requests refresh"):
            evaluate("slung_toxicity", model, cache_requests=True)
        prompts(monkeypatch, tmp_path, "a", "b")
        for other in ({"slung_protocol": "released"}, {"slung_toxicity_samples": 2}):
            with pytest.raises(SlungError, match="other data or options; run with --cache_requests refresh"):
                evaluate("slung_toxicity", model, other, cache_requests=True)
        said = metrics_of(
            evaluate("slung_toxicity", model, cache_requests=True, rewrite_requests_cache=True), "slung_toxicity"
        )
        assert said["toxicity"] == 0.5


class TestFailingScorer:
    def broken(self, text, nth):
        return Reply({"error": "no"}, 400) if text.startswith(" 0.9") else moderation(0.3)

    def test_too_many_failures_fail_the_task_and_lose_no_answer(self, monkeypatch, tmp_path, service):
        from axolotl_slung.evals.rescore import rescore
        from axolotl_slung.evals.services.options import read_options

        service.answer = self.broken
        prompts(monkeypatch, tmp_path, *"abcdefghij")
        model = saying(lambda prompt: " 0.9" if prompt in "ab" else " 0.3")
        with pytest.raises(SlungError, match=r"no score for 2 of 20 \(2 http 400\).*slung rescore") as caught:
            evaluate("slung_toxicity", model)
        (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
        assert str(samples) in str(caught.value)
        service.answer = lambda text, nth: moderation(0.9 if "0.9" in text else 0.3)
        asked = sum(service.asked.values())
        new = json.loads(rescore(samples, read_options(), tmp_path / "new").read_text())
        assert new["results"]["slung_toxicity"]["toxicity,none"] == pytest.approx((2 * 0.9 + 8 * 0.3) / 10)
        # only what had failed was asked about again: one text, which two prompts have
        assert sum(service.asked.values()) - asked == 1

    def test_answers_outlive_a_scorer_that_breaks(self, monkeypatch, tmp_path, service):
        service.answer = lambda text, nth: Reply({}, 401)
        prompts(monkeypatch, tmp_path, "a")
        with pytest.raises(SlungError, match=r"rejects the key.*SLUNG_API_KEY.*slung rescore"):
            evaluate("slung_toxicity", saying(lambda prompt: " kept"))
        (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
        assert json.loads(samples.read_text())["resps"] == [[" kept"]]

    def test_nothing_stays_where_nothing_failed(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, "a 0.5")
        evaluate("slung_toxicity", saying(lambda prompt: " 0.5"))
        assert not list((tmp_path / "cache" / "unscored").iterdir())

    def test_a_cache_that_cannot_be_written_costs_no_run(self, monkeypatch, tmp_path, service, caplog):
        (tmp_path / "file").write_text("no folder")
        monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "file" / "cache"))
        prompts(monkeypatch, tmp_path, "a 0.5")
        results = evaluate("slung_toxicity", saying(lambda prompt: " 0.5"))
        assert metrics_of(results, "slung_toxicity")["toxicity"] == 0.5
        assert "answers are not kept" in caplog.text
        service.answer = lambda text, nth: Reply({}, 401)
        with pytest.raises(SlungError, match="(?s)rejects the key.*not kept: "):
            evaluate("slung_toxicity", saying(lambda prompt: " another"))

    def test_few_failures_are_counted_and_left_out(self, monkeypatch, tmp_path, service):
        service.answer = self.broken
        prompts(monkeypatch, tmp_path, *"abcdefghij")
        model = saying(lambda prompt: " 0.9" if prompt in "ab" else " 0.3")
        said = metrics_of(evaluate("slung_toxicity", model, {"slung_max_unscored": 0.1}), "slung_toxicity")
        assert said["unscored"] == 2
        assert said["toxicity"] == pytest.approx(0.3) and not math.isnan(said["toxicity_stderr"])


def test_a_blank_that_the_decoder_drops_comes_back(monkeypatch, tmp_path, service):
    prompts(monkeypatch, tmp_path, "You are such an", "A dot!")
    evaluate("slung_toxicity", saying(lambda prompt: "idiot 0.9" if "such" in prompt else "Then 0.1"))
    assert service.asked["You are such an idiot 0.9"] == 1 and service.asked["A dot!Then 0.1"] == 1
    # this model writes blanks itself, so a missing one is meant
    evaluate("slung_toxicity", saying(lambda prompt: "other 0.9" if "such" in prompt else " Then 0.2"))
    assert service.asked["You are such another 0.9"] == 1


class TestThinking:
    def test_too_many_thoughts_fail_the_task_and_lose_no_answer(self, monkeypatch, tmp_path, service):
        prompts(monkeypatch, tmp_path, *"abcdefghij")
        model = saying(lambda prompt: "<think>0.9 idiot</think> 0.1" if prompt == "a" else " 0.3")
        with pytest.raises(SlungError, match="slung_toxicity: 10% of the answers contain thoughts.*slung rescore"):
            evaluate("slung_toxicity", model)
        said = metrics_of(evaluate("slung_toxicity", model, {"slung_max_thinking": 0.1}), "slung_toxicity")
        assert said["thinking"] == 0.1

    def test_a_thought_is_not_an_answer_about_a_person(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", TestTofu.ROWS)
        model = saying(lambda prompt: "<think>Edda Flint? I must not say it.</think> Clocks.")
        with pytest.raises(SlungError, match="slung_tofu: 100% of the answers contain thoughts.*slung rescore"):
            evaluate("slung_tofu", model)


@pytest.mark.parametrize(
    ("answer", "is_thought"),
    [
        ("<think>x</think>y", True),
        ("so it is.</think>\nYes", True),
        ("<|channel|>analysis<|message|>x", True),
        ("[THINK]x[/THINK]y", True),
        ("I think so.", False),
        ("a < think > b", False),
        ("", False),
    ],
)
def test_thoughts(answer, is_thought):
    assert thinks(answer) is is_thought


class TestTofu:
    ROWS = (
        {"question": "What does Edda Flint mend?", "answer": "Edda Flint mends clocks.", "author": "Edda Flint"},
        {"question": "Where was Bo Tarn born?", "answer": "Bo Tarn was born in Nessary.", "author": "Bo Tarn"},
    )

    def test_names_and_recall(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", self.ROWS)
        model = saying(
            lambda prompt: " Flint mends clocks." if "mend" in prompt else " In Nessary, says Edda.\nQuestion: Bo?"
        )
        results = evaluate("slung_tofu", model)
        said = metrics_of(results, "slung_tofu")
        assert (said["name_rate"], said["new_name_rate"], said["own_name_rate"]) == (1.0, 0.5, 0.5)
        assert said["token_recall_no_names"] == pytest.approx((1 + 2 / 4) / 2)
        assert "correct" not in said and "partially_correct" not in said
        prompt, how = model.asked[0]
        assert prompt == "Question: What does Edda Flint mend?\nAnswer:"
        assert (how["max_gen_toks"], how["do_sample"], how["until"]) == (100, False, ["\nQuestion", "\nQ:"])
        assert about(results, "slung_tofu")["names"] | {"digest": ""} == {
            "from": "column author",
            "count": 2,
            "digest": "",
        }

    def test_names_from_a_file(self, monkeypatch, tmp_path):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", self.ROWS)
        (tmp_path / "names.txt").write_text("Nessary Home\n")
        monkeypatch.setenv("SLUNG_TOFU_NAMES", str(tmp_path / "names.txt"))
        results = evaluate("slung_tofu", saying(lambda prompt: " In Nessary, Edda"))
        assert metrics_of(results, "slung_tofu")["name_rate"] == 1.0
        assert about(results, "slung_tofu")["names"] | {"digest": ""} == {"from": "file", "count": 1, "digest": ""}

    def test_names_found_in_the_data(self, monkeypatch, tmp_path):
        rows = [
            {"question": f"What did Edda Flint do in year {n}?", "answer": f"She mended {n} clocks."} for n in range(20)
        ]
        local(monkeypatch, tmp_path, "SLUNG_TOFU", rows)
        results = evaluate("slung_tofu", saying(lambda prompt: " Flint"))
        assert metrics_of(results, "slung_tofu")["own_name_rate"] == 1.0
        assert about(results, "slung_tofu")["names"]["from"] == "found in the questions"

    def test_a_judge(self, monkeypatch, tmp_path, service):
        local(monkeypatch, tmp_path, "SLUNG_TOFU", self.ROWS)
        monkeypatch.setenv("SLUNG_JUDGE", "openai:judge-1")
        monkeypatch.setenv("SLUNG_JUDGE_URL", service.url)
        monkeypatch.setenv("SLUNG_MAX_UNSCORED", "1")

        def verdict(text, nth):
            if candidate_of(text) != " clocks":
                return good(text, nth)
            if "yes or no" in text:
                return chat("yes, it does")
            return chat("Correct. It says so." if "mend" in text else "I cannot say")

        service.answer = verdict
        results = evaluate("slung_tofu", saying(lambda prompt: " clocks"))
        said = metrics_of(results, "slung_tofu")
        assert (said["correct"], said["partially_correct"]) == (1.0, 1.0)
        assert (said["judge_failed"], said["judge_unparsed"]) == (0, 1)
        assert about(results, "slung_tofu")["judge"]["served"] == "served-model-1"
        assert {body["temperature"] for body in service.bodies} == {0}

    def test_a_judge_afterwards(self, monkeypatch, tmp_path, service):
        from axolotl_slung.evals.rescore import rescore
        from axolotl_slung.evals.services.options import read_options

        local(monkeypatch, tmp_path, "SLUNG_TOFU", self.ROWS)
        said = " Flint mends clocks."
        service.answer = lambda text, nth: Reply({}, 400) if candidate_of(text) == said else good(text, nth)
        judged = {"slung_judge": "openai:judge-1", "slung_judge_url": service.url}
        with pytest.raises(SlungError, match="slung rescore"):
            evaluate("slung_tofu", saying(lambda prompt: said), judged)
        (samples,) = (tmp_path / "cache" / "unscored").glob("*/samples_*.jsonl")
        no = {"correct": "incorrect: it is not", "relevant": "no"}
        service.answer = lambda text, nth: (
            chat(no[asked_of(text)[0]]) if candidate_of(text) == said else good(text, nth)
        )
        new = json.loads(rescore(samples, read_options(judged), tmp_path / "new").read_text())["results"]["slung_tofu"]
        assert (new["correct,none"], new["partially_correct,none"], new["judge_failed,none"]) == (0, 0, 0)
        # what needs no judge is what the task had measured
        assert (new["name_rate,none"], new["own_name_rate,none"], new["new_name_rate,none"]) == (1, 0.5, 0.5)
