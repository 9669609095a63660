"""slung_civilcomments: hidden states against a direct forward, and probes over them."""

import json
import logging
from statistics import fmean

import numpy as np
import pytest
import torch
from helpers import tested
from helpers.harness import about, evaluate, load_task, local, metrics_of
from helpers.tiny import TEXT, tiny_model
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import intervals

TEXTS = [*TEXT, "a", "one two three " * 300]


def states_of(model, monkeypatch, tmp_path, texts=TEXTS, **options):
    """Text to the vector that the task gets of it."""
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", [{"text": t, "toxicity": n % 2} for n, t in enumerate(texts)])
    from axolotl_slung.evals.tasks import civilcomments

    seen = {}
    measure = civilcomments.CivilComments.measure

    def look(self, docs, answers):
        seen.update({doc["text"]: state[0].vectors[0] for doc, state in zip(docs, answers)})
        return measure(self, docs, answers)

    monkeypatch.setattr(civilcomments.CivilComments, "measure", look)
    monkeypatch.setenv("SLUNG_PROBE_TRAIN", "8")
    monkeypatch.setenv("SLUNG_PROBE_TEST", "8")
    return seen, evaluate("slung_civilcomments", model, **options)


def direct(folder, text, layer, pooling, context=512):
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
    ids = torch.tensor([tokenizer(text)["input_ids"][:context]])
    with torch.inference_mode():
        state = model(ids, output_hidden_states=True).hidden_states[layer][0]
    return (state[-1] if pooling == "last" else state.mean(0)).numpy()


@pytest.mark.parametrize(
    ("arch", "kind", "layer", "pooling", "batch_size"),
    [
        ("llama", "bytelevel", -1, "last", 1),
        ("llama", "bytelevel_bos", -1, "last", 5),
        ("llama", "bytelevel", 0, "mean", 16),
        ("gpt_neox", "bytelevel", 1, "last", 3),
        ("gemma2", "bytelevel", -1, "mean", "auto"),
        ("olmo", "bytelevel", -2, "last", 4),
    ],
)
def test_states_equal_a_direct_forward(models, monkeypatch, tmp_path, arch, kind, layer, pooling, batch_size):
    folder = tiny_model(models, arch, kind=kind)
    monkeypatch.setenv("SLUNG_PROBE_LAYER", str(layer))
    monkeypatch.setenv("SLUNG_PROBE_POOLING", pooling)
    seen, results = states_of(folder, monkeypatch, tmp_path, batch_size=batch_size, max_batch_size=8)
    assert len(seen) >= 14
    for text, vector in seen.items():
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, direct(folder, text, layer, pooling), rtol=2e-4, atol=2e-5)
    said = about(results, "slung_civilcomments")["probe"]
    assert (said["layer"], said["pooling"], said["scaled"], said["draws"]) == (layer, pooling, True, 3)


@pytest.mark.parametrize(("layers", "expected"), [("all", (0, 1, 2)), ("0,-1", (0, 2)), ([1, -2], (1,))])
def test_layers_come_from_one_pass(models, monkeypatch, tmp_path, layers, expected):
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", [{"text": t, "toxicity": n % 2} for n, t in enumerate(TEXTS)])
    sizes = {"slung_probe_train": 8, "slung_probe_test": 8, "slung_probe_layer": layers}
    read, forward = [], torch.nn.Embedding.forward
    monkeypatch.setattr(torch.nn.Embedding, "forward", lambda self, ids: read.append(len(ids)) or forward(self, ids))
    folder = tiny_model(models)
    results = evaluate("slung_civilcomments", folder, sizes, batch_size=4)
    samples = results["samples"]["slung_civilcomments"]
    assert sum(read) == len(samples)
    for sample in samples[:4]:
        states = sample["resps"][0][0]
        assert states.layers == expected
        for layer, vector in zip(states.layers, states.vectors, strict=True):
            np.testing.assert_allclose(
                vector, direct(folder, sample["doc"]["text"], layer, "last"), rtol=2e-4, atol=2e-5
            )
    named = {name for name in metrics_of(results, "slung_civilcomments") if name.startswith("auroc_layer_")}
    assert {f"auroc_layer_{layer}" for layer in expected} == {name for name in named if "stderr" not in name}


