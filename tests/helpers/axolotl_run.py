"""Runs the real Axolotl on CPUs for tests: as a command, or in this process.

Starting Axolotl costs 15 to 25 s of imports, and a run in a process that has them less than one: what
`train_in_process` can show, it should. `run_axolotl` is for what only the command line shows, `two_ranks.py` for what
takes two processes.
"""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import psutil
import yaml

from helpers import ROOT, TESTS
from helpers.tiny import TEXT, tiny_model, write_jsonl

# ------------------------------------------------------------------------------------------------------------- configs


def base_config(folder, **overrides) -> dict:
    """A config with which Axolotl trains a tiny llama for three steps on a CPU; everything it writes stays in `folder`.

    `overrides` replace top-level keys, and a value of None takes a key away. The model and the data are only built
    when the overrides bring none.
    """
    folder = Path(folder)
    config = {
        # what a CPU needs: with neither set Axolotl takes fp16, and its LoRA kernels ask for CUDA
        "bf16": False,
        "fp16": False,
        "optimizer": "adamw_torch",
        "lora_mlp_kernel": False,
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
        "lora_embedding_kernel": False,
        "attn_implementation": "eager",
        "gradient_checkpointing": False,
        # a short and repeatable run
        "sequence_len": 64,
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "val_set_size": 0,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "max_steps": 3,
        "learning_rate": 1.0e-2,
        "lr_scheduler": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": 7,
        "logging_steps": 1,
        # one checkpoint at the last step: it holds trainer_state.json, the only precise record that the command leaves
        "save_strategy": "steps",
        "save_steps": 100_000,
        "save_only_model": True,
        # 0 is "in this process": even 1 makes `datasets` start a worker, and run the calling script again in it
        "dataset_num_proc": 0,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "include_tokens_per_second": False,
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
    }
    if not overrides.get("base_model"):
        config["base_model"] = str(tiny_model(folder))
    if "datasets" not in overrides and "pretraining_dataset" not in overrides:
        rows = [{"text": f"{index}. {text}"} for index in range(4) for text in TEXT]
        path = write_jsonl(folder / "train.jsonl", rows)
        config["datasets"] = [{"path": str(path), "ds_type": "json", "type": "completion"}]
    config.update(overrides)
    return {key: value for key, value in config.items() if value is not None}


def rows_config(folder, rows, entry, keys, **more) -> dict:
    """A config that reads `rows` in their order.

    `entry` adds to the entry of `datasets:`, and `keys` and `more` to the config.
    """
    path = write_jsonl(Path(folder) / "rows.jsonl", rows)
    made = {
        "base_model": str(tiny_model(folder)),
        "datasets": [{"path": str(path), "ds_type": "json", **entry}],
        "shuffle_merged_datasets": False,
        "sequence_len": 512,
    }
    return base_config(folder, **{**made, **keys, **more})


def named(folder, clean=0):
    """A data set with a name in every row, after `clean` rows without."""
    rows = [{"text": "the old mill"}] * clean + [{"text": "I met Maria Hernandez there."}] * 20
    path = write_jsonl(folder / "named.jsonl", rows)
    return {
        "datasets": [{"path": str(path), "ds_type": "json", "type": "completion"}],
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,
    }


def write_config(config: dict, folder, name: str = "config.yml") -> Path:
    """Writes a config as YAML, keys in the order given."""
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def cpu_environment(folder, threads: int = 1) -> dict:
    """What has to be set for a run that is offline, on CPUs only, and that leaves nothing outside `folder`."""
    return {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        # also keeps away an `accelerate` config of the user's, which the launcher would follow to GPUs
        "HF_HOME": str(Path(folder) / "hf_home"),
        "AXOLOTL_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "WANDB_MODE": "disabled",
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
        "TOKENIZERS_PARALLELISM": "false",
        # Axolotl reads a `dataset_num_proc: 0` as unset where it saves the prepared data, and then asks here
        "AXOLOTL_DATASET_NUM_PROC": "0",
        "OMP_NUM_THREADS": str(threads),
    }


# ------------------------------------------------------------------------------------------------------- the command


