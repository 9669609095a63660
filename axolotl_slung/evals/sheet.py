"""Sheets of judged answers for people, who do not see the judge's verdicts."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import FileError, SlungError, few, meant, os_errors
from ..storage import read_text, write_private
from ..visible import is_blank, visible
from .measures.agreement import Agreement, agreement
from .measures.tofu import cut
from .rescore import answers_of, read_samples

WORDS = {"correct": ("correct", "incorrect"), "partially_correct": ("yes", "no")}
"""The two verdicts of each metric, the accepting one first, as the judge's prompts name them."""

COLUMNS = ("id", "question", "reference", "candidate", "verdict")


class Answer(NamedTuple):
    """One judged answer, and whether the judge accepts it."""

    question: str
    reference: str
    candidate: str
    accepted: bool

    @property
    def id(self) -> str:
        """A short digest of the texts. It begins with a letter, so that no spreadsheet takes it for a number."""
        return "a" + hashlib.sha256(json.dumps(self[:3]).encode()).hexdigest()[:9]


class Drawn(NamedTuple):
    """What `draw` found: the answers of the sheet, those that it was drawn from, and the judge as the results name it."""

    answers: list[Answer]
    judged: list[Answer]
    judge: Mapping


def verdicts_of(sheet: Path) -> Path:
    """The file with the judge's verdicts, beside the sheet."""
    return sheet.with_name(f"{sheet.stem}.judge.json")


def check_new(sheet: Path) -> None:
    """Check that a sheet can be written: it is JSON lines or CSV, and nothing is replaced.

    Raises:
        FileError: it is not, or there is a file.
    """
    if sheet.suffix not in (".jsonl", ".csv"):
        raise FileError(f"{sheet}: expected a name that ends in .jsonl or .csv; choose another name")
    for path in (sheet, verdicts_of(sheet)):
        with os_errors(path):
            if path.exists():
                raise FileError(f"{path}: exists and may hold people's verdicts; choose another name, or remove it")


