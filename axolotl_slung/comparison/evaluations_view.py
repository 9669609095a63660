"""The sections of `slung report`, for a terminal and a page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..evals.measures.intervals import rate_high
from ..render.formats import count
from ..render.sections import Figure, Section, Table
from . import paper
from .cells import cell as _cell
from .cells import percent as _percent
from .differences_view import differences
from .evaluations import Estimate, Evaluations, Method, directions
from .frontier import points
from .tasks import AUDIT, PERPLEXITY, PROBE, TASKS, TOFU, TOXICITY
from .toxicity_view import toxicity_in_detail

_ERRORS = "± is the standard error over samples, and over seeds if there are several. n/a: the files do not say."
_SHOWN = (
    "toxicity", "toxic_rate", "expected_maximum", "auroc", "token_perplexity", "byte_perplexity", "word_perplexity",
    "name_rate", "new_name_rate", "correct", "partially_correct", "rougeL_recall_no_names", "token_recall_no_names",
    "content_recall", "multiple_choice",
)  # fmt: skip
"""Metrics that have a place in the tables by topic."""
_ELSEWHERE = re.compile("_steered_|_by_|_with_(?!prompt$)|_prompts$|^auroc_|^chosen_layer$|^accuracy")
"""What the sections on several scorers, kinds of prompts, steering and understanding show."""
_UNITS = {"token": "depends on the model's tokenizer", "byte": "comparable between tokenizers", "word": ""}


def sections(
    evaluations: Evaluations,
    pictures: Mapping[str, str],
    understanding: Sequence[Section] = (),
    leakage: Sequence[Section] = (),
) -> list[Section]:
    """The sections that `slung report` shows.

    Args:
        evaluations: what to show.
        pictures: the result of `plots.draw`: HTML by name.
        understanding: the sections of `understanding.py`.
        leakage: the sections of `leakage_view.py`.
    """
    parts = [*leakage, *_toxicity(evaluations, pictures), *understanding, *_perplexity(evaluations)]
    parts += _tofu(evaluations, pictures)
    parts += [*_more(evaluations), *_others(evaluations), *differences(evaluations)]
    parts += [paper.section()] if evaluations.with_paper else []
    if evaluations.notes:
        parts.append(Section("Notes", "", [Table(["note"], [[note] for note in evaluations.notes])]))
    return parts


def _toxicity(evaluations: Evaluations, pictures: Mapping[str, str]) -> list[Section]:
    blocks = []
    tasks = [task for task in TOXICITY if evaluations.having(task)]
    # results of only the probe are a table too
    for task in tasks or [TOXICITY[0]]:
        methods = evaluations.having(task, PROBE)
        placed = points(evaluations, (task, "toxicity"), (PROBE, "auroc"))
        on_frontier = {point.method: point.said for point in placed}
        sampled = any(method.estimate(task, "expected_maximum") for method in methods)
        rows = []
        for method in methods:
            cells = [_cell(method.estimate(task, "toxicity"), 4), _percent(method.estimate(task, "toxic_rate"))]
            if sampled:
                cells.append(_cell(method.estimate(task, "expected_maximum"), 3))
            cells.append(_cell(method.estimate(PROBE, "auroc"), 4))
            rows.append([method.name, _seeds(method, task, PROBE), *cells, on_frontier.get(method, "n/a")])
        head = ["method", "seeds", "toxicity", "toxic rate", *["maximum"] * sampled, "AUROC", "frontier"]
        if rows:
            blocks += [Table(head, rows, task if len(tasks) > 1 else ""), measured_table(evaluations, task, PROBE)]
    if not blocks:
        return []
    note = (
        "Toxicity is the mean score of generations (lower is better). The toxic rate is the share of prompts with a "
        "score of at least 0.5. AUROC is that of a linear probe on hidden states (higher is better). A method is on the "
        "Pareto frontier if no other method is better in one mean and at least as good in the other. Within noise: the "
        "differences that decide this are not beyond their 95 % intervals (paired by document where samples are there). "
        f"{_ERRORS}"
    )
    blocks += [Figure(pictures[name]) for name in ("plane", "planes") if name in pictures]
    drawn = [Section("Toxicity: generation against understanding", note, blocks), *toxicity_in_detail(evaluations)]
    if "quantity" in pictures:
        how = "Up and to the left is better. Dotted lines are methods without a quantity."
        drawn.append(Section("The quantity of risky data", how, [Figure(pictures["quantity"])]))
    return drawn


def _perplexity(evaluations: Evaluations) -> list[Section]:
    tasks = [task for task in PERPLEXITY if evaluations.having(task)]
    if not tasks:
        return []
    sources = [str(_data(evaluations.setup(task)).get("source", task)) for task in tasks]
    # The table must fit a terminal. The full name is below it.
    heads = [source if len(source) <= 24 else f"{source[:23]}…" for source in sources]
    heads = heads if len(set(heads)) == len(tasks) else tasks
    tables = []
    for unit, about in _UNITS.items():
        rows = [
            [
                method.name,
                _seeds(method, *tasks),
                *(_cell(method.estimate(task, f"{unit}_perplexity"), 2) for task in tasks),
            ]
            for method in evaluations.having(*tasks)
        ]
        if any(cell != "n/a" for row in rows for cell in row[2:]):
            rows += paper.perplexity(tasks) if evaluations.with_paper and unit == "token" else []
            title = f"per {unit}" + (f" ({about})" if about else "")
            tables.append(Table(["method", "seeds", *heads], rows, title))
    note = f"Lower is better; the paper's Table 2. {_ERRORS}"
    return [Section("Perplexity", note, [*tables, measured_table(evaluations, *tasks)])]


def _tofu(evaluations: Evaluations, pictures: Mapping[str, str]) -> list[Section]:
    methods = evaluations.having(TOFU)
    if not methods:
        return []
    names = {"names": "name_rate", "new names": "new_name_rate"}
    says = [
        [method.name, _seeds(method, TOFU), *(_rate(method, TOFU, metric) for metric in names.values())]
        for method in methods
    ]
    judged = evaluations.judged
    rates = {"full correct": "correct", "partial correct": "partially_correct"} if judged else {}
    recalls = {} if judged else {"ROUGE-L recall": "rougeL_recall_no_names", "token recall": "token_recall_no_names"}
    recalls |= {"content recall": "content_recall"}
    knows, chosen = [], []
    for method in methods:
        cells = [_percent(method.estimate(TOFU, metric)) for metric in rates.values()]
        knows.append([method.name, *cells, *(_cell(method.estimate(TOFU, metric), 3) for metric in recalls.values())])
        chance = [method.estimate(TOFU, f"{metric}_chance") for metric in recalls.values()]
        if any(chance):
            knows.append(
                [f"{method.name}, by chance", *[""] * len(rates), *(_mean(estimate, 3) for estimate in chance)]
            )
        by_chance = _mean(method.estimate(TOFU, "multiple_choice_chance"), 1, 100, "%")
        chosen.append([method.name, _rate(method, TOFU, "multiple_choice"), by_chance])
    if evaluations.with_paper:
        says += paper.names()
        knows += [[*cells, *["n/a"] * len(recalls)] for cells in paper.correct()] if judged else []
    about_names = (
        "Names is the share of answers that name a person of the data. New names is the share that name one who is not "
        f"in the question. Lower is better for both. The paper's Table 4. {_ERRORS}"
    )
    about_facts = (
        f"{'Full correct and partial correct are shares of answers, by a judge. ' if judged else ''}"
        "Recall is the share of the reference's words in an answer, without names. Content recall counts only words "
        "that are neither in the question nor function words. By chance: the same answers, compared with the answer to "
        "another question of the same kind. Multiple choice is the share of questions whose right answer is likelier "
        "than the wrong ones, per character outside of names. Higher is better for all."
    )
    facts = [Table(["method", *rates, *recalls], knows)]
    facts += [Table(["method", "multiple choice", "by chance"], chosen), measured_table(evaluations, TOFU)]
    facts += [Figure(pictures["names"])] if "names" in pictures else []
    return [
        Section("TOFU: names in answers", about_names, [Table(["method", "seeds", *names], says)]),
        Section("TOFU: facts", about_facts, facts),
    ]


def _more(evaluations: Evaluations) -> list[Section]:
    """The metrics of slung's tasks that the other tables leave out, a row each."""
    rows = []
    for task in evaluations.tasks:
        methods = evaluations.having(task)
        runs = [run for method in methods for run in method.runs[task]]
        if task in TASKS and task not in AUDIT:
            rows += [
                [f"{task}: {metric}", "higher" if higher else "lower",
                 *(_cell(method.estimate(task, metric), 4) for method in evaluations.methods)]
                for metric, higher in directions(task, runs).items()
                if metric not in _SHOWN and not _ELSEWHERE.search(metric)
            ]  # fmt: skip
    if not rows:
        return []
    head = ["metric", "better", *(method.name for method in evaluations.methods)]
    return [Section("Other metrics", f"What the tables above leave out. {_ERRORS}", [Table(head, rows, left=2)])]


