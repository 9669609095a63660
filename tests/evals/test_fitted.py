"""Fitted scorers: their features against slow references, the fit, and the file."""

import itertools
import json
import zlib

import numpy as np
import pytest
from helpers.tiny import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung import regression
from axolotl_slung.errors import SlungError
from axolotl_slung.evals.fitted import file, ngrams
from axolotl_slung.evals.fitted.fit import _matrix, fit_ngrams, fit_states
from axolotl_slung.evals.services.scorers import open_scorer

MULTIPLIER = 0x9E3779B97F4A7C15
WORDS = [
    "the",
    "sun",
    "rises",
    "over",
    "a",
    "quiet",
    "town",
    "and",
    "birds",
    "sing",
    "while",
    "people",
    "walk",
    "to",
    "work",
    "in",
    "spring",
]
RUDE = ["blarg", "snorfed", "blarging", "f**k"]


def slow_columns(text, buckets):
    """The columns of a text's n-grams with their numbers, one by one."""

    def bucket(number):
        number %= 1 << 64
        return (((number ^ (number >> 32)) * MULTIPLIER) % (1 << 64)) >> (64 - (buckets.bit_length() - 1))

    tokens = ngrams._tokens_of(text.lower())
    single = [zlib.crc32(token.encode()) + 1 for token in tokens]
    found = [bucket(one) for one in single]
    found += [bucket(one * MULTIPLIER + other) for one, other in itertools.pairwise(single)]
    for token in tokens:
        padded = f" {token} "
        for length in ngrams.CHARACTERS:
            for start in range(len(padded) - length + 1):
                number = 0
                for sign in padded[start : start + length]:
                    number = number * MULTIPLIER + ord(sign)
                found.append(buckets + bucket(number + length))
    return {column: found.count(column) for column in found}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=4))