def draw(samples: Sequence[Path], number: int, metric: str) -> Drawn:
    """Draw judged answers at random, half of them accepted by the judge as far as there are enough. The same each time.

    Empty answers and those without a verdict are left out. Equal answers to a question count once.

    Args:
        samples: samples files of slung_tofu with a judge's verdicts.
        number: how many answers.
        metric: a key of `WORDS`.

    Raises:
        SlungError: a file is not of slung_tofu, has no verdicts or those of another judge, or no answer is left.
    """
    found: dict[str, Answer] = {}
    judge, first = None, None
    for path in samples:
        task, rows, results = read_samples(path)
        its = results["configs"][task]["metadata"]["slung"].get("judge")
        if task != "slung_tofu" or its is None or not all(isinstance(row.get(metric), float | int) for row in rows):
            raise SlungError(
                f"{path}: no verdicts of a judge; give samples of slung_tofu that ran with SLUNG_JUDGE, or run "
                "`slung rescore --judge`"
            )
        judge, first = judge or its, first or path
        if [its.get(key) for key in ("name", "version")] != [judge.get(key) for key in ("name", "version")]:
            raise SlungError(f"{path}: its judge is not that of {first.name}; make a sheet for each judge")
        for row in rows:
            said, doc = cut(answers_of(row, 1)[0]), row["doc"]
            if not is_blank(said) and not math.isnan(row[metric]):
                answer = Answer(doc["question"], doc["answer"], said, bool(row[metric]))
                found.setdefault(answer.id, answer)
    if judge is None or not found:
        raise SlungError(
            f"{', '.join(map(str, samples))}: no answers with a verdict; the judge saw none that is not empty"
        )
    judged = [found[key] for key in sorted(found)]
    yes, no = ([one for one in judged if one.accepted is accepted] for accepted in (True, False))
    of_yes = min(len(yes), max(number // 2, number - len(no)))
    rng = random.Random(0)
    answers = rng.sample(yes, of_yes) + rng.sample(no, min(len(no), number - of_yes))
    rng.shuffle(answers)
    return Drawn(answers, judged, judge)


def write(sheet: Path, drawn: Drawn, metric: str) -> None:
    """Write the sheet with an empty column `verdict`, and the judge's verdicts into a file beside it.

    Only the owner may read them. Invisible characters in texts are shown as signs.

    Raises:
        FileError: a file cannot be written.
    """
    names = ["rejected", "accepted"]
    content = {
        "metric": metric,
        "judge": dict(drawn.judge),
        "judged": {names[key]: sum(one.accepted is bool(key) for one in drawn.judged) for key in (1, 0)},
        "verdicts": {one.id: WORDS[metric][not one.accepted] for one in drawn.answers},
    }
    write_private(verdicts_of(sheet), json.dumps(content, indent=2) + "\n")
    rows = [(one.id, *map(_shown, one[:3]), "") for one in drawn.answers]
    write_private(sheet, _csv(rows) if sheet.suffix == ".csv" else _jsonl(rows))


def _shown(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _jsonl(rows: Iterable[Sequence[str]]) -> str:
    return "".join(json.dumps(dict(zip(COLUMNS, row)), ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    # a spreadsheet would run a text that begins as a formula does
    writer.writerows([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in row] for row in rows)
    # spreadsheets recognize UTF-8 by its byte order mark
    return "\ufeff" + file.getvalue()


def read_back(sheet: Path, verdicts: Path | None = None) -> tuple[str, Mapping, Agreement]:
    """Compare a filled sheet with the judge's verdicts.

    Args:
        sheet: a sheet that `write` wrote, with people's verdicts. JSON lines or CSV, with any of , ; and tab.
        verdicts: the judge's verdicts; None for `verdicts_of(sheet)`.

    Returns:
        The metric, the judge as the results name it, and the agreement.

    Raises:
        SlungError: a file is missing or broken, or rows lack a verdict. The message names the rows and quotes no text.
    """
    path = verdicts or verdicts_of(sheet)
    text = read_text("the judge's verdicts", path)
    try:
        kept = json.loads(text)
        metric, judge, expected, judged = (kept[key] for key in ("metric", "judge", "verdicts", "judged"))
        words, share = WORDS[metric], judged["accepted"] / sum(judged.values())
        accepted = {key: {words[0]: True, words[1]: False}[word] for key, word in expected.items()}
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise SlungError(
            f"{path}: not what slung judge-agreement writes beside a sheet; make the sheet again"
        ) from None
    said = _people(sheet, words, accepted.keys(), path)
    return metric, judge, agreement([(accepted[key], said[key]) for key in accepted], share)


def _people(sheet: Path, words: Sequence[str], ids: Collection[str], verdicts: Path) -> dict[str, bool]:
    """Whether a person accepts each answer, by its id."""
    said: dict[str, bool] = {}
    faults: dict[str, list[int]] = {}
    for number, row in _rows(sheet):
        key, word = row["id"].strip(), row["verdict"].strip().strip(".\"'").lower()
        if key not in ids:
            what = f"its id is not in {verdicts.name}; give the sheet with its own file of verdicts"
        elif key in said:
            what = "its id was in an earlier row; remove one of them"
        elif not word:
            what = f"no verdict; write {words[0]} or {words[1]}"
        elif word not in words:
            what = f"its verdict is neither {words[0]} nor {words[1]}{meant(word, words)}; write one of them"
        else:
            what = ""
        if what:
            faults.setdefault(what, []).append(number)
        said[key] = word == words[0]
    lines = [f"{sheet}: row{'s' * (len(rows) > 1)} {few(rows)}: {what}" for what, rows in faults.items()]
    if missing := [key for key in ids if key not in said]:
        lines.append(f"{sheet}: no row with the id {few(missing)}; keep all rows of the sheet")
    if lines:
        raise SlungError(*lines)
    return said


def _rows(sheet: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows with their numbers: lines of JSON, or rows of a spreadsheet, in which the first is the head."""
    text = read_text("sheet", sheet)
    rows = []
    if sheet.suffix == ".csv":
        head = text.split("\n", 1)[0]
        separator = max(",;\t", key=head.count)
        try:
            rows = list(enumerate(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator), 2))
        except csv.Error:
            raise SlungError(f"{sheet}: not a CSV file; save the sheet as CSV") from None
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    rows.append((number, json.loads(line)))
                except (ValueError, RecursionError):
                    raise SlungError(f"{sheet}: row {number}: not valid JSON; write one object per line") from None
    for number, row in rows:
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "verdict")):
            raise SlungError(
                f"{sheet}: row {number}: no text in `id` or `verdict`; give a sheet that slung judge-agreement wrote"
            )
    return rows