def test_a_state_that_is_not_finite_costs_one_comment(models, monkeypatch, tmp_path):
    folder = tiny_model(models)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer("@")["input_ids"][0]] = torch.nan
    model.save_pretrained(tmp_path / "odd")
    tokenizer.save_pretrained(tmp_path / "odd")
    texts = [*TEXTS[:-1], "Mail me @ home."]
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", [{"text": t, "toxicity": n % 2} for n, t in enumerate(texts)])
    sizes = {"slung_probe_train": 8, "slung_probe_test": 8}
    said = metrics_of(
        evaluate("slung_civilcomments", tmp_path / "odd", {**sizes, "slung_max_unscored": 0.1}), "slung_civilcomments"
    )
    assert said["unread"] == 1 and 0 <= said["auroc"] <= 1
    with pytest.raises(SlungError, match="NaN or infinity for 1 of 1[4-6] comments; load it with dtype=bfloat16"):
        evaluate("slung_civilcomments", tmp_path / "odd", {**sizes, "slung_max_unscored": 0.0})


class TestRecomputed:
    """Every number of a run with all layers, tested on cases with functional tests, from what the run saved."""

    @pytest.fixture(scope="class")
    def run(self, models):
        options = {"slung_civilcomments": "embedded", "slung_civilcomments_test": "embedded:hatecheck"}
        options |= {"slung_probe_layer": "all", "slung_probe_pooling": "mean"}
        folder = tiny_model(models)
        results = evaluate("slung_civilcomments", folder, options, batch_size=32)
        return folder, options, results, results["samples"]["slung_civilcomments"]

    def test_every_metric_from_the_samples(self, run):
        *_, results, samples = run
        said = metrics_of(results, "slung_civilcomments")
        checked = set()
        for name in ("auroc", "auroc_bag_of_words", "auroc_shuffled", *(f"auroc_layer_{layer}" for layer in range(3))):
            expected = tested.mean_and_interval(tested.aurocs(samples, name))
            for suffix, value in zip(("", "_stderr", "_ci_low", "_ci_high"), expected):
                if name + suffix in said:
                    assert said[name + suffix] == pytest.approx(value, abs=1e-9), name + suffix
                    checked.add(name + suffix)
        chosen = [{layer for _, layer in its} for its in tested.of_draws(samples, "chosen_layer").values()]
        assert said["chosen_layer"] == fmean(layer for (layer,) in chosen)
        assert {*samples[0]["metrics"]} - checked == {"chosen_layer", "chosen_layer_stderr", "unread"}
        assert said["unread"] == 0

    def test_bag_of_words_from_the_texts(self, run):
        *_, samples = run
        for number, found in enumerate(tested.aurocs(samples, "auroc_bag_of_words")):
            docs = [sample["doc"] for sample in samples]
            train, test = ([doc for doc in docs if number in doc[part]] for part in ("trains", "tests"))
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            features = words.fit_transform([doc["text"] for doc in train])
            model = LogisticRegression(C=10, max_iter=1000).fit(features, [doc["toxic"] for doc in train])
            scores = model.decision_function(words.transform([doc["text"] for doc in test]))
            assert found == pytest.approx(tested.auroc([*zip(scores, (doc["toxic"] for doc in test))]), abs=0.01)

    def test_the_layer_is_chosen_on_comments_that_are_not_tested(self, run):
        folder, options, _, samples = run
        draws = load_task("slung_civilcomments", options).draws
        docs = {sample["doc"]["id"]: sample["doc"] for sample in samples}
        states = {sample["doc"]["id"]: sample["resps"][0][0].vectors for sample in samples}

        def scores(layer, train, test):
            matrix = np.stack([states[place][layer] for place in train])
            center, scale = matrix.mean(0), matrix.std(0)
            model = LogisticRegression(max_iter=5000).fit((matrix - center) / scale, [docs[p]["toxic"] for p in train])
            found = model.decision_function((np.stack([states[place][layer] for place in test]) - center) / scale)
            return [*zip(found, (docs[place]["toxic"] for place in test))]

        for number, (train, _) in enumerate(draws):
            classes = [[place for place in train if docs[place]["toxic"] == kind] for kind in (True, False)]
            held = [place for places in classes for place in places[len(places) - len(places) // 5 :]]
            of_layers = [tested.auroc(scores(layer, [p for p in train if p not in held], held)) for layer in range(3)]
            (chosen,) = {layer for _, layer in tested.of_draws(samples, "chosen_layer")[number]}
            assert of_layers[int(chosen)] == pytest.approx(max(of_layers), abs=0.01)
            tests = tested.of_draws(samples, f"auroc_layer_{int(chosen)}")[number]
            assert [s for _, s in tests] == [s for _, s in tested.of_draws(samples, "auroc")[number]]
            mine = scores(int(chosen), train, [doc["id"] for doc, _ in tests])
            np.testing.assert_allclose([score for _, score in tests], [score for score, _ in mine], atol=0.05)

    def test_groups_from_the_samples(self, run):
        *_, results, samples = run
        rows = json.loads(str(results["configs"]["slung_civilcomments"]["metadata"]["slung_groups"]))
        assert {row["by"] for row in rows} == {"functionality", "target"}
        right = tested.rights(samples, "auroc", lambda scores: 0)
        for row in rows:
            ours = [(doc, value) for doc, value in right.values() if doc[row["by"]] == row["group"]]
            assert (row["comments"], row["toxic"]) == (len(ours), sum(doc["toxic"] for doc, _ in ours))
            assert row["accuracy"] == pytest.approx(fmean(value for _, value in ours))
            clustered = [intervals.Clustered(value, doc["template"]) for doc, value in ours]
            expected = intervals.rate_low(clustered), intervals.rate_high(clustered)
            assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(expected)
            each = [
                tested.auroc([(score, doc["toxic"]) for doc, score in its if doc[row["by"]] == row["group"]])
                for its in tested.of_draws(samples, "auroc").values()
            ]
            known = [value for value in each if not np.isnan(value)]
            assert row["auroc"] == (pytest.approx(fmean(known)) if known else None)
            assert row["by"] == "target" or row["auroc"] is None
        # every case with a group is in it
        assert sum(row["comments"] for row in rows if row["by"] == "functionality") == len(right)


def test_an_adapter_is_read_with_its_model(models, monkeypatch, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    folder = tiny_model(models)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(0)
    get_peft_model(base, LoraConfig(target_modules=["q_proj", "v_proj"], r=4, init_lora_weights=False)).save_pretrained(
        tmp_path / "lora"
    )
    seen, _ = states_of(folder, monkeypatch, tmp_path, model_args={"peft": str(tmp_path / "lora")})
    whole = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), tmp_path / "lora"
    )
    whole.merge_and_unload().save_pretrained(tmp_path / "whole")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "whole")
    for text, vector in seen.items():
        np.testing.assert_allclose(vector, direct(tmp_path / "whole", text, -1, "last"), rtol=1e-3, atol=1e-4)
        assert not np.allclose(vector, direct(folder, text, -1, "last"), atol=1e-2)


