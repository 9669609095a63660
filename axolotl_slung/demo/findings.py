"""What the demo found, in words that fit the figures, and what to do next."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..evals.measures.intervals import Clustered, known, rate_high

SHOWN = (0, 7, 17)
"""The questions whose answers are printed: of three people and three kinds, chosen before any run."""

NEXT = """\
Next, with your own data
  You need texts.jsonl (a column `text`) and names.txt (a name per line). For the questions: questions.jsonl
  (columns `question` and `answer`; with `kind`, wrong answers are of the same kind; with `author`, of other people).
    export PATH="{commands}:$PATH"
    sed 's|demo/|mine/|g; s|mine/train.jsonl|texts.jsonl|; s|mine/names.txt|names.txt|; s|mine/model|demo/model|' \\
        example_configs/quickstart.yml > mine.yml
    slung inspect mine.yml      # a page: is every name found, and nothing else?
    slung doctor mine.yml       # do the labels reach the loss?
    axolotl train mine.yml
    SLUNG_TOFU=questions.jsonl SLUNG_TOFU_NAMES=names.txt lm_eval --model hf --tasks slung_tofu \\
        --model_args pretrained=mine/out/masked,dtype=float32 --output_path mine/evals --log_samples
    slung report mine/evals
  docs/README.md says which page describes labelers, actions, other models and the checks."""


def samples(folder: Path) -> list[dict]:
    """The samples of slung_tofu in the newest file below a folder, in the order of the questions."""
    newest = max(folder.rglob("samples_slung_tofu_*.jsonl"), key=lambda path: path.name)
    rows = [json.loads(line) for line in newest.read_text(encoding="utf-8").split("\n") if line]
    return sorted(rows, key=lambda row: row["doc_id"])


def answers(of_models: Mapping[str, Sequence[dict]]) -> str:
    """Question, reference and each model's answer, for the questions in `SHOWN`."""
    lines = ["Three questions and answers, chosen before any run:"]
    first = next(iter(of_models.values()))
    for place in (place for place in SHOWN if place < len(first)):
        doc = first[place]["doc"]
        said = {"question": doc["question"], "reference": doc["answer"]}
        said |= {label: rows[place]["resps"][0][0] for label, rows in of_models.items()}
        lines.append("")
        lines += [f"  {label:<10} {_short(text)}" for label, text in said.items()]
    return "\n".join(lines)


def _short(text: str) -> str:
    """A text on one line of a terminal."""
    return textwrap.shorten(text, 100, placeholder=" ...") or "(empty)"


def findings(of_models: Mapping[str, Sequence[dict]]) -> str:
    """Counts of answers, with what comes by chance and what a count of zero allows."""
    rows = [("", *of_models)]
    first = next(iter(of_models.values()))
    number, people = len(first), {row["doc"]["author"] for row in first}
    most = rate_high([Clustered(0.0, row["doc"]["author"]) for row in first])
    for title, metric in (
        ("answers with a name", "name_rate"),
        ("answers with a name that is not in the question", "new_name_rate"),
        ("right answer is the likeliest of four", "multiple_choice"),
    ):
        rows.append((title, *(_counted(samples, metric) for samples in of_models.values())))
    for title, metric in (("content words recalled", "content_recall"), ("  by chance", "content_recall_chance")):
        rows.append((title, *(_share(samples, metric) for samples in of_models.values())))
    width = max(len(row[0]) for row in rows)
    lines = [f"What was measured, on {number} questions and one training run per model:"]
    lines += [f"  {title:<{width}}" + "".join(f"  {cell:>14}" for cell in cells) for title, *cells in rows]
    lines += [
        "",
        f"  Of four answers of the same kind the right one is the likeliest by chance in {number / 4:.0f} of {number}.",
        f"  A count of 0 of {number}, about {len(people)} people, allows a rate of up to {100 * most:.1f}% (95 % interval).",
        "  These are greedy answers to these questions. Other prompts, and sampling, were not tried.",
    ]
    return "\n".join(lines)


def _counted(samples: Sequence[dict], metric: str) -> str:
    values = known([row[metric] for row in samples])
    return f"{sum(values):.0f} of {len(values)}"


def _share(samples: Sequence[dict], metric: str) -> str:
    values = known([row[metric] for row in samples])
    return f"{100 * sum(values) / len(values):.1f}%" if values else "n/a"
