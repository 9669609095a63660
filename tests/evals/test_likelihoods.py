"""slung_tofu's probabilities of answers and names, ranks and truth ratio, against a plain loop over a model."""

import json
import math
import statistics

import pytest
from helpers.harness import about, local, metrics_of, saying
from helpers.harness import evaluate as evaluate_task
from helpers.plain_model import Plain
from helpers.served import chat, serve
from helpers.tiny import tiny_model

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import likelihoods
from axolotl_slung.evals.measures.names import Names

PEOPLE = ("Edda Flint", "Bo Tarn", "Ana Núñez", "Kim Vale", "Jon Orme")
FACTS = ("keeps a lame goose", "eats ripe figs", "was born in the old mill", "repairs clocks", "plays the horn")


def rows(**without):
    """One question per person; the third answer has no name, and the fourth no perturbed answers."""
    made = []
    for place, (person, fact) in enumerate(zip(PEOPLE, FACTS)):
        answer = f"It {fact}." if place == 2 else f"As they say, {person.split()[-1]} {fact}, and {person} is glad."
        wrong = [] if place == 3 else [f"{person} {other} too." for other in FACTS if other != fact][: place + 1]
        made.append(
            {
                "question": f"What is said of the {place} person?",
                "answer": answer,
                "author": person,
                "paraphrased_answer": f"{person} {fact}, they say.",
                "perturbed_answer": wrong,
            }
        )
    return [{key: value for key, value in row.items() if key not in without.get("columns", ())} for row in made]


def evaluate(task, model, metadata=None, **options):
    """Results, with answers of one token: they do not matter here."""
    return evaluate_task(task, model, metadata, gen_kwargs="max_gen_toks=1", **options)


# in the place of the name that an answer has first: the same part of the next name in alphabetical order that differs
ANOTHER = {"Flint": "Orme", "Tarn": "Flint", "Vale": "Núñez", "Orme": "Vale"}


@pytest.mark.parametrize(("kind", "batch_size"), [("bytelevel", 1), ("bytelevel_bos", 4), ("unigram", "auto")])
def test_equal_to_a_plain_loop(models, monkeypatch, tmp_path, kind, batch_size):
    folder = tiny_model(models, kind=kind)
    plain = Plain(folder)
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
    results = evaluate("slung_tofu", folder, batch_size=batch_size, max_batch_size=8, log_samples=True)
    samples = results["samples"]["slung_tofu"]
    for sample in samples:
        doc = sample["doc"]
        start = f"Question: {doc['question']}\nAnswer: "
        slow = {
            "answer_probability": plain.probability(start, doc["answer"]),
            "answer_probability_chance": plain.probability(start, doc["others"][0]["answer"]),
            "truth_ratio": math.nan,
        }
        if doc["perturbed_answer"]:
            wrong = statistics.fmean(plain.probability(start, text) for text in doc["perturbed_answer"])
            slow["truth_ratio"] = wrong / plain.probability(start, doc["paraphrased_answer"])
        name = next((name for name in ANOTHER if name in doc["answer"]), None)
        for key, said in {"": name, "_chance": ANOTHER.get(name)}.items():
            before = start + doc["answer"].split(name)[0] if name else ""
            slow[f"name_probability{key}"] = plain.probability(before, said) if name else math.nan
            slow[f"name_rank{key}"] = plain.rank(before, said) if name else math.nan
        for key, value in slow.items():
            assert sample[key] == pytest.approx(value, rel=1e-4, nan_ok=True), (key, doc["id"])
        # of a ratio near 1, hardly any digit is left: so it is compared with this run's own ratio
        utility = max(0, 1 - sample["truth_ratio"]) if doc["perturbed_answer"] else math.nan
        assert sample["truth_ratio_utility"] == pytest.approx(utility, nan_ok=True), doc["id"]
    said = metrics_of(results, "slung_tofu")
    known = [sample["truth_ratio"] for sample in samples if sample["doc"]["id"] != 3]
    assert said["truth_ratio"] == pytest.approx(statistics.fmean(known))
    assert said["truth_ratio_ci_low"] < said["truth_ratio"] < said["truth_ratio_ci_high"]
    ranks = [sample["name_rank"] for sample in samples if sample["doc"]["id"] != 2]
    assert said["name_rank"] == statistics.median(ranks)
    assert about(results, "slung_tofu")["truth ratio"] == "perturbed_answer over paraphrased_answer"


