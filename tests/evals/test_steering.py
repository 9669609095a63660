"""Completions with steered hidden states: against a plain loop, and on a model whose direction is known."""

import json

import numpy as np
import pytest
import torch
from helpers.harness import about, evaluate, load_task, local, metrics_of, saying
from helpers.plain_model import Plain
from helpers.tiny import TEXT, tiny_model
from lm_eval.utils import sanitize_list
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.measures import probe
from axolotl_slung.evals.measures.steered import named, strengths
from axolotl_slung.evals.rescore import rescore
from axolotl_slung.evals.services.options import read_options

PROMPTS = [
    "The old harbour",
    "A river carries whatever falls into it, and it does not",
    "Water",
    "She wrote three words",
]
SIZES = {"slung_probe_train": 8, "slung_probe_test": 4, "slung_probe_draws": 1}
SHORT = "max_gen_toks=8"
TASK = "slung_toxicity"


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", [{"prompt": prompt} for prompt in PROMPTS])
    comments = [{"text": text, "toxicity": place % 2} for place, text in enumerate(TEXT[:12])]
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", comments)


def said(results):
    """Per prompt: the unsteered completion, and those at each strength."""
    samples = sorted(results["samples"][TASK], key=lambda sample: sample["doc_id"])
    return [[sample["resps"][0][0], *(its[0].text for its in sample["resps"][1:])] for sample in samples]


def plain_direction(plain, layer, pooling, scaled=True):
    """The direction of the first draw's training comments, from one forward pass per comment."""
    task = load_task("slung_civilcomments", SIZES)
    docs = [task.docs[place] for place in task.draws[0].train]
    states = []
    with torch.inference_mode():
        for doc in docs:
            ids = torch.tensor([plain.tokenizer(doc["text"])["input_ids"]])
            its = plain.model(ids, output_hidden_states=True).hidden_states[layer][0]
            states.append((its[-1] if pooling == "last" else its.mean(0)).numpy())
    states, toxic = np.stack(states), [doc["toxic"] for doc in docs]
    scaler = StandardScaler().fit(states)
    regression = LogisticRegression(class_weight="balanced", max_iter=5000)
    slopes = regression.fit(scaler.transform(states) if scaled else states, toxic).coef_[0]
    slopes = slopes / scaler.scale_ if scaled else slopes
    unit = slopes / np.linalg.norm(slopes)
    return unit * (states @ unit).std()


@pytest.mark.parametrize(
    ("arch", "layer", "pooling", "batch_size"),
    [
        ("llama", 1, "mean", 1),
        ("llama", -1, "last", 3),
        ("gpt_neox", 2, "last", 2),
        ("gemma2", 0, "last", 4),
        ("olmo", 1, "last", "auto"),
    ],
)
def test_completions_are_those_of_a_plain_loop(models, arch, layer, pooling, batch_size):
    """One token after the other, without padding, batches or a cache, with a hook on what a layer gives."""
    folder = tiny_model(models, arch)
    options = {"slung_steer": "-3,0.5", "slung_probe_layer": layer, "slung_probe_pooling": pooling, **SIZES}
    found = said(evaluate(TASK, folder, options, batch_size=batch_size, max_batch_size=4, gen_kwargs=SHORT))
    plain = Plain(folder)
    vector = torch.from_numpy(plain_direction(plain, layer, pooling))
    expected = []
    for prompt in PROMPTS:
        expected.append([plain.greedy(prompt, 8)])
        for strength in (-3, 0.5):
            with plain.moved(layer, strength * vector):
                expected[-1].append(plain.greedy(prompt, 8))
    assert found == expected
    assert sum(its[0] != its[1] for its in expected) >= 2


def test_strength_zero_batches_and_padding_change_nothing(models):
    folder = tiny_model(models)
    options = {"slung_steer": [0, 2], "slung_probe_layer": 1, **SIZES}
    unsteered = [sample["resps"][0][0] for sample in evaluate(TASK, folder, batch_size=4)["samples"][TASK]]
    by_size = [said(evaluate(TASK, folder, options, batch_size=size)) for size in (1, 4)]
    assert by_size[0] == by_size[1]
    assert [its[0] for its in by_size[0]] == [its[1] for its in by_size[0]] == unsteered
    # what is sampled too
    options |= {"slung_toxicity_samples": 3}
    results = evaluate(TASK, folder, options)
    for sample in results["samples"][TASK]:
        plain, zero, moved = sample["resps"]
        assert plain == [its.text for its in zero] != [its.text for its in moved]
    found = metrics_of(results, TASK)
    assert found["expected_maximum_steered_0"] == found["expected_maximum"]
    assert found["toxicity_change_steered_0"] == 0


WORDS = {True: (" liar", " thief"), False: (" stone", " mill")}


