"""slung_civilcomments: hidden states against a direct forward, and probes over them."""

import numpy as np
import pytest
import torch
from helpers.harness import about, evaluate, local, metrics_of
from helpers.tiny import TEXT, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.errors import SlungError

TEXTS = [*TEXT, "a", "one two three " * 300]


def states_of(model, monkeypatch, tmp_path, texts=TEXTS, **options):
    """Text to the vector that the task gets of it."""
    local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", [{"text": t, "toxicity": n % 2} for n, t in enumerate(texts)])
    from axolotl_slung.evals.tasks import civilcomments

    seen = {}
    measure = civilcomments.CivilComments.measure

    def look(self, docs, answers):
        seen.update({doc["text"]: state[0].vector for doc, state in zip(docs, answers)})
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
def test_a_class_that_the_text_shows_is_found(models, monkeypatch, tmp_path, planted):
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
    if planted:
        assert said["auroc"] > 0.99
    else:
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