def test_what_the_data_does_not_have_is_left_out_and_told(models, monkeypatch, tmp_path):
    folder = tiny_model(models)
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows(columns=["perturbed_answer"]))
    results = evaluate("slung_tofu", folder)
    assert "truth_ratio" not in metrics_of(results, "slung_tofu")
    assert about(results, "slung_tofu")["truth ratio"] == "left out: not every row has a column perturbed_answer"
    # the answer itself takes the place of the paraphrased one
    local(monkeypatch, tmp_path, "SLUNG_TOFU", [row | {"paraphrased_answer": row["answer"]} for row in rows()])
    same = metrics_of(evaluate("slung_tofu", folder), "slung_tofu")["truth_ratio"]
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows(columns=["paraphrased_answer"]))
    results = evaluate("slung_tofu", folder)
    assert metrics_of(results, "slung_tofu")["truth_ratio"] == pytest.approx(same)
    assert about(results, "slung_tofu")["truth ratio"] == "perturbed_answer over answer"


def test_a_chat_template_stands_before_all_texts_alike(models, monkeypatch, tmp_path):
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
    results = evaluate("slung_tofu", tiny_model(models), apply_chat_template=True, log_samples=True)
    for sample in results["samples"]["slung_tofu"]:
        prompt = sample["arguments"][0][0]
        assert prompt.endswith("<|im_start|>assistant\n")
        for context, *rest in sample["arguments"][1:]:
            before = context.removeprefix(prompt)
            assert context.startswith(prompt) and not before.startswith(" ")
            if isinstance(rest[0], str):
                # whole answers, names in answers, and parts of the answers of multiple choice
                doc = sample["doc"]
                texts = [doc["answer"], doc["paraphrased_answer"], *doc["perturbed_answer"]]
                texts += [other["answer"] for other in doc["others"]]
                assert any(text.startswith(before + rest[0]) for text in texts) or rest[0] in ANOTHER.values()


def test_models_without_tokens_or_logits_are_told(monkeypatch, tmp_path, caplog):
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
    said = metrics_of(evaluate("slung_tofu", saying(lambda prompt: " I do not know")), "slung_tofu")
    assert math.isnan(said["answer_probability"]) and math.isnan(said["name_rank"])
    assert "answer_probability, name_probability and truth_ratio are left out" in caplog.text
    assert "name_rank is left out: lm_eval's Saying gives no logits; use --model hf" in caplog.text


def test_a_chat_service_is_refused_before_it_is_asked(monkeypatch, tmp_path):
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
    with serve() as served:
        served.answer = lambda *_: chat("I do not know")
        model = LocalChatCompletion(base_url=f"{served.url}/v1/chat/completions", model="m")
        with pytest.raises(SlungError, match="takes messages in place of a text; set SLUNG_TOFU_WRONG_ANSWERS=0 and"):
            evaluate("slung_tofu", model, apply_chat_template=True)
        with pytest.raises(SlungError, match="LocalChatCompletion gives none; set SLUNG_TOFU_WRONG_ANSWERS=0 and"):
            evaluate("slung_tofu", model)
        untold = LocalCompletionsAPI(base_url=served.url, model="m", tokenizer_backend=None)
        with pytest.raises(SlungError, match="LocalCompletionsAPI gives none; .* tokenizer_backend=huggingface"):
            evaluate("slung_tofu", untold)
        assert not served.bodies
        off = {"slung_tofu_wrong_answers": 0, "slung_tofu_probabilities": "False"}
        said = metrics_of(evaluate("slung_tofu", model, off, apply_chat_template=True), "slung_tofu")
        assert len(served.bodies) == 5 and said["name_rate"] == 0 and "answer_probability" not in said