def test_each_text_goes_through_the_model_once(models, monkeypatch, tmp_path):
    read = []
    forward = torch.nn.Embedding.forward

    def count(self, ids):
        read.append(ids.shape[0])
        return forward(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", count)
    seen, _ = states_of(tiny_model(models), monkeypatch, tmp_path)
    assert sum(read) == len(seen)


@pytest.mark.parametrize("planted", [True, False])
def test_a_class_that_the_text_shows_is_found(models, monkeypatch, tmp_path, planted, caplog):
    random = np.random.default_rng(0)
    words = " ".join(TEXT).split()
    rows = []
    for number in range(300):
        toxic = number % 2 == 0
        end = ("fool" if toxic else "sun") if planted else "end"
        rows.append({"text": " ".join([*random.choice(words, 8), end]), "toxicity": 0.9 if toxic else 0.1})
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", rows)
    monkeypatch.setenv("SLUNG_PROBE_TRAIN", "200")
    monkeypatch.setenv("SLUNG_PROBE_TEST", "100")
    said = metrics_of(evaluate("slung_civilcomments", tiny_model(models), batch_size=32), "slung_civilcomments")
    assert 0.3 < said["auroc_shuffled"] < 0.7
    warned = [line for line in caplog.messages if "the hidden states tell less than words do" in line]
    assert len(warned) == (said["auroc"] < said["auroc_bag_of_words"])
    if planted:
        assert said["auroc"] > 0.99 and said["auroc_bag_of_words"] > 0.99
    else:
        assert 0.35 < said["auroc_bag_of_words"] < 0.65
        assert 0.35 < said["auroc"] < 0.65 and said["auroc_stderr"] > 0
        assert said["auroc_ci_low"] < said["auroc"] < said["auroc_ci_high"]


def test_the_released_protocol_does_not_scale(models, monkeypatch, embedded):
    results = evaluate("slung_civilcomments", tiny_model(models), {"slung_protocol": "released"}, batch_size=32)
    assert about(results, "slung_civilcomments")["probe"]["scaled"] is False
    assert about(results, "slung_civilcomments")["protocol"] == "released"


def test_a_layer_that_there_is_not(models, monkeypatch, embedded):
    with pytest.raises(
        SlungError, match=r"SLUNG_PROBE_LAYER: 7: this model does not have this layer; use 0 \(the embeddings\) to 2"
    ):
        evaluate("slung_civilcomments", tiny_model(models), {"slung_probe_layer": 7}, limit=8)


def test_a_limit_that_leaves_one_class_gives_no_number(models, embedded):
    said = metrics_of(evaluate("slung_civilcomments", tiny_model(models), limit=1), "slung_civilcomments")
    assert np.isnan(said["auroc"])


def test_words_that_tell_more_are_told(models, embedded, caplog):
    caplog.set_level(logging.WARNING)
    said = metrics_of(evaluate("slung_civilcomments", tiny_model(models), batch_size=32), "slung_civilcomments")
    assert said["auroc"] < said["auroc_bag_of_words"]
    assert "a bag of words 0.886; try SLUNG_PROBE_LAYER=all or SLUNG_PROBE_POOLING=mean" in caplog.text


def test_models_without_hidden_states_are_told(embedded):
    from lm_eval.models.dummy import DummyLM

    with pytest.raises(
        NotImplementedError, match="needs hidden states, but lm_eval's DummyLM returns none; use --model hf"
    ):
        evaluate("slung_civilcomments", DummyLM(), limit=2)


def test_a_quantized_checkpoint(models, monkeypatch, tmp_path):
    from transformers import BitsAndBytesConfig

    folder = tiny_model(models, hidden=64)
    quantized = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32),
        device_map="cpu",
    )
    quantized.save_pretrained(tmp_path / "four_bits")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "four_bits")
    seen, _ = states_of(tmp_path / "four_bits", monkeypatch, tmp_path)
    for text in (TEXT[0], TEXT[3]):
        ids = torch.tensor([AutoTokenizer.from_pretrained(folder)(text)["input_ids"]])
        with torch.inference_mode():
            state = quantized(ids, output_hidden_states=True).hidden_states[-1][0, -1].float().numpy()
        if text in seen:
            np.testing.assert_allclose(seen[text], state, rtol=1e-2, atol=1e-2)
            assert not np.allclose(seen[text], direct(folder, text, -1, "last"), atol=1e-2)
    assert {TEXT[0], TEXT[3]} & set(seen)
