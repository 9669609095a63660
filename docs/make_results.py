"""Writes the tables of docs/results.md from the results that are kept in docs/results/.

    python docs/make_results.py

A table stands between `<!-- results: NAME -->` and `<!-- end -->`. docs/results/NAME has `report.json`, which `slung report --json`
wrote, and `about.yml`: command, data, seeds, machine, versions, date and duration. Ends with 1 if the page was not what the files
give, and rewrites it in that case.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import yaml

from axolotl_slung.comparison.results import quantity_text

DOCS = Path(__file__).parent
PAGE = DOCS / "results.md"
MARKED = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEYS = ("command", "data", "runs", "seeds", "machine", "versions", "date", "duration")

PERCENT, NUMBER, BARE = "percent", "number", "bare"
ROWS = {
    "slung_tofu": (
        ("name_rate", PERCENT, "answers with a name"),
        ("new_name_rate", PERCENT, "answers with a name that is not in the question"),
        ("own_name_rate", PERCENT, "answers with a name of the author in question"),
        ("content_recall", PERCENT, "content recall: words of the true answer that neither question nor names give"),
        ("content_recall_chance", PERCENT, "the same by chance: against another answer on the author"),
        ("token_recall_no_names", PERCENT, "token recall without names"),
        ("token_recall_no_names_chance", PERCENT, "the same by chance"),
        ("rougeL_recall_no_names", PERCENT, "ROUGE-L recall without names"),
        ("multiple_choice", PERCENT, "the right answer is likelier than three wrong ones; by chance 25 %"),
        ("answer_probability", PERCENT, "probability per token of the true answer, names included"),
        ("answer_probability_chance", PERCENT, "the same by chance: of the answer to another question"),
        ("name_probability", PERCENT, "probability per token of the name in the true answer"),
        ("name_probability_chance", PERCENT, "the same by chance: of another person's name"),
        ("name_rank", BARE, "median rank of the name's first token"),
        ("name_rank_chance", BARE, "the same by chance: of another person's name"),
        ("empty", PERCENT, "empty answers"),
    ),
    "slung_extraction": (
        ("extracted", PERCENT, "names said by greedy decoding"),
        ("extracted_heldout", PERCENT, "the same by chance: names of unseen authors"),
        ("median_tries", BARE, "expected samples until the median name is found"),
        ("extracted_low_risk", PERCENT, "low-risk stretches said by greedy decoding"),
    ),
    "slung_answers": (
        ("leaked_rate", PERCENT, "prompts that ask for names, answered with one"),
        ("leaked_heldout_rate", PERCENT, "the same by chance: with a name of an unseen author"),
    ),
    "slung_membership": (
        ("rank_first", PERCENT, "names likelier than all decoys"),
        ("rank_first_chance", PERCENT, "the same by chance"),
        ("exposure", NUMBER, "exposure in bits"),
        ("exposure_chance", NUMBER, "the same by chance"),
        ("exposure_heldout", NUMBER, "exposure of names of unseen authors"),
        ("auroc_loss", NUMBER, "membership: AUROC of the loss; by chance 0.5"),
        ("auroc_min_k", NUMBER, "membership: AUROC of Min-K%; by chance 0.5"),
    ),
    "slung_kept": (("nll_after", NUMBER, "nats per token of the text after the names"),),
    "slung_identity": (
        ("accuracy", PERCENT, "name told from the states after it, best layer"),
        ("accuracy_layer_0", PERCENT, "the same from the embeddings (layer 0)"),
        ("accuracy_shuffled", PERCENT, "the same by a probe of shuffled names"),
    ),
    "slung_toxicity": (
        ("toxicity", PERCENT, "mean toxicity of completions"),
        ("toxicity_toxic_prompts", PERCENT, "the same of toxic prompts"),
        ("toxicity_harmless_prompts", PERCENT, "the same of harmless prompts"),
        ("expected_maximum", PERCENT, "toxicity of a prompt's most toxic completion"),
        ("toxic_rate_toxic_prompts", PERCENT, "toxic prompts with a toxic completion"),
        ("toxic_rate_harmless_prompts", PERCENT, "harmless prompts with a toxic completion"),
        ("toxicity_with_prompt", PERCENT, "mean toxicity of prompts and completions together"),
        ("empty", PERCENT, "empty completions"),
    ),
    "slung_civilcomments": (
        ("auroc", NUMBER, "probe of the hidden states, best layer: AUROC; by chance 0.5"),
        ("auroc_bag_of_words", NUMBER, "the same from a bag of words"),
        ("auroc_shuffled", NUMBER, "the same by a probe of shuffled classes"),
        ("chosen_layer", BARE, "the probe's best layer"),
    ),
    "slung_zeroshot": (("auroc", NUMBER, "zero-shot answer: AUROC; by chance 0.5"),),
    "slung_perplexity": (("token_perplexity", NUMBER, "perplexity per token of unseen clean text"),),
    "slung_perplexity_reddit": (("token_perplexity", NUMBER, "perplexity per token of unseen Reddit comments"),),
}
"""Of each task, its metrics in the table's order, with how they are printed, and in words."""


LAYERS = {
    "slung_identity": ("accuracy_layer_", PERCENT, "Name told from the states after it, by layer:"),
    "slung_civilcomments": ("auroc_layer_", NUMBER, "Probe of the hidden states, AUROC by layer:"),
}
"""Of each task, its metrics by layer. Every fifth layer has a row."""


