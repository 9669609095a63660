"""Runs on a stream: resumed, on two ranks, and in flat memory."""

import gc
import json
import sys
import tracemalloc
from itertools import cycle, islice

import pyarrow as pa
import pytest
import torch
from helpers.axolotl_run import (
    child_environment,
    prepare_in_process,
    run_command,
    train_in_process,
    write_config,
)
from helpers.streams import assert_same, config, documents, train
from helpers.two_ranks import assert_same_steps, run_two_ranks

LORA = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.2,
    "lora_target_modules": ["q_proj", "v_proj"],
}


@pytest.mark.parametrize(
    "form, overrides",
    [
        ("pretraining", {}),
        ("packed", LORA),
        ("packed", {"dataloader_num_workers": 1}),
        ("supervised, packed", LORA),
        ("supervised", {}),
        ("supervised", {"seed": None}),
        ("packed", {"seed": None}),
        # into a later pass over the stream; one ends within an accumulated step
        ("packed", {"max_steps": 18, "save_steps": 12, "micro_batch_size": 3}),
        ("concatenated", {"max_steps": 18, "save_steps": 13}),
    ],
    ids=str,
)
def test_a_resumed_run_sees_what_the_undisturbed_one_saw(tmp_path, slung, form, overrides):
    """The dropout of LoRA draws from torch's generator between the buffers."""
    keys = {"max_steps": 10, "save_steps": 6, "gradient_accumulation_steps": 2, **overrides, **slung()}
    keys |= {"save_only_model": False, "learning_rate": 1e-3, "streaming_multipack_buffer_size": 2}
    passes = "save_steps" in overrides
    texts = documents(5 if passes else 40)
    whole, expected = train(config(tmp_path, form, texts, "whole", **keys))
    checkpoint = tmp_path / "whole" / f"checkpoint-{keys['save_steps']}"
    again, batches = train(config(tmp_path, form, texts, "again", resume_from_checkpoint=str(checkpoint), **keys))
    assert len(expected) - len(batches) >= keys["save_steps"] and len(batches) >= 8
    assert_same(batches, expected[-len(batches) :])
    for one, other in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert (json.loads((checkpoint / "trainer_state.json").read_text())["epoch"] > 1) == passes


@pytest.mark.parametrize("form", ["packed", pytest.param("supervised, packed", marks=pytest.mark.slow)])
def test_two_ranks_are_one_process(tmp_path, slung, form):
    """Axolotl has each rank read a pretraining stream for itself, and rank 0 hand out another's batches."""
    keys = {"max_steps": 3, "max_grad_norm": 0.0, "learning_rate": 1e-3, "micro_batch_size": 1}
    keys |= slung(method="unlikelihood")
    one = train_in_process(config(tmp_path, form, documents(), "one", gradient_accumulation_steps=4, **keys))
    both = config(tmp_path, form, documents(), "both", gradient_accumulation_steps=2, **keys)
    run = run_two_ranks(both, tmp_path, "ddp").check()
    assert [rank.world_size for rank in run.ranks] == [2, 2]
    assert run.ranks[0].checksums == run.ranks[1].checksums
    assert any("slung/loss_unlikelihood" in entry for entry in one.log_history)
    assert_same_steps(run.ranks, run.weights(), one)


def test_nothing_of_the_stream_stays_behind(tmp_path, slung):
    """Ten times the text makes Python and Arrow hold no more."""
    texts = [" ".join(some) for some in zip(*[iter(documents(700, every=40))] * 8)]
    passed = sum(map(len, texts))
    dataset = prepare_in_process(config(tmp_path, "packed", texts, sequence_len=256, **slung())).train_dataset
    held = []
    gc.freeze()
    tracemalloc.start()
    try:
        for _ in dataset:
            held.append(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes())  # noqa: PERF401 - one by one
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    tenth = len(held) // 10
    assert tenth > 2 and passed > 300_000
    assert max(held[tenth:]) - max(held[:tenth]) < 0.5 * passed


PEAK = """
import sys
from pathlib import Path

import yaml
from helpers.axolotl_run import prepare_in_process

if __name__ == "__main__":
    tokens = 0
    for row in prepare_in_process(yaml.safe_load(Path(sys.argv[1]).read_text())).train_dataset:
        tokens += len(row["input_ids"])
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print("PEAK", tokens, peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_is_flat_in_the_length_of_the_stream(tmp_path, slung):
    """20 MB and 60 MB of documents, in processes of their own: peaks within 10 %."""
    script = tmp_path / "peak.py"
    script.write_text(PEAK)
    some, found = [" ".join(texts) for texts in zip(*[iter(documents(1600, every=60))] * 8)], []
    for megabytes in (20, 60):
        rows = islice(cycle(some), megabytes * 1_000_000 // (sum(map(len, some)) // len(some)))
        keys = {"sequence_len": 1024, "streaming_multipack_buffer_size": 1000}
        path = write_config(config(tmp_path, "packed", rows, f"of-{megabytes}", **keys, **slung()), tmp_path)
        line = [sys.executable, str(script), str(path)]
        returncode, output = run_command(line, tmp_path, child_environment(tmp_path, {}), 600)
        assert returncode == 0, output[-4000:]
        found.append([int(number) for number in output[output.rindex("PEAK") :].split()[1:3]])
    (tokens, peak), (more, higher) = found
    assert more > 2.9 * tokens and higher < 1.1 * peak