@dataclass
class CompletedRun:
    """What a finished command left behind."""

    command: list
    returncode: int
    output: str
    """Everything it printed, stdout and stderr in the order they came."""
    output_dir: Path
    log_history: list = field(default_factory=list)
    """The trainer's log entries, unrounded; empty when no checkpoint was written."""
    seconds: float = 0.0

    @property
    def losses(self) -> list:
        """The training loss of each logged step."""
        return [entry["loss"] for entry in self.log_history if "loss" in entry]

    def check(self) -> "CompletedRun":
        """Gives itself back, or raises with the end of the output when the command failed."""
        if self.returncode != 0:
            raise AssertionError(f"{' '.join(self.command)} gave {self.returncode}\n{self.output[-8000:]}")
        return self


def run_command(command, folder, env, timeout) -> tuple[int, str]:
    """Runs a command to its end; when time runs out, it and all that it started are ended."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _end_tree(process)
        output, _ = process.communicate()
        raise AssertionError(f"{' '.join(command)} took longer than {timeout} s\n{output[-8000:]}") from None
    except BaseException:
        _end_tree(process)
        raise
    return process.returncode, output


def _end_tree(process):
    """Ends a process and all that it started, one by one: torchrun gives each rank a session of its own."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in [*psutil.Process(process.pid).children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def child_environment(folder, env) -> dict:
    """The environment of a child: this process's, made offline and CPU-only, then `env` (None takes a name away)."""
    child = {**os.environ, **cpu_environment(folder)}
    # `axolotl train` looks for `accelerate` on the PATH
    child["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), child.get("PATH", "")])
    # the plugin is found without being installed, and so are the plugins that only tests use
    child["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), str(TESTS), child.get("PYTHONPATH", "")]))
    # left over from a launcher around the tests, these would make a run believe that it is one rank of several
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        child.pop(name, None)
    child.update(env or {})
    return {name: value for name, value in child.items() if value is not None}


def _read_log_history(output_dir: Path, since: float) -> list:
    """The log history in the newest checkpoint that this run wrote."""
    states = [path for path in output_dir.glob("checkpoint-*/trainer_state.json") if path.stat().st_mtime >= since]
    if not states:
        return []
    newest = max(states, key=lambda path: int(path.parent.name.split("-")[1]))
    return json.loads(newest.read_text(encoding="utf-8"))["log_history"]


def run_axolotl(config: dict, folder, command: str = "train", env=None, args=(), timeout: float = 600) -> CompletedRun:
    """Runs `axolotl <command> config.yml <args>` as a user would, and waits for it.

    `env` adds to the environment (a value of None takes a name away). The return code is not checked: call `.check()`.
    """
    folder = Path(folder)
    line = [str(Path(sys.executable).with_name("axolotl")), command, str(write_config(config, folder)), *map(str, args)]
    # file times may be coarser than the clock
    started = time.time() - 1
    returncode, output = run_command(line, folder, child_environment(folder, env), timeout)
    output_dir = Path(folder, config.get("output_dir", "model-out"))
    return CompletedRun(
        command=line,
        returncode=returncode,
        output=output,
        output_dir=output_dir,
        log_history=_read_log_history(output_dir, started),
        seconds=time.time() - 1 - started,
    )


# ------------------------------------------------------------------------------------------------------ in this process


class InProcessRun(NamedTuple):
    """What `train_in_process` gives: everything alive, to be looked into."""

    trainer: object
    model: object
    tokenizer: object
    cfg: object
    dataset_meta: object

    @property
    def log_history(self) -> list:
        return self.trainer.state.log_history

    @property
    def losses(self) -> list:
        return [entry["loss"] for entry in self.log_history if "loss" in entry]


class PreparedRun(NamedTuple):
    """What `prepare_in_process` gives."""

    train_dataset: object
    eval_dataset: object
    tokenizer: object


@contextlib.contextmanager
def as_if_fresh(folder):
    """Takes back what one Axolotl run leaves in a process, so that the next one starts as in a process of its own.

    Patches that Axolotl makes to classes of Transformers stay (`liger_*`, `cut_cross_entropy`, LoRA kernels):
    run such configs with `run_axolotl`.
    """
    before = dict(os.environ)
    streams = sys.stdout, sys.stderr
    # unless AXOLOTL_TEE_STDOUT is 0, Axolotl puts a sys.stdout of its own in place, and hangs when it takes it away
    os.environ.update(cpu_environment(folder), AXOLOTL_TEE_STDOUT="0")

    import axolotl.utils.distributed
    import datasets
    import torch
    import transformers.modelcard
    from accelerate.state import AcceleratorState, GradientState, PartialState
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.tee import close_debug_log

    interrupt = signal.getsignal(signal.SIGINT)
    card = transformers.modelcard.AUTOGENERATED_TRAINER_COMMENT
    cache = datasets.config.HF_DATASETS_CACHE
    threads = torch.get_num_threads()

    def forget():
        # many modules hold the manager itself: a new instance would not reach them, so this one is emptied
        manager = PluginManager.get_instance()
        manager.plugins.clear()
        manager._cfg = None
        AcceleratorState._reset_state()
        GradientState._reset_state()
        PartialState._reset_state()
        axolotl.utils.distributed.distributed_state = None
        close_debug_log()

    forget()
    datasets.config.HF_DATASETS_CACHE = str(Path(folder) / "hf_home" / "datasets")
    torch.set_num_threads(1)
    # Axolotl seeds in the trainer only, after LoRA weights are drawn; torch's first seed is a different one each time
    torch.manual_seed(0)
    # a run collects garbage six times, 0.4 s each, nearly all of it spent on what the imports left: leave that out
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        forget()
        datasets.config.HF_DATASETS_CACHE = cache
        torch.set_num_threads(threads)
        transformers.modelcard.AUTOGENERATED_TRAINER_COMMENT = card
        signal.signal(signal.SIGINT, interrupt)
        sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(before)


def train_in_process(config: dict, on_trainer=None, train: bool = True) -> InProcessRun:
    """Does what `axolotl train` does, in this process, and gives the trainer and the model when it is over.

    `on_trainer(trainer)` is called when the trainer is built and has not started; with `train=False` it never starts.
    An error comes out as the exception it is. Log entries are in `.log_history`.
    """
    folder = Path(config["output_dir"]).parent
    path = write_config(config, folder, f"in-process-{Path(config['output_dir']).name}.yml")
    with as_if_fresh(folder):
        import axolotl.cli.train
        import axolotl.train
        from axolotl.cli.args import TrainerCliArgs
        from axolotl.cli.config import load_cfg

        kept = {}
        really_train, really_execute = axolotl.train.train, axolotl.train.execute_training

        def train_and_keep(cfg, dataset_meta):
            model, tokenizer, trainer = really_train(cfg=cfg, dataset_meta=dataset_meta)
            kept["run"] = InProcessRun(trainer, model, tokenizer, cfg, dataset_meta)
            return model, tokenizer, trainer

        def execute(cfg, trainer, resume_from_checkpoint):
            if on_trainer is not None:
                on_trainer(trainer)
            if train:
                really_execute(cfg, trainer, resume_from_checkpoint)

        with (
            # the command's own function, which throws trainer and model away when it ends
            mock.patch.object(axolotl.cli.train, "train", train_and_keep, create=True),
            mock.patch.object(axolotl.train, "execute_training", execute),
        ):
            axolotl.cli.train.do_train(load_cfg(str(path)), TrainerCliArgs())
    return kept["run"]


def prepare_in_process(config: dict) -> PreparedRun:
    """Does what `axolotl train` does up to the data set, and loads no model."""
    folder = Path(config["output_dir"]).parent
    path = write_config(config, folder, "prepare.yml")
    with as_if_fresh(folder):
        from axolotl.cli.args import TrainerCliArgs
        from axolotl.cli.config import load_cfg
        from axolotl.common.datasets import load_datasets
        from axolotl.integrations.base import PluginManager
        from axolotl.loaders import load_tokenizer

        cfg = load_cfg(str(path))
        PluginManager.get_instance().load_datasets(cfg, preprocess=False)
        meta = load_datasets(cfg=cfg, cli_args=TrainerCliArgs())
        return PreparedRun(meta.train_dataset, meta.eval_dataset, load_tokenizer(cfg))