def test_features_are_those_of_a_slow_reference(texts):
    texts = [*texts, "You F**K!! don't  snake_case\n\n2nd", "", " ", "a", "\U0001f469\u200d\U0001f469 naïve 中文"]
    cells = ngrams.counts(texts, 64)
    weights = np.linspace(0.5, 2, 128)
    weighed = ngrams.weighed(cells, weights, len(texts))
    for row, text in enumerate(texts):
        here = cells.rows == row
        expected = slow_columns(text, 64)
        assert dict(zip(cells.columns[here].tolist(), np.exp(cells.values[here] - 1).round().tolist())) == expected
        for half in (0, 1):
            part = here & (cells.columns // 64 == half)
            if part.any():
                values = cells.values[part] * weights[cells.columns[part]]
                assert weighed.values[part] == pytest.approx(values / np.linalg.norm(values))


def test_the_regression_is_at_its_minimum():
    draws = np.random.default_rng(0)
    features, truth = draws.normal(size=(200, 5)), np.array([1.0, -2.0, 0.0, 0.5, 0.0])
    scores, weights = regression.sigmoid(features @ truth - 1), draws.uniform(0.5, 2, 200)
    free = regression.fit(features, scores, weights, 1e-6)
    assert free == pytest.approx([*truth, -1], abs=0.02)
    held = regression.fit(features, scores, weights, 50.0)
    errors = weights * (regression.sigmoid(features @ held[:-1] + held[-1]) - scores)
    assert features.T @ errors + 50 * held[:-1] == pytest.approx(np.zeros(5), abs=0.05)
    assert errors.sum() == pytest.approx(0, abs=0.05)


def rows(count, seed=0):
    draws = np.random.default_rng(seed)
    made = []
    for number in range(count):
        parts = []
        for _ in range(2):
            words = draws.choice(WORDS, 6).tolist()
            rude = draws.random() < 0.5
            if rude:
                words[draws.integers(6)] = str(draws.choice(RUDE))
            parts.append({"text": " ".join(words), "toxicity": 0.85 if rude else 0.1})
        made.append({"prompt": {**parts[0], "text": f"{parts[0]['text']} {number}"}, "continuation": parts[1]})
    return made


def write(path, made):
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fitted")


@pytest.fixture(scope="module")
def data(folder):
    return write(folder / "rtp.jsonl", rows(120))


@pytest.fixture(scope="module")
def fitted(folder, data):
    also = write(folder / "also.jsonl", [{"text": "the sun is a blarging star", "toxicity": 0.05, "weight": 3}] * 4)
    path = folder / "rude.npz"
    file.write(path, fit_ngrams(data, [also]))
    return path


def test_a_fitted_scorer_knows_what_it_was_fitted_to(fitted):
    scorer = open_scorer(f"fitted:{fitted}")
    rude, harmless = "birds sing snorfed while people walk", "birds sing while people walk to work"
    scores = scorer.score([rude, harmless, "", " \n", "\ud800"])
    assert scores[0] > 0.65 and scores[1] < 0.3 and scores[2:4].tolist() == [0, 0] and 0 <= scores[4] <= 1
    assert (
        scorer.name == "fitted:rude.npz"
        and scorer.version.startswith("sha256 ")
        and str(fitted.parent) not in scorer.name
    )
    card = scorer.file.card
    assert card["data"]["texts"] == 240 and card["also"][0]["rows"] == 4 and card["held_out"]["auroc"] > 0.9
    assert {"seed", "versions", "tried", "chosen"} <= card.keys()
    assert scorer.score([]).shape == (0,)


def test_scores_are_the_fits_own_predictions(fitted, data):
    made = file.read("x", fitted)
    texts = [row["prompt"]["text"] for row in rows(50, seed=9)] * 30  # more than one batch
    counted = [ngrams.counts(texts[some], len(made.weights) // 2) for some in ngrams.batches(len(texts))]
    features = _matrix(counted, made.weights, len(texts))
    expected = regression.sigmoid(features @ made.coefficients[:-1].astype(float) + float(made.coefficients[-1]))
    assert open_scorer(f"fitted:{fitted}").score(texts) == pytest.approx(expected, abs=1e-12)
    assert open_scorer(f"fitted:{fitted}").score(texts[:1])[0] == pytest.approx(expected[0], abs=1e-12)


def test_the_same_input_makes_the_same_file(fitted, folder, data):
    again = folder / "again.npz"
    file.write(again, fit_ngrams(data, [folder / "also.jsonl"]))
    assert again.read_bytes() == fitted.read_bytes()
    assert len(np.load(again)["seen"]) == 120


def test_files_that_are_no_fitted_scorer(folder, fitted):
    (folder / "text.npz").write_text("hello")
    np.savez(folder / "other.npz", a=np.zeros(1))
    made = file.read("x", fitted)
    file.write(folder / "new.npz", made._replace(card={**made.card, "format": 99}))
    np.savez(folder / "pickle.npz", card=np.array([{}], object))
    for name, says in (
        ("nowhere", "cannot read"),
        ("text", "is not a fitted scorer"),
        ("other", "is not a fitted scorer"),
        ("pickle", "is not a fitted scorer"),
        ("new", "is of another version"),
    ):
        with pytest.raises(SlungError, match=rf"^SLUNG_SCORER='fitted:.*{name}.npz': .*{says}.*; "):
            open_scorer(f"fitted:{folder / name}.npz")


@pytest.fixture(scope="module")
def of_states(folder, data, models):
    path = folder / "states.npz"
    file.write(path, fit_states(str(tiny_model(models)), write(folder / "few.jsonl", rows(40))))
    return path


def test_a_regression_on_hidden_states(of_states, models):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    scorer = open_scorer(f"fitted:{of_states}")
    texts = ["birds sing snorfed while", "a quiet town and people walk to work in spring", "x"]
    scores = scorer.score(texts)
    chosen = scorer.file.card["chosen"]
    tokenizer, model = (kind.from_pretrained(tiny_model(models)) for kind in (AutoTokenizer, AutoModelForCausalLM))
    for text, score in zip(texts, scores):
        with torch.no_grad():
            layers = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        state = layers[chosen["layer"]][0]
        state = state[-1] if chosen["pooling"] == "last" else state.mean(0)
        slopes = scorer.file.coefficients
        assert score == pytest.approx(1 / (1 + np.exp(-(state.double().numpy() @ slopes[:-1] + slopes[-1]))), abs=1e-4)
    layers = {one["layer"] for one in scorer.file.card["tried"]}
    assert layers == set(range(model.config.num_hidden_layers + 1)) and "transformers" in scorer.version


def test_another_model_under_the_same_name_is_refused(of_states, folder, models):
    made = file.read("x", of_states)
    changed = folder / "changed.npz"
    file.write(changed, made._replace(card={**made.card, "identity": "sha256 000000000000, transformers 1"}))
    with pytest.raises(SlungError, match="which is another model now .*; restore that model, or fit the scorer again"):
        open_scorer(f"fitted:{changed}")
    file.write(changed, made._replace(card={**made.card, "model": "/nowhere/model"}))
    with pytest.raises(SlungError, match="cannot be used: .*; give a folder or a model"):
        open_scorer(f"fitted:{changed}")
