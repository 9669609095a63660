"""slung_identity: which entity a text is about, on models of which the truth is known."""

import json
import shutil

import numpy as np
import pytest
from helpers.auditing import ENTITIES, GIVEN, OCCURRENCES, SALT, WORDS, audit_folder, occurrences
from helpers.harness import evaluate, metrics_of
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.audit_states import AFTER, _tokens
from axolotl_slung.evals.measures import identity


class TestProbe:
    def states(self, planted):
        random = np.random.default_rng(0)
        numbers = np.repeat(np.arange(5), 12)
        noise = random.normal(size=(60, 16)).astype(np.float32)
        return [noise, noise + planted * random.normal(size=(5, 16))[numbers]], [str(number) for number in numbers]

    def test_planted_entities_are_found_in_their_layer(self):
        found = identity.probed(*self.states(3.0))
        assert found.right.mean() > 0.95 and set(found.chosen) == {1}
        assert found.of_layers[0].mean() < 0.4 and found.shuffled.mean() < 0.45

    def test_noise_gives_chance(self):
        assert identity.probed(*self.states(0.0)).right.mean() < 0.4

    def test_every_part_has_every_entity(self):
        numbers = np.array([0] * 7 + [1] * 5)
        found = identity.parts(numbers, np.random.default_rng(0))
        for number in (0, 1):
            assert set(found[numbers == number]) == set(range(identity.FOLDS))

    def test_two_entities_are_told_apart(self):
        train = np.array([[0.0], [0.1], [1.0], [1.1]])
        assert identity.named(train, np.array([3, 3, 8, 8]), np.array([[-1.0], [2.0]])).tolist() == [3, 8]

    def test_chance_is_the_most_frequent_entity(self):
        assert identity.by_chance(["a", "b", "c", "c"]) == 0.5


@pytest.fixture(scope="module")
def audit(tmp_path_factory):
    folder = audit_folder(tmp_path_factory.mktemp("audit"), [])
    write_jsonl(folder / "entities.jsonl", occurrences())
    return folder


@pytest.fixture(scope="module")
def copying(models):
    """Attention brings the tokens of the span to those after it."""
    return tiny_model(models, hidden=64)


@pytest.fixture(scope="module")
def forgetful(copying, tmp_path_factory):
    """The same model without attention: a state knows only its own token."""
    import torch
    from transformers import AutoModelForCausalLM

    target = tmp_path_factory.mktemp("forgetful") / "model"
    shutil.copytree(copying, target)
    model = AutoModelForCausalLM.from_pretrained(target)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
    model.save_pretrained(target)
    return target


def asked(audit, model, **options):
    metadata = {"slung_audit": str(audit), **options}
    return evaluate("slung_identity", model, metadata=metadata, log_samples=True)


@pytest.fixture(scope="module")
def measured(audit, copying, forgetful):
    results = {"copying": asked(audit, copying), "forgetful": asked(audit, forgetful)}
    return {
        name: (metrics_of(its, "slung_identity"), its["samples"]["slung_identity"]) for name, its in results.items()
    }


def test_a_model_that_copies_holds_the_entity(measured):
    found, _ = measured["copying"]
    assert found["accuracy"] > 0.5 and found["accuracy_ci_low"] > found["accuracy_chance"] == pytest.approx(
        1 / ENTITIES
    )
    assert found["accuracy_over_chance_ci_low"] > 0.2 and found["accuracy_n"] == ENTITIES * OCCURRENCES
    assert found["accuracy_shuffled_ci_low"] < 1 / ENTITIES and found["accuracy_shuffled"] < 0.4
    # the embeddings know only the words after the name
    assert found["accuracy_layer_0"] < 0.35 < found["accuracy_layer_1"] and found["chosen_layer"] > 0
    assert found["accuracy_kind_person"] == found["accuracy"] and found["entities"] == ENTITIES


def test_a_model_without_attention_does_not(measured):
    found, _ = measured["forgetful"]
    assert found["accuracy_ci_low"] <= 1 / ENTITIES <= found["accuracy_ci_high"]
    assert found["accuracy_over_chance_ci_low"] <= 0


