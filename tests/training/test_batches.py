"""Batches are compared with their rows: what Axolotl's collators do passes, and what changes a label does not."""

import copy

import numpy as np
import pytest
import torch
from axolotl.utils import collators
from axolotl.utils.collators import DataCollatorForSeq2Seq, V2BatchSamplerDataCollatorForSeq2Seq
from axolotl.utils.collators.batching import BatchSamplerDataCollatorForSeq2Seq
from helpers.tiny import tiny_tokenizer
from transformers import AutoTokenizer, DataCollatorWithFlattening, default_data_collator

from axolotl_slung.labels.codec import encode
from axolotl_slung.loss.reader import shifted
from axolotl_slung.training.loop import LoopError
from axolotl_slung.training.loop.batches import DIGEST, WatchedCollator, differs, digest_of


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def row(length, seed):
    random = np.random.default_rng(seed)
    ids = random.integers(10, 500, length)
    kind = random.integers(0, 3, length)
    labels = np.select([kind == 0, kind == 1], [ids, encode(ids, np.full(length, 2), np.ones(length))], -100)
    return {
        "input_ids": ids.tolist(),
        "attention_mask": [1] * length,
        "position_ids": list(range(length)),
        "labels": labels.tolist(),
    }


def rows(*lengths):
    return [row(length, seed) for seed, length in enumerate(lengths)]


def watched(collator, tokenizer, **keys):
    return WatchedCollator(collator, "it", tokenizer.pad_token_id, **{"codes": True, "digest": True, **keys})


def cut(features):
    return default_data_collator([{key: values[:7] for key, values in feature.items()} for feature in features])


COLLATORS = {
    "padding": (lambda t: DataCollatorForSeq2Seq(t), rows(9, 30, 17)),
    "padding to a multiple": (
        lambda t: DataCollatorForSeq2Seq(t, padding="max_length", max_length=64, pad_to_multiple_of=64),
        rows(9, 30),
    ),
    "packing": (lambda t: V2BatchSamplerDataCollatorForSeq2Seq(t, pad_to_multiple_of=64), [rows(9, 30), rows(20)]),
    "packing, one mask": (lambda t: BatchSamplerDataCollatorForSeq2Seq(t), [rows(9, 30)]),
    "packing, one list": (lambda t: V2BatchSamplerDataCollatorForSeq2Seq(t), rows(9, 30)),
    "flattening": (
        lambda t: DataCollatorWithFlattening(),
        [{k: r[k] for k in ("input_ids", "labels")} for r in rows(9, 30)],
    ),
    "cutting": (lambda t: cut, rows(9, 30, 7)),
}
if hasattr(collators, "MambaDataCollator"):  # Axolotl 0.21 has none
    COLLATORS["mamba"] = (lambda t: collators.MambaDataCollator(t), rows(9, 30))


@pytest.mark.parametrize("name", COLLATORS)
def test_collators_that_only_move_labels_pass(tokenizer, name):
    make, features = COLLATORS[name]
    batch = watched(make(tokenizer), tokenizer)(copy.deepcopy(features))
    labels = torch.as_tensor(batch["labels"])
    assert batch[DIGEST].shape == (len(labels), 2)
    assert not differs(shifted(labels), batch[DIGEST])
    changed = labels.clone()
    place = (labels[0] <= -101).nonzero()[-1, 0]
    changed[0, place] = batch["input_ids"][0, place]
    assert differs(shifted(changed), batch[DIGEST])


def change(labels, ids, what):
    coded, trained, ignored = labels <= -101, labels >= 0, labels == -100
    if what == "codes to ids":
        return torch.where(coded, ids, labels)
    if what == "one code to its id":
        labels = labels.clone()
        labels[0, coded[0].nonzero()[0]] = ids[0, coded[0].nonzero()[0]]
        return labels
    if what == "ignored to ids":
        return torch.where(ignored, ids, labels)
    if what == "codes to ignored":
        return torch.where(coded, -100, labels)
    if what == "ids to ignored":
        return torch.where(trained, -100, labels)
    if what == "another bucket":
        return torch.where(coded, labels + (1 << 33), labels)
    return labels.roll(1, -1)


@pytest.mark.parametrize(
    "what",
    [
        "codes to ids",
        "one code to its id",
        "ignored to ids",
        "codes to ignored",
        "ids to ignored",
        "another bucket",
        "moved",
    ],
)
@pytest.mark.parametrize("name", ["padding", "packing", "flattening", "cutting"])
def test_each_change_of_a_label_stops(tokenizer, name, what):
    make, features = COLLATORS[name]
    collate = make(tokenizer)

    def changed(features):
        batch = collate(features)
        batch["labels"] = change(batch["labels"], batch["input_ids"], what)
        return batch

    with pytest.raises(LoopError, match="do not match their token ids" if what == "moved" else "it changes labels"):
        watched(changed, tokenizer)(copy.deepcopy(features))


def test_codes_beside_a_loss_that_cannot_read_them(tokenizer):
    with pytest.raises(LoopError, match="labels hold codes, but the config's fused loss reads only -100"):
        watched(DataCollatorForSeq2Seq(tokenizer), tokenizer, codes=False)(rows(9, 30))


def test_rows_without_labels(tokenizer):
    with pytest.raises(LoopError, match="a row without `input_ids` or `labels`"):
        watched(default_data_collator, tokenizer)([{"input_ids": [1, 2]}])
    with pytest.raises(LoopError, match="a row has 2 token ids, expected as many labels, got 1"):
        watched(default_data_collator, tokenizer)([{"input_ids": [1, 2], "labels": [1]}])


def test_a_digest_sees_rows_and_places():
    labels = torch.tensor([[5, 6, -100, 7], [5, 6, 7, -100]])
    digest = digest_of(labels)
    assert not differs(shifted(labels), digest) and differs(shifted(labels.flip(0)), digest)
    assert differs(shifted(labels).int(), digest) and differs(shifted(labels)[:1], digest)