@pytest.fixture(scope="module")
def planted(models):
    """A model that goes on with toxic words from one side of a plane, and with harmless ones from the other."""
    folder = models / "planted"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model(models))
    model = AutoModelForCausalLM.from_pretrained(tiny_model(models), dtype=torch.float32)
    with torch.no_grad():
        for block in model.model.layers:  # what a block adds is nothing
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        embeddings, head = model.model.embed_tokens.weight, model.lm_head.weight
        head.zero_()
        alike = embeddings[0].clone()
        embeddings[:, 0] = 0
        for toxic, words in WORDS.items():
            for word in words:
                (token,) = tokenizer(word)["input_ids"]
                embeddings[token] = alike
                embeddings[token, 0] = head[token, 0] = 1 if toxic else -1
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [1, -1, "all"])
def test_toxicity_goes_up_and_down_with_the_sign(planted, monkeypatch, tmp_path, layer):
    comments = [
        {"text": f"{text}{word}", "toxicity": float(toxic)}
        for toxic, words in WORDS.items()
        for word in words
        for text in TEXT[:5]
    ]
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", comments)
    prompts = [f"{text}{word}" for words in WORDS.values() for word in words for text in ("He is", "This")]
    local(monkeypatch, tmp_path, "SLUNG_TOXICITY_PROMPTS", [{"prompt": prompt} for prompt in prompts])
    options = {"slung_steer": "-4,4", "slung_probe_layer": layer, "slung_probe_train": 16, "slung_probe_test": 4}
    results = evaluate(TASK, planted, options, batch_size=3)
    for plain, down, up in said(results):
        assert any(word in plain for words in WORDS.values() for word in words)
        assert not any(word in down for word in WORDS[True]) and any(word in down for word in WORDS[False])
        assert not any(word in up for word in WORDS[False]) and any(word in up for word in WORDS[True])
    found = metrics_of(results, TASK)
    assert found["toxicity_steered_-4"] < found["toxicity"] < found["toxicity_steered_4"]
    for strength in (-4, 4):
        change = found[f"toxicity_steered_{strength}"] - found["toxicity"]
        assert found[f"toxicity_change_steered_{strength}"] == pytest.approx(change)
        assert found[f"toxicity_change_steered_{strength}_stderr"] > 0
    assert found["toxicity_change_steered_-4_ci_high"] < 0 < found["toxicity_change_steered_4_ci_low"]
    assert found["steered_layer"] == {1: 1, -1: 2, "all": 0}[layer]


def test_the_direction_is_one_deviation_long_and_raises_the_log_odds():
    random = np.random.default_rng(0)
    toxic = [place % 2 == 0 for place in range(400)]
    states = (random.normal(size=(400, 8)) * 10.0 ** np.arange(-4, 4) + np.outer(toxic, np.ones(8))).astype(np.float32)
    for scaled in (True, False):
        vector = probe.direction(states, toxic, scaled).astype(np.float64)
        length = np.linalg.norm(vector)
        assert length == pytest.approx((states @ (vector / length)).std(), rel=1e-4)
        before, after = (probe.scores(states, toxic, states + by * vector, scaled) for by in (0, 1))
        assert (after > before).all() and np.ptp(after - before) < 1e-3 * (after - before).mean()
    assert not probe.direction(np.ones((4, 3), np.float32), [True, False, True, False]).any()


def test_the_results_say_how_and_the_samples_hold_no_comments(models):
    results = evaluate(TASK, tiny_model(models), {"slung_steer": 1, "slung_probe_layer": [0, 1], **SIZES})
    steer = about(results, TASK)["steer"]
    assert (steer["strengths"], steer["layer"], steer["pooling"]) == ([1.0], [0, 1], "last")
    assert steer["comments"]["rows"] == 8 and len(steer["comments"]["digest"]) == 16
    written = json.dumps(results["samples"], default=str)
    assert "<steered>" in written and not any(text in written for text in TEXT[:12])


def test_completions_of_several_scorers_are_scored_again_alike(models, tmp_path):
    options = {"slung_steer": "-2,2", "slung_scorer": "fitted,profanity", "slung_probe_layer": 1, **SIZES}
    results = evaluate(TASK, tiny_model(models), options)
    found = metrics_of(results, TASK)
    assert {"toxicity_by_profanity_steered_2", "disagreement_with_profanity_steered_-2"} <= found.keys()
    stamp = "2026-01-01T00-00-00"
    samples = tmp_path / f"samples_{TASK}_{stamp}.jsonl"
    # as lm_eval saves them
    rows = [{**row, "resps": sanitize_list(row["resps"])} for row in results["samples"][TASK]]
    samples.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
    kept = {name: results[name] for name in ("results", "configs", "n-samples")}
    (tmp_path / f"results_{stamp}.json").write_text(json.dumps(kept, default=str))
    again = json.loads(
        rescore(samples, read_options({"slung_scorer": "fitted,profanity"}, {}), tmp_path / "new").read_text()
    )
    again = metrics_of(again, TASK)
    assert {name: again[name] for name in again} == pytest.approx({name: found[name] for name in again}, nan_ok=True)
    assert {name for name in found if "steered" in name and not name.endswith("_stderr")} <= again.keys()
    samples.write_text("".join(json.dumps({**row, "resps": row["resps"][:2]}, default=str) + "\n" for row in rows))
    with pytest.raises(SlungError, match="lack completions at a strength"):
        rescore(samples, read_options({}, {}), tmp_path / "new")