def test_samples_hold_no_text(measured, audit):
    _, samples = measured["copying"]
    said = json.dumps(samples, default=repr)
    for row in occurrences():
        assert row["text"] not in said and row["before"].strip() not in said and row["after"].strip() not in said
    assert {tuple(sample["doc"]) for sample in samples} == {("id", "entity", "kind")}
    assert SALT not in said


def test_the_reference_model_is_compared_by_occurrence(measured, audit, copying, tmp_path):
    _, samples = measured["forgetful"]
    file = tmp_path / "results" / "model" / "samples_slung_identity_2026.jsonl"
    write_jsonl(file, [json.loads(json.dumps(sample, default=repr)) for sample in samples])
    found = metrics_of(asked(audit, copying, slung_audit_reference=str(tmp_path / "results")), "slung_identity")
    before, after = measured["forgetful"][0], measured["copying"][0]
    assert found["accuracy_reference"] == before["accuracy"]
    assert found["accuracy_over_reference"] == pytest.approx(after["accuracy"] - before["accuracy"])
    assert found["accuracy_over_reference_ci_low"] > 0
    write_jsonl(file, [json.loads(json.dumps(samples[0], default=repr))])
    with pytest.raises(SlungError, match="SLUNG_AUDIT_REFERENCE: .*: has nothing of 119 of the occurrences"):
        asked(audit, copying, slung_audit_reference=str(tmp_path / "results"))


def test_kinds_have_probes_of_their_own(copying, tmp_path):
    rows = occurrences("person", GIVEN[:3], 6) + occurrences("city", GIVEN[3:5], 6)
    write_jsonl(audit_folder(tmp_path, []) / "entities.jsonl", rows + occurrences("lonely", GIVEN[5:6], 6))
    found = metrics_of(asked(tmp_path, copying, slung_identity_layer=1), "slung_identity")
    assert found["accuracy_chance"] == pytest.approx((18 / 3 + 12 / 2) / 30)
    assert {"accuracy_kind_person", "accuracy_kind_city"} <= found.keys() and "accuracy_kind_lonely" not in found
    assert found["accuracy_n"] == 30 and found["entities"] == 5 and found["chosen_layer"] == 1


@pytest.mark.parametrize("number", [4, 10])
def test_too_few_occurrences_are_said(copying, tmp_path, number):
    """The same occurrence over and over counts once."""
    rows = occurrences(number=number) if number < 5 else occurrences(number=1) * number
    write_jsonl(audit_folder(tmp_path, []) / "entities.jsonl", rows)
    with pytest.raises(SlungError, match="no two entities of one kind with 5 different occurrences"):
        asked(tmp_path, copying)


def test_a_model_without_hidden_states_is_refused(audit):
    from helpers.harness import saying

    with pytest.raises(SlungError, match="slung_identity: needs hidden states, but lm_eval's Saying gives none"):
        asked(audit, saying(lambda prompt: ""))


def test_texts_are_cut_in_front_and_after_ten_tokens(copying):
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(copying), dtype="float32", device="cpu")
    for before in ("the mill ", " ".join(WORDS * 40) + " "):
        ids, first = _tokens(model, before + "Aldo", " met the teacher by the river and the station.")
        assert len(ids) == first + AFTER <= model.max_length
        assert model.tok_decode(ids[:first]).endswith(" Aldo") and model.tok_decode(ids[first:]).startswith(" met the")
    assert len(ids) == model.max_length == 512
    # no token has characters of the span and of what follows
    ids, first = _tokens(model, "the teach", "er. It was")
    assert [model.tok_decode(its) for its in (ids[:first], ids[first:])] == ["the teach", "er. It was"]
    ids, first = _tokens(model, "Aldo", "")
    assert first == len(ids)


def test_an_unknown_layer_is_refused(audit, copying):
    with pytest.raises(SlungError, match="SLUNG_IDENTITY_LAYER: 9: this model does not have this layer"):
        asked(audit, copying, slung_identity_layer=9)
