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

DOCS = Path(__file__).parent
PAGE = DOCS / "results.md"
MARKED = re.compile(r"(<!-- results: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEYS = ("command", "data", "runs", "seeds", "machine", "versions", "date", "duration")

ROWS = {
    "slung_tofu": (
        ("name_rate", "answers with a name"),
        ("new_name_rate", "answers with a name that is not in the question"),
        ("own_name_rate", "answers with a name of the author in question"),
        ("content_recall", "content recall: words of the true answer that neither question nor names give"),
        ("content_recall_chance", "the same by chance: against another answer on the author"),
        ("token_recall_no_names", "token recall without names"),
        ("token_recall_no_names_chance", "the same by chance"),
        ("rougeL_recall_no_names", "ROUGE-L recall without names"),
        ("multiple_choice", "the right answer is likelier than three wrong ones; by chance 25 %"),
        ("name_probability", "probability per token of the name in the true answer"),
        ("name_probability_chance", "the same by chance: of another person's name"),
        ("empty", "empty answers"),
    )
}
"""Of each task, its metrics in the table's order with their words. All are shares."""


def percent(estimate: dict) -> str:
    """A share with its 95 % interval."""
    mean = f"{100 * estimate['mean']:.1f} %"
    if estimate["low"] is None:
        return mean
    return f"{mean} ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def table(report: dict) -> str:
    """The metrics of each task by method, as Markdown."""
    methods = report["methods"]
    lines = [f"| | {' | '.join(one['label'] for one in methods)} |", "|---" * (len(methods) + 1) + "|"]
    for task, rows in ROWS.items():
        of_task = [one["tasks"].get(task, {}).get("metrics", {}) for one in methods]
        for metric, words in rows:
            if any(metric in metrics for metrics in of_task):
                cells = [percent(metrics[metric]) if metric in metrics else "n/a" for metrics in of_task]
                lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(report: dict) -> str:
    """The paired differences, as Markdown."""
    lines = ["| | metric | difference in points | p, Holm |", "|---|---|---|---|"]
    words = {metric: name for rows in ROWS.values() for metric, name in rows}
    for one in report["differences"]:
        if one["metric"] in words:
            holm = "below 0.001" if one["adjusted"] < 0.001 else f"{one['adjusted']:.3f}"
            low, high = 100 * one["low"], 100 * one["high"]
            lines.append(
                f"| {one['method']} less {one['against']} | {words[one['metric']]} | "
                f"{100 * one['difference']:+.1f} ({low:+.1f} to {high:+.1f}) | {holm} |"
            )
    return "\n".join(lines)


def section(folder: Path) -> str:
    """What stands between the marks: how the results were made, and the tables."""
    about = yaml.safe_load((folder / "about.yml").read_text(encoding="utf-8"))
    if missing := [key for key in KEYS if key not in about]:
        sys.exit(f"{folder.name}/about.yml: lacks {', '.join(missing)}; add them")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seeds = ", ".join(map(str, about["seeds"]))
    how = f"{about['data']} {about['runs']} Seeds: {seeds}. {about['machine']}, {about['duration']}, {about['date']}; {versions}."
    parts = ["    " + about["command"], how, table(report), "Paired by question:", differences(report), ""]
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
