"""Runs a config for a few steps with planted labels, and reports what it found in plain words."""

from __future__ import annotations

import itertools
import os
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from datasets import Dataset
from pydantic import ValidationError

from ..errors import SlungError, first_line, os_problem
from ..faults import lines_of
from ..labels.buckets import Action
from ..labels.codec import FIRST_CODE, decode
from ..training.apart import apart
from ..training.conflicts import check_run
from ..training.loop import LoopError
from ..training.loop.culprits import collator_name
from .plant import Planted
from .probe import Probe, Seen

if TYPE_CHECKING:
    from ..training.data.flag_counts import FlagCounts

ROWS = 200
"""The maximum number of rows per data set."""

OK, NOTE, FAILED = "ok", "note", "FAILED"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        check: what was checked.
        verdict: `OK`, `NOTE` (worth knowing) or `FAILED`.
        text: the result, in plain words.
    """

    check: str
    verdict: str
    text: str


def examine(path: str, steps: int, tell: Callable[[str], None]) -> list[Finding]:
    """Train with a config for a few steps, in a temporary folder.

    Args:
        path: an Axolotl config with a `slung:` block.
        steps: the number of optimizer steps.
        tell: called with the name of each stage as it starts.

    Returns:
        The findings. After a stage that fails, the later ones are left out.
    """
    with tempfile.TemporaryDirectory(prefix="slung-doctor-") as folder:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        if not isinstance(config, dict) or config.get("slung") is None:
            return [Finding("config", FAILED, "it has no `slung:` block, so Axolotl trains on everything; add one")]
        here = Path(folder, "config.yml")
        changed = apart(config) | {
            "output_dir": f"{folder}/out",
            "dataset_prepared_path": f"{folder}/prepared",
            "max_steps": steps,
            "logging_steps": 1,
        }
        here.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
        os.environ["AXOLOTL_DO_NOT_TRACK"] = "1"
        try:
            return _examine(here, tell)
        except ValidationError as error:
            return [Finding("config", FAILED, "; ".join(lines_of(error)))]


def _examine(path: Path, tell) -> list[Finding]:
    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer
    from axolotl.train import setup_model_and_trainer

    from ..training.data.flag_counts import flag_counts
    from ..training.data.look import training_data
    from ..training.data.setup import Setup

    tell("reading the config")
    try:
        cfg = load_cfg(str(path))
        setup = Setup(cfg)
        check_run(cfg, setup.config)
    except ValidationError:
        raise
    except Exception as error:
        return [Finding("config", FAILED, str(error) if isinstance(error, ValueError) else _words(error))]
    findings = [Finding("config", OK, "no setting bypasses the loss or misreads its labels")]

    tell(f"labeling up to {ROWS} rows of each data set")
    try:
        dataset_meta = training_data(cfg, ROWS)
    except Exception as error:
        return [*findings, Finding("labels", FAILED, _words(error))]
    findings.append(_labels(dataset_meta.train_dataset, setup))
    try:
        findings += _flags(flag_counts(cfg, load_tokenizer(cfg), ROWS))
    except Exception as error:
        return [*findings, Finding("flags of the data", FAILED, _words(error))]

    planted = None
    if setup.fused_loss is None:
        planted = Planted(setup.buckets, setup.config.reads_weights)
        if isinstance(dataset_meta.train_dataset, Dataset):
            # not from a cache: `plant` must run to record what it plants
            plant = {"with_indices": True, "num_proc": None, "load_from_cache_file": False}
            dataset_meta.train_dataset = dataset_meta.train_dataset.map(planted.plant, **plant)
        elif not cfg.dataloader_num_workers:
            numbers = itertools.count()  # a stream may be read several times, in another order
            dataset_meta.train_dataset = dataset_meta.train_dataset.map(lambda row: planted.plant(row, next(numbers)))
        else:
            planted = None  # what other processes plant is not known here

    tell("loading the model")
    try:
        trainer = setup_model_and_trainer(cfg, dataset_meta)[0]
    except Exception as error:
        return [*findings, Finding("model", FAILED, _words(error))]
    probe = Probe(trainer, planted)

    tell(f"training {cfg.max_steps} steps")
    try:
        trainer.train()
    except LoopError as error:
        return [*findings, Finding("loss", FAILED, str(error))]
    except Exception as error:
        return [*findings, Finding("training", FAILED, _words(error))]
    findings += [_loss(trainer, setup), _silence(trainer)]
    if trainer.slung_loss is None:
        return [*findings, _ignored(probe.seen, trainer)]
    return [*findings, *_batches(probe.seen, planted, setup.buckets, trainer), *_normalizer(probe.seen, trainer)]


def _words(error: Exception) -> str:
    """An error for the report. The message of another library may quote data, so its type and place stand for it."""
    if isinstance(error, SlungError):
        return "; ".join(str(error).split("\n"))
    if isinstance(error, OSError):
        return os_problem(error) if error.errno and error.strerror else f"{type(error).__name__}: {first_line(error)}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {last.name}, {'/'.join(Path(last.filename).parts[-3:])}, line {last.lineno}"


def _labels(dataset, setup) -> Finding:
    from ..training.data.counts import count_labels

    if not isinstance(dataset, Dataset):
        return Finding(
            "labels", NOTE, "the data is streamed and labeled during training; its labels are not counted here"
        )
    counts: dict[str, int] = {}
    weighed = 0
    for row in itertools.islice(dataset, ROWS):
        labels = np.asarray(row["labels"])
        weighed += int(decode(labels[labels <= FIRST_CODE]).given.sum())
        for action, number in count_labels(labels, setup.buckets).items():
            counts[action] = counts.get(action, 0) + number
    text = ", ".join(f"{action} {number}" for action, number in counts.items() if number)
    text = f"{min(len(dataset), ROWS)} rows of the config's own data: {text} tokens"
    text += f", {weighed} with a weight other than 1" if weighed or setup.config.reads_weights else ""
    if noise := setup.config.label_noise:
        text += f"; label_noise dropped {noise.miss:g} of the risky spans and put {noise.false:g} of the other words into false ones"
    if not setup.code_masked:
        return Finding("labels", OK, f"{text}; masked tokens are -100, like those that Axolotl ignores")
    if not weighed and not any(
        number for action, number in counts.items() if action not in (Action.TRAIN.value, "ignored")
    ):
        return Finding("labels", NOTE, f"{text}; the labelers found nothing risky in them")
    return Finding("labels", OK, text)


def _flags(counts: FlagCounts) -> list[Finding]:
    """What the rows say of training, if they say anything. What Axolotl does not do of it is a warning of its own."""
    if not counts.said:
        return []
    said = ", ".join(f"{number} {what}" for what, number in sorted(counts.said.items()))
    text = (
        f"{counts.flagged} of {counts.rows} rows say what is trained: {said}; so Axolotl leaves out {counts.left_out} "
        f"tokens that it would train, {counts.risky} of them risky, and trains {counts.added} others"
    )
    if counts.across:
        text += f"; {counts.across} tokens are on both sides of an edge, and each is trained or left out as a whole"
    if counts.changed:
        text += f"; without it, the tokens of {counts.changed} rows are others, so those are not counted"
    return [Finding("flags of the data", OK, text)]


def _loss(trainer, setup) -> Finding:
    loss = trainer.slung_loss
    if loss is None:
        text = f"{setup.fused_loss} computes it, and masked tokens are -100; gradients cannot be checked there"
        return Finding("loss", NOTE, text)
    fell_back = loss.head is not None and loss.head.off
    return Finding("loss", NOTE if fell_back else OK, f"slung's, {loss.place}")


def _silence(trainer) -> Finding:
    why = trainer.slung_silence.cannot()
    if why:
        return Finding("masked micro-batches", NOTE, f"not checked: {why}")
    both = len(trainer.slung_silence.buckets()) > 1
    kinds = "one of only -100 and one of masked codes leave" if both else "one of only -100 leaves"
    text = f"{kinds} no gradient on any parameter"
    if trainer.slung_silence.without_auxiliary:
        text += "; this check leaves out the auxiliary loss of the mixture of experts"
    return Finding("masked micro-batches", OK, text)


def _ignored(seen: Seen, trainer) -> Finding:
    number, ignored = seen.labels
    collator = collator_name(trainer.data_collator)
    text = (
        f"{ignored} of {number} labels are -100, including padding; the others are token ids, as in the rows given to "
        f"{collator}"
    )
    return Finding("labels in the batches", OK, text)


def _batches(seen: Seen, planted: Planted | None, buckets, trainer) -> list[Finding]:
    collator = type(trainer.data_collator).__name__
    findings = []
    if planted is None:
        workers = f"`dataloader_num_workers: {trainer.args.dataloader_num_workers}` processes label the stream"
        text = (
            f"not checked: {workers}, and no labels are planted there, so whether all labels of a row reach the loss is not "
            "known; to check it, set `dataloader_num_workers: 0`"
        )
        findings.append(Finding("labels in the batches", NOTE, text))
    else:
        wrong = [row for row, counts in seen.planted.items() if counts != planted.rows.get(row)]
        total = sum(sum(counts.values()) for counts in seen.planted.values())
        by_action: dict[str, int] = {}
        for counts in seen.planted.values():
            for (bucket, weighs), number in counts.items():
                action = (
                    f"{buckets[bucket].action.value} with a weight" if weighs else buckets[bucket].action_of_code.value
                )
                by_action[action] = by_action.get(action, 0) + number
        text = ", ".join(f"{action} {number}" for action, number in sorted(by_action.items()))
        if not total:
            findings.append(
                Finding("labels in the batches", FAILED, f"no planted label reached the loss through {collator}")
            )
        elif wrong:
            text = f"{len(wrong)} of {len(seen.planted)} rows lost or gained planted labels in {collator}"
            findings.append(Finding("labels in the batches", FAILED, text))
        else:
            text = (
                f"all planted labels of the {len(seen.planted)} rows in {seen.batches} batches passed {collator} and "
                f"reached the loss: {text}"
            )
            findings.append(Finding("labels in the batches", OK, text))
    if not seen.gradients:
        findings.append(Finding("gradients", NOTE, "not checked: nothing before the head is trained"))
        return findings
    if seen.infinite:
        text = f"not finite in {seen.infinite} of {seen.gradients} micro-batches; these were not checked"
        findings.append(Finding("gradients", NOTE, text))
    if seen.leaks:
        text = f"{seen.leaks} of {seen.silent} targets without a loss have a gradient"
    else:
        text = f"exactly zero for all {seen.silent} targets without a loss"
    findings.append(Finding("gradients of masked targets", FAILED if seen.leaks else OK, text))
    text = (
        f"not zero for {seen.moved} of {seen.kept} targets with a loss, and for {seen.beside_moved} of {seen.beside} "
        "next to a masked one"
    )
    # the model may predict a target so well that its gradient is rounded to zero
    fine = seen.moved > 0.5 * seen.kept and seen.beside_moved >= 0.5 * seen.beside
    findings.append(Finding("gradients of their neighbors", OK if fine else FAILED, text))
    return findings


def _normalizer(seen: Seen, trainer) -> list[Finding]:
    arguments, loss = trainer.args, trainer.slung_loss
    accumulated, ranks = arguments.gradient_accumulation_steps, arguments.world_size
    window = f"{accumulated} micro-batch{'es' * (accumulated > 1)} on {ranks} rank{'s' * (ranks > 1)}"
    # the divisors that the loss really used: a model may divide by another number
    divisors = iter(seen.divided)
    steps = [[next(divisors, 0.0) for _ in range(batches)] for _, batches in seen.counted]
    divided = ", ".join("/".join(f"{count:g}" for count in sorted(set(step))) for step in steps)
    text = f"each step's summed loss is divided by its {loss.normalize_by} over {window}: {divided}"
    if arguments.world_size == 1 and any(
        set(step) != {max(1.0, count)} for step, (count, _) in zip(steps, seen.counted)
    ):
        counted = ", ".join(str(count) for count, _ in seen.counted)
        return [Finding("normalizer", FAILED, f"{text}; expected {counted}")]
    return [Finding("normalizer", OK, text)]
