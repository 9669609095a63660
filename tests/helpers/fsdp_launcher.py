"""One of two gloo ranks with FSDP2: a few steps by the fused loss; rank 0 writes losses and gradients down.

    torchrun --nproc_per_node 2 tests/helpers/fsdp_launcher.py (<model folder> <out file> <root | head>)...

`root` leaves the head in the root's group of parameters, `head` gives it a group of its own.
"""

import gc
import os
import sys

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM

from helpers.heads import attached, batch


def run(mesh, folder, out, where):
    rank = torch.distributed.get_rank()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()
    loss = attached(model)
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    if where == "head":
        fully_shard(model.lm_head, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert (
        isinstance(model.lm_head.weight, DTensor)
        and model.lm_head.weight.to_local().shape[0] < model.lm_head.weight.shape[0]
    )

    record = {"losses": [], "grads": []}
    for seed in (0, 1, 2):
        ids, labels = batch(model, seed, rows=2)
        if seed == 1 and rank == 1:
            labels = torch.full_like(labels, -100)  # a rank with nothing to train must not hang the other
        model.zero_grad()
        output = model(
            input_ids=ids[rank : rank + 1], labels=labels[rank : rank + 1], num_items_in_batch=torch.tensor(1)
        )
        output.loss.backward()
        total = output.loss.detach().clone()
        torch.distributed.all_reduce(total)
        record["losses"].append(total.item())
        # FSDP averages over ranks
        record["grads"].append({name: 2 * p.grad.full_tensor() for name, p in model.named_parameters()})
    assert loss.head.off is None, loss.head.off
    if rank == 0:
        torch.save(record, out)


if __name__ == "__main__":
    torch.distributed.init_process_group("gloo")
    mesh = torch.distributed.init_device_mesh("cpu", (2,))
    for first in range(1, len(sys.argv), 3):
        run(mesh, *sys.argv[first : first + 3])
        gc.collect()  # a sharded model holds references to itself, and to the process group
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    # a thread of gloo that still runs would abort the process as Python ends; everything is written
    os._exit(0)
