"""The block: what may stand in the YAML, and the errors for what may not."""

import json
from typing import get_args

import pytest
import yaml
from click.testing import CliRunner
from helpers import ROOT
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from axolotl_slung.cli import main
from axolotl_slung.config import SlungConfig, json_schema
from axolotl_slung.labels.buckets import PRESETS, Action
from axolotl_slung.training.args import SlungArgs
from axolotl_slung.training.conflicts import as_table

NAMES = {"type": "entities", "path": "names.txt"}


def block(**keys):
    return SlungConfig.model_validate({"labelers": [NAMES], **keys})


def buckets(*rows):
    return [dict(zip(("name", "below", "action"), row)) for row in rows]


def acting(action, **options):
    return {"buckets": [{"name": "a", "below": 0.1, "action": "train"}, {"name": "b", "action": action, **options}]}


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"metod": "masked"}, "metod\n  Extra inputs are not permitted"),
        ({"method": "mask"}, "method\n  Input should be 'masked', 'unlikelihood'"),
        ({"labelers": []}, "labelers\n  List should have at least 1 item"),
        ({"labelers": [{"type": "fastext", "model": "x"}]}, r"labelers.0\n  Input tag 'fastext' found.*'fasttext'"),
        ({"labelers": [{**NAMES, "part": True}]}, r"labelers.0.entities.part\n  Extra inputs"),
        ({"labelers": [{**NAMES, "names": ["x"]}]}, "either `path` .* or `names`"),
        ({"labelers": [{"type": "fasttext", "model": "x", "sha256": "12"}]}, "sha256\n  String should match"),
        ({"buckets": buckets(("a", 0.5, "train"), ("b", 0.4, "mask"), ("c", None, "mask"))}, "`below` must ascend; got .*0.5, 0.4"),
        ({"buckets": buckets(("a", 0.5, "train"), ("b", 1.5, "mask"), ("c", None, "mask"))}, "below\n  Input should be less than or equal to 1"),
        ({"buckets": buckets(("a", -0.5, "train"), ("b", None, "mask"))}, "below\n  Input should be greater than 0"),
        ({"buckets": buckets(("a", None, "train"), ("b", None, "mask"))}, "bucket 'a' has no `below`; add it"),
        ({"buckets": buckets(("a", 0.1, "train"), ("b", 0.9, "mask"))}, "the last bucket takes all remaining scores"),
        ({"buckets": buckets(("a", 0.1, "train"), ("a", None, "mask"))}, "names must differ"),
        ({"buckets": buckets(("a", 0.1, "train"), ("b", None, "masked"))}, "action\n  Input should be 'train', 'mask'"),
        ({"buckets": [{"name": "a", "below": 0.1, "action": "train", "weight": 2}, {"name": "b", "action": "mask"}]}, "`weight` has no effect with action: train"),
        ({"buckets": [{"name": "a", "below": 0.1, "action": "train"}, {"name": "b", "action": "control_token"}]}, "`token` is required by action: control_token"),
        (acting("replace"), "`text` is required by action: replace; add it"),
        (acting("replace", text=""), "text\n  String should have at least 1 character"),
        (acting("replace", text="<{Kind}>"), r"text\n  Value error, an unknown placeholder; use {kind}, {KIND} or {made_up}"),
        (acting("replace", text="{"), "a brace without its partner"),
        (acting("replace", text="{made_up}"), r"`seed` is required by {made_up}; add any whole number"),
        (acting("replace", text="<X>", seed=1), r"`seed` has no effect without {made_up} in `text`; remove it"),
        (acting("replace", text="{made_up}", seed=1.5), "seed\n"),
        (acting("replace", text="x", token="y"), "`token` has no effect with action: replace, only with control_token and hidden_token; remove it"),
        (acting("mask", text="x"), "`text` has no effect with action: mask, only with replace; remove it"),
        (acting("hidden_token"), "`token` is required by action: hidden_token; add it"),
        (acting("hidden_token", token="x", weight=2), "`weight` has no effect with action: hidden_token"),
        ({"overlap": "some"}, "overlap\n  Input should be 'any', 'majority' or 'all'"),
        ({"normalize_by": "all_tokens", "monitor_masked": False}, "`normalize_by: all_tokens` counts masked tokens"),
    ],
)  # fmt: skip
def test_errors_name_the_key_the_value_and_the_mend(keys, message):
    with pytest.raises(ValidationError, match=r"(?s)" + message):
        block(**keys)


@pytest.mark.parametrize(
    "method, actions",
    [
        ("masked", "train mask mask"),
        ("unlikelihood", "train train unlikelihood"),
        ("toxic_baseline", "train train train"),
        ("low_risk", "train drop_span drop_span"),
        ("control", "train drop_document drop_document"),
        ("drop_documents", "train train drop_document"),
        ("control_token", "train train control_token"),
        ("replace", "train train replace"),
    ],
)
def test_presets_are_the_papers_arms_and_three_more(method, actions):
    resolved = block(method=method).resolved_buckets()
    assert [b.action for b in resolved] == [Action(name) for name in actions.split()]
    assert [b.below for b in resolved] == [1e-4, 0.99, None]


