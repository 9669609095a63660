"""Documents of very different lengths, streamed by Axolotl in each of its ways."""

import gc
import random

import torch

from axolotl_slung.training.loop.batches import DIGEST
from helpers.axolotl_run import (
    base_config,
    prepare_in_process,
    train_in_process,
)
from helpers.tiny import TEXT, tiny_model, write_jsonl
from helpers.truth import NAME

WORDS = sorted({word for text in TEXT for word in text.split() if word.isascii()})
PACKED = {"sample_packing": True, "attn_implementation": "sdpa"}
FORMS = {
    "pretraining": ({}, None),
    "concatenated": ({"pretraining_sample_concatenation": True}, None),
    "packed": (PACKED, None),
    "packed without isolation": ({**PACKED, "pretrain_multipack_attn": False}, None),
    "supervised, packed": (PACKED, "completion"),
    "supervised": ({}, "completion"),
}
"""Each way in which Axolotl streams: its keys, and the type of an entry of `datasets:`, or None for a pretraining set."""


def documents(count=40, name=NAME, every=9, seed=0):
    """Documents of very different lengths, no two alike, with a name in many places; some have none."""
    rng = random.Random(seed)
    texts = []
    for index in range(count):
        words = [f"{index}.", *rng.choices(WORDS, k=rng.choice([3, 20, 90, 200]))]
        for position in range(every - 2, len(words) if index % 4 else 0, every):
            words[position] += f" {name}"
        texts.append(" ".join(words))
    return texts


def config(folder, form, rows, name="run", **overrides):
    """A config that streams `rows` (texts, or mappings with a `text`)."""
    rows = ({"text": row} if isinstance(row, str) else row for row in rows)
    path = str(write_jsonl(folder / f"{name}.jsonl", rows))
    keys, kind = FORMS[form]
    if kind is None:
        keys = {**keys, "datasets": None, "pretraining_dataset": [{"path": "json", "data_files": path}]}
    elif keys:  # Axolotl opens a packed stream with less than it does others
        keys = {**keys, "datasets": [{"path": "json", "data_files": path, "type": kind}]}
    else:
        keys = {"datasets": [{"path": path, "ds_type": "json", "type": kind}]}
    return base_config(
        folder,
        **{
            "base_model": str(tiny_model(folder)),
            "streaming": True,
            "streaming_multipack_buffer_size": 12,
            "output_dir": str(folder / name),
            "dataset_prepared_path": str(folder / f"{name}-prepared"),
            "max_steps": 10,
            **keys,
            **overrides,
        },
    )


def train(run_config):
    """Trains, and gives the run and the batches that reached the model."""
    batches = []

    def record(trainer):
        step = trainer.training_step

        def training_step(model, inputs, *args, **kwargs):
            if not getattr(trainer, "checks_silence", False):
                batches.append(
                    {key: value.clone() for key, value in inputs.items() if torch.is_tensor(value) and key != DIGEST}
                )
            return step(model, inputs, *args, **kwargs)

        trainer.training_step = training_step

    return train_in_process(run_config, on_trainer=record), batches


def rows_of(dataset):
    """The rows of a stream, as lists."""
    # packing collects garbage after each buffer, and most of what it goes through is left from imports
    gc.freeze()
    try:
        return [{key: list(map(int, value)) for key, value in row.items()} for row in dataset]
    finally:
        gc.unfreeze()


def stream(run_config):
    """The rows that Axolotl streams to its trainer, and the tokenizer."""
    run = prepare_in_process(run_config)
    return rows_of(run.train_dataset), run.tokenizer


def assert_same(batches, others):
    assert len(batches) == len(others) > 0
    for batch, other in zip(batches, others):
        assert batch.keys() == other.keys()
        for key, value in batch.items():
            assert value.dtype == other[key].dtype and torch.equal(value, other[key]), key
