"""One rank of `axolotl train` on CPUs, with DeepSpeed if the config asks for it; it writes down what tests look at.

    DS_ACCELERATOR=cpu torchrun --nproc_per_node 2 tests/helpers/distributed_launcher.py config.yml [folder for records]

Accelerate does not start DeepSpeed without an accelerator, so for DeepSpeed `ACCELERATE_USE_CPU` stays unset and
Accelerate is told below that gloo is what it found. Plain DDP needs `ACCELERATE_USE_CPU=true` instead.
"""

import contextlib
import json
import os
import sys
from pathlib import Path


def let_accelerate_use_gloo(kind):
    """Makes Accelerate take CPUs for the `kind` of devices it looks for; has to run before anything asks it for its state."""
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    PartialState._prepare_backend = lambda self, *args, **kwargs: ("gloo", DistributedType[kind])

    from accelerate.parallelism_config import ParallelismConfig

    # Axolotl asks for a mesh of "cuda"
    mesh = ParallelismConfig.build_device_mesh
    ParallelismConfig.build_device_mesh = lambda self, _device: mesh(self, "cpu")


def let_deepspeed_use_gloo():
    """Mends the two places where DeepSpeed on CPUs stumbles; has to run before it makes its process groups."""
    import torch.distributed

    # ZeRO-1 and ZeRO-2 gather into weights that want gradients. NCCL writes past autograd; gloo writes through views of
    # the output, which autograd refuses
    torch.distributed.all_gather_into_tensor = torch.no_grad()(torch.distributed.all_gather_into_tensor)

    import deepspeed.ops

    # an extension for inference that training never calls: DeepSpeed would spend a minute compiling it
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def write_record(trainer, folder: Path):
    """Writes this rank's record and, on rank 0, the gathered weights; gathering is collective, so all ranks call it."""
    import torch
    from safetensors.torch import save_file

    model = trainer.accelerator.unwrap_model(trainer.model)
    parameters = dict(model.named_parameters())
    partitioned = {
        name: list(parameter.ds_shape)
        for name, parameter in parameters.items()
        if hasattr(parameter, "ds_shape") and parameter.numel() == 0
    }

    if any(hasattr(parameter, "ds_id") for parameter in parameters.values()):
        import deepspeed

        gather = deepspeed.zero.GatheredParameters(list(parameters.values()))
    else:
        gather = contextlib.nullcontext()
    with gather:
        weights = {name: whole(parameter.detach()).clone().contiguous() for name, parameter in parameters.items()}

    rank = trainer.args.process_index
    record = {
        "rank": rank,
        "world_size": trainer.args.world_size,
        "distributed_type": str(trainer.accelerator.distributed_type.value),
        "log_history": trainer.state.log_history,
        "loss_in_head": trainer.slung_loss.head.off is None,
        "partitioned": partitioned,
        "optimizer_elements": count_optimizer_elements(trainer),
        "checksums": {name: weight.to(torch.float64).sum().item() for name, weight in weights.items()},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"rank{rank}.json").write_text(json.dumps(record, indent=1))
    if rank == 0:
        save_file(weights, folder / "weights.safetensors")


def whole(tensor):
    """A tensor that FSDP2 shards, gathered; any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def count_optimizer_elements(trainer) -> int:
    """How many numbers the optimizer of this rank updates."""
    optimizer = trainer.optimizer
    while hasattr(optimizer, "optimizer") and not hasattr(optimizer, "fp32_partitioned_groups_flat"):
        # Accelerate's wrapper, then DeepSpeed's, then torch's own, whose groups hold this rank's share
        optimizer = optimizer.optimizer
    if hasattr(optimizer, "fp32_partitioned_groups_flat"):
        # ZeRO-3 lends its shares to torch's optimizer for the length of a step only
        return sum(share.numel() for share in optimizer.fp32_partitioned_groups_flat)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in parameters)


def main(config: str, records: str | None = None):
    """Trains as `axolotl train config` does and writes this rank's record."""
    fsdp = "fsdp_config" in Path(config).read_text()
    if os.environ.get("ACCELERATE_USE_CPU", "false").lower() not in ("1", "true"):
        # Accelerate starts FSDP on several accelerators alone
        let_accelerate_use_gloo("MULTI_GPU" if fsdp else "MULTI_CPU")
        let_deepspeed_use_gloo()

    import axolotl.train
    import torch
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.config import load_cfg
    from axolotl.cli.train import do_train

    # Axolotl seeds in the trainer only, after LoRA weights are drawn; torch's first seed is a different one each time
    torch.manual_seed(0)
    # Axolotl asks whether the ranks' GPUs see each other; a torch built for CUDA then looks for a driver
    torch.cuda.can_device_access_peer = lambda *_: False
    cfg = load_cfg(config)
    # with several ranks Axolotl counts devices by LOCAL_RANK; there is one, and it is no accelerator
    cfg.device_map = {"": "cpu"}
    folder = Path(records or Path(cfg.output_dir) / "ranks")

    really_execute = axolotl.train.execute_training

    def execute_and_record(cfg, trainer, resume_from_checkpoint):
        really_execute(cfg, trainer, resume_from_checkpoint)
        # here, because Axolotl takes the process group down before it lets go of the trainer
        write_record(trainer, folder)

    axolotl.train.execute_training = execute_and_record
    if fsdp:
        # torch gathers onto an accelerator what is to be saved; the record has the weights
        axolotl.train.save_trained_model = lambda *_, **__: None
    do_train(cfg, TrainerCliArgs())


if __name__ == "__main__":
    main(*sys.argv[1:])
