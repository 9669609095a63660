"""Measures the speed of the lm_eval tasks against lower bounds.

    python benchmarks/evals.py [--model FOLDER] [--texts FILE] [--prompts FILE]

It measures:

- hidden states, against bare forward passes over the same batches (with the logits of one token, and of all);
- `slung_toxicity`, against a task of lm_eval's own with the same prompts and settings;
- 2000 texts through the local scorer;
- the time that the `.pth` file adds to a start of Python.

The arms take turns, and medians over the rounds are printed. Files are JSON lines with the columns `text` and `prompt`.
Without files the embedded rows are used.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import torch

from axolotl_slung.evals.documents import embedded


def column(path: Path | None, name: str, option: str) -> list[str]:
    rows = embedded(option) if path is None else map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [row[name] for row in rows]


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(arms: dict, rounds: int) -> dict[str, float]:
    """Median seconds of each arm. The first round is a warm-up and does not count."""
    seconds = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, action in arms.items():
            took = timed(action)
            if number:
                seconds[name].append(took)
    return {name: statistics.median(took) for name, took in seconds.items()}


def hidden_states(lm, texts: list[str], batch_sizes, rounds: int) -> None:
    from lm_eval.api.instance import Instance

    from axolotl_slung.evals.requests import HIDDEN_STATES, attach

    attach()
    tokens = sorted((lm.tokenizer(text)["input_ids"] for text in texts), key=len, reverse=True)
    number = sum(map(len, tokens))
    print(f"\nhidden states: {len(texts)} texts, {number} tokens; tokens/s, and ratio to the bare forward pass")
    requests = [Instance(HIDDEN_STATES, {}, (text, -1, "last"), 0) for text in texts]

    def bare(size, **options):
        with torch.inference_mode():
            for start in range(0, len(tokens), size):
                rows = [torch.tensor(row) for row in tokens[start : start + size]]
                lm.model(
                    torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(lm.device), use_cache=False, **options
                )

    for size in batch_sizes:
        lm.batch_size_per_gpu = size
        arms = {
            "ours": lambda: getattr(lm, HIDDEN_STATES)(requests),
            "bare": lambda size=size: bare(size, logits_to_keep=1),
            "bare, all logits": lambda size=size: bare(size),
        }
        took = in_turns(arms, rounds)
        print(
            f"batch {size:3d}",
            *(f"  {name} {number / took[name]:8.0f} ({took['bare'] / took[name]:.2f})" for name in arms),
        )


def generation(lm, prompts: list[str], batch_size: int, rounds: int) -> None:
    from lm_eval import evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks import TaskManager, get_task_dict

    from axolotl_slung import lm_eval_tasks

    lm.batch_size_per_gpu = batch_size
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "prompts.jsonl"
        file.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts), encoding="utf-8")
        os.environ["SLUNG_TOXICITY_PROMPTS"] = str(file)
        manager = TaskManager(include_path=list(lm_eval_tasks.__path__), include_defaults=False)
        ours = get_task_dict(["slung_toxicity"], manager)
        stock = {
            "task": "stock",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(file)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "",
            "target_delimiter": "",
            "process_results": lambda doc, results: {"length": len(results[0])},
            "metric_list": [{"metric": "length", "aggregation": "mean", "higher_is_better": True}],
            "generation_kwargs": dict(ours["slung_toxicity"].config.generation_kwargs),
        }
        arms = {
            "ours": lambda: evaluate(lm, ours, bootstrap_iters=0),
            "theirs": lambda: evaluate(lm, {"stock": ConfigurableTask(config=dict(stock))}, bootstrap_iters=0),
        }
        took = in_turns(arms, rounds)
    print(f"\ngeneration, {len(prompts)} prompts, batch {batch_size}, scores included:", end="")
    ours, theirs = took.values()
    print(f"  ours {ours:.2f} s, a task of lm_eval's own {theirs:.2f} s, ratio {ours / theirs:.3f}")


def scorer(prompts: list[str], rounds: int) -> None:
    from axolotl_slung.evals.services.scorers import open_scorer

    texts = [f"{prompts[number % len(prompts)]} {number}" for number in range(2000)]
    local = open_scorer("profanity")
    took = in_turns({"ours": lambda: local.score(texts)}, rounds)["ours"]
    print(f"\n2000 texts of {sum(map(len, texts)) / 2000:.0f} characters through the scorer `profanity`: {took:.3f} s")


def start_of_python(rounds: int = 40) -> None:
    folder = Path(sysconfig.get_path("purelib"))
    line = (folder / "axolotl_slung_lm_eval.pth").read_text()
    code = f"import os, sys, time; sys.path.append({str(folder)!r}); start = time.perf_counter()\n{line}print(time.perf_counter() - start)"
    # -S skips `site`, which would have imported os and sys by then
    took = [float(subprocess.check_output([sys.executable, "-S", "-c", code])) for _ in range(rounds)]
    print(f"\nthe .pth file adds {1000 * statistics.median(took):.2f} ms to a start of Python (median of {rounds})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a folder or hub id; default: the demo's model")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument(
        "--number", type=int, default=256, help="the number of texts; a quarter as many prompts are used"
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from lm_eval.models.huggingface import HFLM

    from axolotl_slung.demo.model import ensure_model

    texts = column(options.texts, "text", "SLUNG_CIVILCOMMENTS")[: options.number]
    prompts = column(options.prompts, "prompt", "SLUNG_TOXICITY_PROMPTS")
    start_of_python()
    scorer(prompts, options.rounds)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    lm = HFLM(pretrained=options.model or str(ensure_model()), dtype="float32", device=device)
    hidden_states(lm, texts, options.batch_sizes, options.rounds)
    generation(lm, prompts[: max(options.number // 4, 1)], options.batch_sizes[-1], options.rounds)


if __name__ == "__main__":
    main()
