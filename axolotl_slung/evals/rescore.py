"""Saved answers of a model, scored again by another scorer or judge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import SlungError
from . import tofu, toxicity
from .metrics import aggregate
from .names import Names, read_names
from .options import Options
from .services import check_scored, described, judge_of, scorer_of

_SAMPLES = re.compile(r"samples_(?P<task>slung_\w+?)_(?P<date>\d{4}-\d\d-\d\dT.+)\.jsonl")
_AGAIN = "What it answered is kept: the same command asks for the rest alone"
_KEPT = ("config", "date", "lm_eval_version", "transformers_version", "model_name", "model_name_sanitized", "model_source")


def rescore(samples: Path, options: Options, output: Path) -> Path:
    """Score a samples file of slung_toxicity or slung_tofu again, and write results and samples as lm_eval does.

    Args:
        samples: as `lm_eval --log_samples --output_path` wrote it, with its results file beside it; or what a task saved whose scorer
            failed.
        options: which scorer, or judge. What decides the rest of the measurement is taken from the results file.
        output: a folder; the model's folder is made in it.

    Returns:
        The new results file.

    Raises:
        SlungError: the file is none of these tasks', or too many texts got no score.
    """
    name = _SAMPLES.fullmatch(samples.name)
    if name is None or name["task"].removesuffix("_50") not in ("slung_toxicity", "slung_tofu"):
        raise SlungError(f"{samples}: give a file samples_slung_toxicity_*.jsonl or samples_slung_tofu_*.jsonl")
    task, old = name["task"], _results_of(samples, name["date"])
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").split("\n") if line]
    config = old["configs"][task]
    about = dict(config["metadata"]["slung"])
    docs, completions = [row["doc"] for row in rows], [[text for texts in row["resps"] for text in texts] for row in rows]
    if task == "slung_tofu":
        measured, metrics = _tofu(docs, completions, options, about)
    else:
        measured, metrics = _toxicity(docs, completions, options, about)
    values = aggregate(metrics, measured)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    folder = output / samples.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"samples_{task}_{stamp}.jsonl").open("w", encoding="utf-8") as file:
        for row, values_of in zip(rows, measured):
            kept = {key: value for key, value in row.items() if key not in row.get("metrics", ())}
            kept |= {"metrics": list(metrics), **{key: values_of[metric.of] for key, metric in metrics.items()}}
            file.write(json.dumps(kept) + "\n")
    new = {
        "results": {task: {"alias": task, **{f"{key},none": value for key, value in values.items()}}},
        "configs": {task: {**config, "metadata": {**config["metadata"], "slung": about}}},
        "versions": {task: config["metadata"]["version"]},
        "n-samples": {task: old.get("n-samples", {}).get(task, {"original": len(rows), "effective": len(rows)})},
        **{key: old[key] for key in _KEPT if key in old},
        "rescored": stamp,
    }
    path = folder / f"results_{stamp}.json"
    path.write_text(json.dumps(new, indent=2, default=str), encoding="utf-8")
    return path


def _results_of(samples: Path, date: str) -> Mapping:
    path = samples.with_name(f"results_{date}.json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise SlungError(
            f"{path}: missing or broken; the results file of the same run has to lie beside the samples, since it says how they were made"
        ) from None


def _toxicity(docs: Sequence[Mapping], completions, options: Options, about: dict):
    scorer = scorer_of(options)
    measured = toxicity.measure([doc["prompt"] for doc in docs], completions, scorer)
    check_scored(options, scorer, sum(row["unscored"] for row in measured), 2 * sum(map(len, completions)), _AGAIN)
    about["scorer"] = described(scorer)
    return measured, toxicity.metrics(about["samples"])


def _tofu(docs: Sequence[Mapping], completions, options: Options, about: dict):
    judge = judge_of(options)
    if judge is None:
        raise SlungError("SLUNG_JUDGE: none given; name the judge that is to score the answers, with --judge")
    if about["names"]["from"] == "file":
        if options.tofu_names is None:
            raise SlungError("SLUNG_TOFU_NAMES: missing; these answers were measured with a file of names: name it again")
        names = read_names("SLUNG_TOFU_NAMES", options.tofu_names)
    else:
        names = sorted({doc["author"] for doc in docs})
    matcher = Names(names, released=about["protocol"] == "released")
    measured = tofu.measure(docs, [texts[0] for texts in completions], matcher, judge)
    check_scored(options, judge, tofu.unjudged(measured), 2 * len(docs), _AGAIN)
    about["judge"] = described(judge)
    return measured, tofu.metrics(judged=True)