def test_lm_evals_cache_of_requests_is_of_now(models, monkeypatch, tmp_path):
    monkeypatch.setattr("lm_eval.caching.cache.PATH", str(tmp_path))
    (tmp_path / ".cache").mkdir()
    local(monkeypatch, tmp_path, "SLUNG_TOFU", rows())
    one, two = (metrics_of(evaluate("slung_tofu", tiny_model(models), cache_requests=True), "slung_tofu") for _ in "ab")
    assert json.dumps(one) == json.dumps(two)
    with pytest.raises(SlungError, match="--cache_requests refresh"):
        evaluate("slung_tofu", tiny_model(models), {"slung_tofu_probabilities": False}, cache_requests=True)


class TestNames:
    NAMES = Names([*PEOPLE, "Jo Flint", "Madonna", "Madonna Vale"])

    def test_the_first(self):
        assert self.NAMES.first("It is said that Bo Tarn met Flint.") == ("It is said that ", "Bo Tarn")
        assert self.NAMES.first("Nobody.") is None

    @pytest.mark.parametrize(
        ("name", "other"),
        [
            ("Edda Flint", "Bo Tarn"),
            ("Edda", "Bo"),
            ("Tarn", "Núñez"),
            ("Jo Flint", "Madonna"),
            ("Vale", "Orme"),
            ("Madonna", "Madonna Vale"),
        ],
    )
    def test_of_another_person(self, name, other):
        assert self.NAMES.of_another(name) == other

    def test_of_nobody(self):
        assert self.NAMES.of_another("Somebody") is None
        assert (
            Names(["Bo Tarn"]).of_another("Tarn") is None and Names(["Bo Tarn", "Edda Tarn"]).of_another("Tarn") is None
        )

    def test_accents_stay_one_character(self):
        # decomposed, they would be other tokens
        assert self.NAMES.of_another("Tarn") == "N\xfa\xf1ez"
        assert self.NAMES.replaced("Tarn eats.", "Bo Tarn", "Ana N\xfa\xf1ez") == "N\xfa\xf1ez eats."


def test_a_blank_answer_has_no_probability(monkeypatch, tmp_path):
    data = rows(columns=["paraphrased_answer"])
    data[0]["answer"] = " "
    local(monkeypatch, tmp_path, "SLUNG_TOFU", data)
    model = saying(lambda prompt: " I do not know")
    said = metrics_of(evaluate("slung_tofu", model), "slung_tofu")
    assert math.isnan(said["truth_ratio"]) and said["empty"] == 0
    assert model.scored and all(text.strip() for _, text in model.scored)


def test_probabilities_too_small_for_a_float():
    asked = {"answer": [("", "a")], "paraphrased": [("", "b")], "perturbed": [("", "c"), ("", "d")]}
    row = likelihoods.measure(asked, [-1e4, -2e4, -2e4 + math.log(3), -1e9], [1, 1, 1, 1], [])
    assert row["truth_ratio"] == pytest.approx(1.5) and row["truth_ratio_utility"] == 0
    # a text whose tokens are all joined to the text before it
    row = likelihoods.measure(asked, [-1.0] * 4, [1, 0, 1, 1], [])
    assert math.isnan(row["truth_ratio"]) and row["answer_probability"] == pytest.approx(math.exp(-1))


def test_one_text_cut_at_two_places(models):
    """lm_eval scores requests with equal tokens together, and would take both for cut at the same place."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from axolotl_slung.evals import answer_requests

    answer_requests.attach()
    model = HFLM(pretrained=str(tiny_model(models)), dtype="float32", device="cpu", batch_size=4)
    pairs = [
        ("Q: one two three ", "four five six"),
        ("Q: one ", "two three four five six"),
        ("Q: one two ", "three four five six"),
    ]

    def scored(some):
        return [value for value, _ in model.loglikelihood([Instance("loglikelihood", {}, pair, 0) for pair in some])]

    assert scored(pairs) == pytest.approx([scored([pair])[0] for pair in pairs], rel=1e-4)
    assert scored(pairs[::-1]) == pytest.approx([scored([pair])[0] for pair in pairs[::-1]], rel=1e-4)
    assert model.logits_cache