def _others(evaluations: Evaluations) -> list[Section]:
    """A column per task that is not slung's, with its main metric."""
    columns = evaluations.others
    if not columns:
        return []
    methods = evaluations.having(*columns)
    rows = [
        [method.name, _seeds(method, *columns), *(_cell(method.estimate(*column), 4) for column in columns.items())]
        for method in methods
    ]
    head = ["method", "seeds", *(f"{task}: {metric}" for task, metric in columns.items())]
    note = f"Each task's main metric: acc_norm if it has one, else acc, and so on. {_ERRORS}"
    return [Section("Other tasks", note, [Table(head, rows), measured_table(evaluations, *columns)])]


def _mean(estimate: Estimate | None, digits: int, scale: float = 1, unit: str = "") -> str:
    return "n/a" if estimate is None else f"{scale * estimate.mean:.{digits}f}{unit}"


def _rate(method: Method, task: str, metric: str) -> str:
    """A share of answers. If none or all have it: their number, and the other end of the 95 % interval."""
    estimate, samples = method.estimate(task, metric), method.samples(task, metric)
    if estimate is None or estimate.mean not in (0, 1) or not samples:
        return _percent(estimate)
    least, most = estimate.low, estimate.high
    if least is None or most is None or least == most:
        # a file with an error of 0 and without an interval; all seeds have the same documents
        most = rate_high([0.0] * (samples // estimate.runs))
        least = 1 - most
    if estimate.mean:
        return f"100.0% ({count(samples)} of {count(samples)}, at least {100 * least:.1f}%)"
    return f"0.0% (0 of {count(samples)}, at most {100 * most:.1f}%)"


def _seeds(method: Method, *tasks: str) -> str:
    """Number of seeds, or several numbers if the tasks differ."""
    numbers = [len(method.runs[task]) for task in tasks if task in method.runs]
    return "/".join(map(str, dict.fromkeys(numbers)))


def measured_table(evaluations: Evaluations, *tasks: str) -> Table:
    """One row per task on how it was measured."""
    rows = [[task, measured(evaluations.setup(task))] for task in tasks if evaluations.having(task)]
    return Table(["task", "how"], rows, "How it was measured", left=2)


def measured(setup: Mapping) -> str:
    """Scorer, judge, protocol, data, lengths, probe and number of documents, in one line.

    Args:
        setup: a run's `setup`.
    """
    slung, data, generation = setup["slung"], _data(setup), setup["generation_kwargs"]
    parts = []
    for role in ("scorer", "judge"):
        if role in slung:
            described = slung[role] if isinstance(slung[role], Mapping) else {"name": slung[role]}
            parts.append(_joined([role, described.get("name"), described.get("version")]))
    if "protocol" in slung:
        parts.append(f"protocol {slung['protocol']}")
    if data:
        digest = f"(digest {str(data['digest'])[:8]})" if "digest" in data else None
        parts.append(_joined(["data", data.get("source"), digest]))
    parts += _probe(slung.get("probe"))
    if "max_gen_toks" in generation:
        how = "sampled" if generation.get("do_sample") else "greedy"
        parts.append(f"up to {generation['max_gen_toks']} tokens, {how}")
    if isinstance(number := slung.get("samples"), int) and number > 1:
        parts.append(f"{number} samples per prompt")
    if isinstance(slung.get("steer"), Mapping):
        parts.append(_joined(["steered too, at layer", slung["steer"].get("layer")]))
    if shots := setup.get("few-shot"):
        parts.append(f"{shots} examples in the prompt")
    if not parts:
        parts.append("not stated in the file")
    if isinstance(number := setup["effective samples"], (int, float)):
        parts.append(f"{count(number)} documents")
    return ", ".join(parts)


def _probe(probe) -> list[str]:
    """The probe's settings. All are said, also those that this release does not know."""
    if not isinstance(probe, Mapping):
        return []
    known = {
        "layer": "layer {}",
        "pooling": "{} pooling",
        "draws": "{} draws",
        "train": "{} to train",
        "test": "{} to test",
    }
    said = [form.format(probe[name]) for name, form in known.items() if name in probe]
    said += [f"{name} {value}" for name, value in probe.items() if name not in known]
    return [f"probe: {', '.join(said)}"]


def _data(setup: Mapping) -> Mapping:
    data = setup["slung"].get("data")
    return data if isinstance(data, Mapping) else {}


def _joined(words: Sequence) -> str:
    return " ".join(str(word) for word in words if word is not None)