def test_answers_are_kept_and_scored_if_the_scorer_fails(models, monkeypatch, tmp_path):
    from axolotl_slung.evals.tasks import toxicity

    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    options = {"slung_steer": "-2,2", "slung_probe_layer": 1, **SIZES}
    expected = metrics_of(evaluate(TASK, tiny_model(models), options), TASK)
    monkeypatch.setattr(toxicity.completions, "measure", lambda *_: (_ for _ in ()).throw(SlungError("no score")))
    with pytest.raises(SlungError, match="The model's answers are kept"):
        evaluate(TASK, tiny_model(models), options)
    monkeypatch.undo()
    (samples,) = (tmp_path / "cache").rglob("samples_*.jsonl")
    found = metrics_of(json.loads(rescore(samples, read_options({}, {}), tmp_path / "new").read_text()), TASK)
    assert found["toxicity_steered_2"] == expected["toxicity_steered_2"]
    assert found["steered_layer"] == 1


def test_lm_evals_cache_gets_no_steered_completion(models, tmp_path):
    folder, options = tiny_model(models), {"slung_steer": "3", "slung_probe_layer": 1, **SIZES}
    cached = {"use_cache": str(tmp_path / "cache")}
    first = said(evaluate(TASK, folder, options, **cached))
    plain = evaluate(TASK, folder, **cached)["samples"][TASK]
    assert [sample["resps"][0][0] for sample in plain] == [its[0] for its in first] != [its[1] for its in first]
    assert said(evaluate(TASK, folder, options, **cached)) == first


class TestRefusals:
    def test_a_model_without_hidden_states_says_so_before_it_generates(self):
        model = saying(lambda prompt: " fine")
        with pytest.raises(SlungError, match="SLUNG_STEER: lm_eval's Saying does not let .*use --model hf, or unset"):
            evaluate(TASK, model, {"slung_steer": "1", **SIZES})
        assert not model.asked

    @pytest.mark.parametrize("wrong", ["", "strong", "1,", "1,1", "1,1.0", "nan", "inf", True, [True], [], [[1]], None])
    def test_strengths(self, wrong):
        if wrong in ("", None):
            assert read_options({}, {"SLUNG_STEER": ""}).steer is None
            return
        with pytest.raises(SlungError, match="slung_steer: .*this value cannot be used .Different strengths"):
            read_options({"slung_steer": wrong}, {})

    def test_strengths_are_read_as_numbers(self):
        assert read_options({}, {"SLUNG_STEER": "-4, 0.5,8"}).steer == (-4, 0.5, 8)
        assert read_options({"slung_steer": -2}, {}).steer == (-2,)
        assert f"{read_options({'slung_steer': '-0'}, {}).steer[0]:g}" == "0"

    def test_a_layer_that_the_model_does_not_have(self, models):
        with pytest.raises(SlungError, match=r"SLUNG_PROBE_LAYER: 7: .*use 0 \(the embeddings\) to 2"):
            evaluate(TASK, tiny_model(models), {"slung_steer": "1", "slung_probe_layer": 7, **SIZES})

    def test_a_strength_beyond_the_models_numbers(self, models):
        with pytest.raises(SlungError, match=r"SLUNG_STEER: 1e\+39: is too large for the model's numbers"):
            evaluate(TASK, tiny_model(models), {"slung_steer": "1e39", "slung_probe_layer": 1, **SIZES})

    def test_comments_that_are_alike(self, models, monkeypatch, tmp_path):
        rows = [{"text": "the same", "toxicity": place % 2} for place in range(20)]
        local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", rows)
        with pytest.raises(SlungError, match="the same states at layer 1; steer another layer"):
            evaluate(TASK, tiny_model(models), {"slung_steer": "1", "slung_probe_layer": 1, **SIZES})

    def test_a_model_whose_blocks_are_not_found(self, models):
        from lm_eval.models.huggingface import HFLM

        model = HFLM(str(tiny_model(models)), device="cpu", dtype="float32")
        model.model.model.layers = torch.nn.Sequential(*model.model.model.layers)
        with pytest.raises(SlungError, match="no place was found in this model where layer 1 could be changed"):
            evaluate(TASK, model, {"slung_steer": "1", "slung_probe_layer": 1, **SIZES})


def test_names_of_metrics_keep_their_ends():
    assert named("toxicity_stderr", -0.5) == "toxicity_steered_-0.5_stderr"
    assert strengths([named("toxicity", 4), named("toxicity_ci_low", 1e-7), "toxicity", "steered_layer"]) == [1e-7, 4]
