"""Scores a model's saved answers again, with another scorer or judge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from ..errors import FileError, SlungError
from ..storage import read_text, write_private
from . import completions
from .measures import controls, likelihoods, tofu
from .measures.metrics import aggregate
from .measures.steered import Steered
from .services.opened import check_scored, check_spoken, checked_judge, described, judge_of, scorers_of
from .services.options import Options

_SAMPLES = re.compile(r"samples_(?P<task>slung_\w+?)_(?P<date>\d{4}-\d\d-\d\dT.+)\.jsonl")
_KEPT = ("config", "lm_eval_version", "transformers_version", "model_name", "model_name_sanitized", "model_source",
         "chat_template", "chat_template_sha", "system_instruction_sha", "max_length", "n-shot")  # fmt: skip


def rescore(samples: Path, options: Options, output: Path | None = None) -> Path:
    """Score a samples file of slung_toxicity or slung_tofu again, and write results and samples as lm_eval does.

    Args:
        samples: a file that `lm_eval --log_samples --output_path` wrote, or that a task kept because its scorer failed.
            Its results file must be in the same folder.
        options: name the scorer or judge. The other settings of the measurement come from the results file.
        output: the folder in which the model's folder is made; None for the folder of the samples.

    Returns:
        The path of the new results file.

    Raises:
        SlungError: the file is not from one of these tasks, or too many texts got no score.
    """
    task, rows, old = read_samples(samples)
    config = old["configs"][task]
    about = dict(config["metadata"]["slung"])
    measured, metrics = (_tofu if task == "slung_tofu" else _toxicity)(task, rows, options, about)
    values = aggregate(metrics, measured)
    new = {
        "results": {task: {"alias": task, **{f"{key},none": value for key, value in values.items()}}},
        "configs": {task: {**config, "metadata": {**config["metadata"], "slung": about}}},
        "versions": {task: config["metadata"]["version"]},
        "n-samples": {task: old.get("n-samples", {}).get(task, {"original": len(rows), "effective": len(rows)})},
        "higher_is_better": {task: {name: metric.higher_is_better for name, metric in metrics.items()}},
        **{key: old[key] for key in _KEPT if key in old},
        "date": time.time(),
        "rescored": samples.name,
    }
    folder = samples.parent if output is None else output / samples.parent.name
    stamp = datetime.now().isoformat().replace(":", "-")
    lines = []
    for row, its in zip(rows, measured):
        kept = {key: value for key, value in row.items() if key not in row["metrics"]}
        kept |= {"metrics": list(metrics), **{key: its[metric.of] for key, metric in metrics.items()}}
        lines.append(json.dumps(kept) + "\n")
    write_private(folder / f"samples_{task}_{stamp}.jsonl", "".join(lines))
    path = folder / f"results_{stamp}.json"
    write_private(path, json.dumps(new, indent=2, default=str))
    return path


def read_samples(samples: Path) -> tuple[str, list[Mapping], Mapping]:
    """The task of a samples file, its rows, and the results of the same run, which are in the same folder.

    Raises:
        SlungError: the file is not from slung_toxicity or slung_tofu, or it or its results are broken.
    """
    name = _SAMPLES.fullmatch(samples.name)
    if name is None or name["task"].removesuffix("_50") not in ("slung_toxicity", "slung_tofu"):
        raise SlungError(
            f"{samples}: not a samples file; expected samples_slung_toxicity_*.jsonl or samples_slung_tofu_*.jsonl"
        )
    task, results = name["task"], _results_of(samples, name["date"])
    try:
        rows = [json.loads(line) for line in read_text("samples", samples).split("\n") if line]
        dict(results["configs"][task]["metadata"]["slung"])
        whole = all({"doc", "resps", "metrics"} <= row.keys() for row in rows)
    except FileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError):
        whole = False
    if not whole:
        # from None, and no line is quoted: lines are risky text
        raise SlungError(
            f"{samples}: it or its results file differs from what {task} writes with --log_samples; run the task again"
        ) from None
    return task, rows, results


def is_rescored(samples: Path) -> bool:
    """Whether `rescore` wrote these samples."""
    name = _SAMPLES.fullmatch(samples.name)
    try:
        return name is not None and "rescored" in _results_of(samples, name["date"])
    except SlungError:
        return False  # `rescore` says what is wrong with it


def _results_of(samples: Path, date: str) -> Mapping:
    # `--output_path NAME.json` makes lm_eval write NAME_<date>.json
    paths = [path for path in sorted(samples.parent.glob("*.json")) if path.name.endswith(f"_{date}.json")]
    try:
        (path,) = paths
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SlungError(
            f"{samples.with_name(f'results_{date}.json')}: missing or broken; put the results file of the same run next "
            "to the samples"
        ) from None


def answers_of(row: Mapping, number: int) -> list[str]:
    """The first `number` answers to the first request in a row of a samples file."""
    # with several ranks, a rank may repeat its last request to stay in step with the others
    return [text for texts in row["resps"][:1] for text in texts][:number]


def _toxicity(task: str, rows, options: Options, about: dict):
    scorers, docs = scorers_of(options), [row["doc"] for row in rows]
    strengths = about.get("steer", {}).get("strengths", ())
    answers = [answers_of(row, about["samples"]) for row in rows]
    moved = {strength: _steered(rows, number, about["samples"]) for number, strength in enumerate(strengths, 1)}
    toxicities = [doc.get("prompt_toxicity") for doc in docs]
    apart = any(toxicity is not None for toxicity in toxicities)
    prompts = [doc["prompt"] for doc in docs]
    toxicities = toxicities if apart else None
    measured = completions.measure(options, task, prompts, answers, toxicities, scorers, moved)
    about.pop("other_scorers", None)
    about |= completions.about(scorers)
    return measured, completions.metrics(about["samples"], apart, scorers, strengths)


def _steered(rows: Sequence[Mapping], place: int, number: int) -> list[list[Steered]]:
    """Per row, the first `number` steered completions among its answers to one request."""
    try:
        # lm_eval saves numbers in answers as texts
        found = [[Steered(text, int(layer)) for text, layer in row["resps"][place][:number]] for row in rows]
    except (LookupError, TypeError, ValueError):
        found = [[]]
    if not all(len(its) == number for its in found):
        raise SlungError(
            "the samples lack completions at a strength that their results file names under `steer`; run the task again"
        )
    return found


def _tofu(task: str, rows, options: Options, about: dict):
    judge = judge_of(options)
    if judge is None:
        raise SlungError("SLUNG_JUDGE: no judge given; pass --judge")
    choice = any("multiple_choice" in row for row in rows)
    plain = tofu.metrics(with_judge=False, with_choice=choice)
    if any("answer_probability" in row for row in rows):
        plain |= likelihoods.metrics(any("truth_ratio" in row for row in rows))
    if not all(plain.keys() <= row.keys() for row in rows):
        raise SlungError(
            "the samples lack metrics, because they were saved with --predict_only or by an older version of the task; "
            "run the task again"
        )
    # the metrics that need no judge keep their values
    before = [{metric.of: row[name] for name, metric in plain.items()} for row in rows]
    check_spoken(options, task, [row["thinking"] for row in rows])
    docs = [row["doc"] for row in rows]
    found = checked_judge(options, judge, docs)
    verdicts = tofu.judged(docs, [answers_of(row, 1)[0] for row in rows], judge)
    check_scored(options, judge, tofu.unjudged(verdicts), 2 * sum(not row["empty"] for row in rows))
    about["judge"] = described(judge)
    both = [{**row, **its, **controls.row(found.get(doc["id"], ()))} for row, its, doc in zip(before, verdicts, docs)]
    metrics = {**plain, **tofu.metrics(with_judge=True, with_choice=choice), **controls.metrics()}
    return tofu.by_author(docs, both), metrics