def test_a_preset_gives_its_actions_what_they_need():
    for method in PRESETS:
        for bucket in block(method=method).resolved_buckets():
            needed = bucket.action.traits.needs
            assert needed is None or getattr(bucket, needed) is not None


def test_false_spans_that_the_method_replaces_need_a_kind():
    with pytest.raises(ValidationError, match="label_noise.kind` is required: '<{KIND}>'"):
        block(method="replace", label_noise={"false": 0.1})


def test_the_methods_are_the_presets():
    methods, none = get_args(SlungConfig.model_fields["method"].annotation)
    assert none is type(None) and get_args(methods) == tuple(PRESETS)


def test_buckets_override_the_method():
    resolved = block(buckets=buckets(("a", 0.2, "train"), ("b", None, "unlikelihood"))).resolved_buckets()
    assert [(b.name, b.below, b.action, b.weight) for b in resolved] == [
        ("a", 0.2, Action.TRAIN, 1.0),
        ("b", None, Action.UNLIKELIHOOD, 1.0),
    ]


@pytest.mark.parametrize(
    "config, message",
    [
        ({"rl": "dpo"}, "rl: dpo: cannot be used with `slung:`"),
        ({"reward_model": True}, "reward_model: True: cannot"),
        ({"processor_type": "AutoProcessor"}, "multimodal"),
        ({"trainer_cls": "a.B"}, "trainer_cls: a.B: cannot"),
        ({"do_causal_lm_eval": True}, "would write masked names into its reference texts"),
        ({"eval_table_size": 4}, "would write masked names into its reference texts"),
        (
            {"rl": "dpo", "use_eaft": True},
            r"(?s)rl: dpo: cannot.*use_eaft: True: cannot be used.*set it to false",
        ),
        ({"adapter": "mixlora"}, "adapter: mixlora: cannot .*use lora or qlora"),
        ({"context_parallel_size": 2}, "context_parallel_size: 2: cannot be used with `slung:`.*set it to 1"),
    ],
)
def test_settings_that_would_go_past_the_loss(config, message):
    with pytest.raises(ValidationError, match=message):
        SlungArgs.model_validate({**config, "slung": {"labelers": [NAMES]}})
    SlungArgs.model_validate(config)  # none of our business without the block


@pytest.mark.parametrize("fused", ["liger_fused_linear_cross_entropy", "cut_cross_entropy"])
def test_fused_losses_go_with_train_and_mask_alone(fused):
    SlungArgs.model_validate({fused: True, "slung": {"labelers": [NAMES]}})
    for keys, message in (
        ({"method": "unlikelihood"}, "action unlikelihood: needs slung's loss"),
        ({"monitor_masked": True}, "monitor_masked: true: needs slung's loss"),
        ({"normalize_by": "all_tokens"}, "all_tokens: needs slung's loss"),
    ):
        with pytest.raises(ValidationError, match=message):
            SlungArgs.model_validate({fused: True, "slung": {"labelers": [NAMES], **keys}})


def test_the_docs_print_the_table_of_conflicts():
    docs = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for row in as_table():
        assert f"{row}\n" in docs


@pytest.mark.parametrize("splitter", ["blingfire", "punctuation"])
def test_a_removed_key_says_so(splitter):
    with pytest.raises(ValidationError, match=r"`sentence_splitter` was removed: .*; remove it"):
        SlungArgs.model_validate({"slung": {"labelers": [NAMES], "sentence_splitter": splitter}})


def test_every_field_is_described():
    schema = json_schema()
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model.get("properties", {}).items():
            assert "description" in field or name == "type", name


@pytest.fixture(scope="module")
def printed_schema():
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.output)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


EXAMPLES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (ROOT / "example_configs").glob("*.yml")
}


@pytest.mark.parametrize("name", sorted(name for name, example in EXAMPLES.items() if "slung" in example))
def test_the_printed_schema_takes_the_examples(name, printed_schema):
    block = EXAMPLES[name]["slung"]
    printed_schema.validate(block)
    for wrong in ({**block, "metod": "masked"}, {**block, "labelers": []}, {**block, "method": "unmasked"}):
        assert not printed_schema.is_valid(wrong)


def test_only_instruction_tuning_has_no_block():
    assert [name for name, example in EXAMPLES.items() if "slung" not in example] == ["olmo1b-tulu"]


def test_a_labeler_of_a_data_set_that_is_not_there():
    block = {"labelers": [{**NAMES, "datasets": ["b.jsonl"]}]}
    SlungArgs.model_validate({"datasets": [{"path": "b.jsonl"}], "slung": block})
    with pytest.raises(
        ValidationError, match=r"slung.labelers\[0\].datasets: 'b.jsonl': not a `path` under `datasets:`"
    ):
        SlungArgs.model_validate({"datasets": [{"path": "a.jsonl"}], "slung": block})