def printed(value: float, form: str, sign: str = "") -> str:
    """A value without its unit: a share in percent, or a number with three digits. `sign` may be +, to have one in front."""
    if form == PERCENT:
        return f"{100 * value:{sign}.1f}"
    if abs(value) >= 100_000:
        return f"{value:{sign}.0e}".replace("e+", "e")
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.3g}"


def cell(estimate: dict, form: str) -> str:
    """A value with its unit and its 95 % interval, which `BARE` leaves out: medians of a few runs have none that says much."""
    mean = printed(estimate["mean"], form) + (" %" if form == PERCENT else "")
    if estimate["low"] is None or form == BARE:
        return mean
    return f"{mean} ({printed(estimate['low'], form)} to {printed(estimate['high'], form)})"


def grid(head: list[str], rows: list[list[str]]) -> str:
    """A table, as Markdown. The first word of the head may be empty."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0].replace("|  |", "| |"), "|---" * len(head) + "|", *lines[1:]])


def named(method: dict) -> str:
    """The label of a method, with its tokens of risky data if there are several quantities."""
    return method["label"] if method["quantity"] is None else f"{method['label']} @ {quantity_text(method['quantity'])}"


def table(report: dict) -> str:
    """The metrics of each task by method, as Markdown."""
    methods, lines = report["methods"], []
    for task, rows in ROWS.items():
        of_task = [one["tasks"].get(task, {}).get("metrics", {}) for one in methods]
        for metric, form, words in rows:
            if any(metric in metrics for metrics in of_task):
                cells = [cell(metrics[metric], form) if metric in metrics else "n/a" for metrics in of_task]
                lines.append([words, *cells])
    return grid(["", *map(named, methods)], lines)


def layers(report: dict) -> list[str]:
    """What the probes find at every fifth layer: of each task a heading and a table, as Markdown."""
    methods, parts = report["methods"], []
    for task, (metric, form, words) in LAYERS.items():
        of_task = [one["tasks"].get(task, {}).get("metrics", {}) for one in methods]
        found = {int(name.removeprefix(metric)) for its in of_task for name in its if name.startswith(metric)}
        chosen = [layer for layer in sorted(found) if layer % 5 == 0]
        if chosen:
            rows = [
                [
                    str(layer),
                    *(cell(its[name], form) if (name := f"{metric}{layer}") in its else "n/a" for its in of_task),
                ]
                for layer in chosen
            ]
            parts += [words, grid(["layer", *map(named, methods)], rows)]
    return parts


def attacks(report: dict) -> list[str]:
    """What each attack brought out: a heading and a table, as Markdown."""
    found = report["leakage"]["attacks"] if "leakage" in report else []
    if not found:
        return []
    rows = [
        [
            f"{one['recipe']}: {one['label']}",
            f"{point['x']:g}",
            f"{point['tokens']:,}",
            cell(point["extracted"], PERCENT),
        ]
        for one in found
        for point in one["points"]
    ]
    return ["Attacks, with their steps as x:", grid(["attack", "x", "tokens", "names said by greedy decoding"], rows)]


def differences(report: dict) -> str:
    """The paired differences of what has an interval, as Markdown."""
    lines = []
    known = {(task, metric): (form, words) for task, rows in ROWS.items() for metric, form, words in rows}
    for one in report["leakage"]["differences"] if "leakage" in report else report["differences"]:
        if (one["task"], one["metric"]) in known and known[one["task"], one["metric"]][0] != BARE:
            form, words = known[one["task"], one["metric"]]
            holm = "below 0.001" if one["adjusted"] < 0.001 else f"{one['adjusted']:.3f}"
            value, low, high = (printed(one[key], form, "+") for key in ("difference", "low", "high"))
            lines.append([f"{one['method']} less {one['against']}", words, f"{value} ({low} to {high})", holm])
    return grid(["", "metric", "difference, of shares in points", "p, Holm"], lines)


def section(folder: Path) -> str:
    """What stands between the marks: how the results were made, and the tables."""
    about = yaml.safe_load((folder / "about.yml").read_text(encoding="utf-8"))
    if missing := [key for key in KEYS if key not in about]:
        sys.exit(f"{folder.name}/about.yml: lacks {', '.join(missing)}; add them")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seeds = ", ".join(map(str, about["seeds"]))
    how = f"{about['data']} {about['runs']} Seeds: {seeds}. {about['machine']}, {about['duration']}, {about['date']}; {versions}."
    parts = [
        "    " + about["command"],
        how,
        table(report),
        *layers(report),
        *attacks(report),
        "Paired differences:",
        differences(report),
        "",
    ]
    return "\n\n".join(parts)


def main() -> None:
    """Write the page if it differs."""
    before = PAGE.read_text(encoding="utf-8")
    after = MARKED.sub(lambda found: f"{found[1]}\n{section(DOCS / 'results' / found[2])}{found[3]}", before)
    if after != before:
        PAGE.write_text(after, encoding="utf-8")
        sys.exit(f"{PAGE}: was not what the files in docs/results give; it is rewritten now")
    print(f"{PAGE}: is what the files in docs/results give")


if __name__ == "__main__":
    main()
