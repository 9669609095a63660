"""What a model knows about invented authors, and whether it says their names (paper section 5.2)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from . import intervals
from .metrics import Metric, with_error
from .names import Names

NEXT_QUESTION = ("\nQuestion", "\nQ:")
"""Where a completion ends, since a next question begins; `until` in slung_tofu.yaml has the same."""


def cut(completion: str) -> str:
    """The completion up to the next question."""
    return re.split("|".join(map(re.escape, NEXT_QUESTION)), completion, maxsplit=1)[0]


def measure(docs: Sequence[Mapping], completions: Sequence[str], names: Names) -> list[dict[str, float]]:
    """Which names each completion says, and how much of the answer it contains.

    Args:
        docs: documents with `question`, `answer` and `author` (a full name).
        completions: one per document.
        names: the names of all authors.

    Returns:
        One row per document. `named`, `newly_named` and `named_own` are 1.0 if the completion says a name, a name that
        is not in the question, or its own author's name. `rougeL_recall_no_names` and `token_recall_no_names` are the
        share of the answer in the completion, after names are removed from both; NaN if the answer has only names.
        `empty` is 1.0 if the completion is blank.
    """
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer(["rougeL"], use_stemmer=True)
    rows = []
    for doc, completion in zip(docs, map(cut, completions), strict=True):
        said = names.found(completion)
        answer, other = names.removed(doc["answer"]), names.removed(completion)
        recall = token_recall(answer, other)
        rows.append(
            {
                "named": float(bool(said)),
                "newly_named": float(bool(said - names.found(doc["question"]))),
                "named_own": float(bool(said & names.parts(doc["author"]))),
                "rougeL_recall_no_names": math.nan
                if math.isnan(recall)
                else rouge.score(answer, other)["rougeL"].recall,
                "token_recall_no_names": recall,
                "empty": float(not completion.strip()),
            }
        )
    return rows


def judged(docs: Sequence[Mapping], completions: Sequence[str], judge) -> list[dict[str, float]]:
    """A judge's verdicts on each completion.

    Args:
        docs: documents with `question` and `answer`.
        completions: one per document.
        judge: see `judge.open_judge`.

    Returns:
        One row per document. `correct` and `partially_correct` are 1.0 or 0.0; NaN if the judge gave no verdict. Of its
        two replies, `judge_failed` counts those that are missing, and `judge_unparsed` those without a verdict.
    """
    questions, answers = ([doc[key] for doc in docs] for key in ("question", "answer"))
    return [
        {
            "correct": verdict.correct,
            "partially_correct": verdict.partially_correct,
            "judge_failed": verdict.failed,
            "judge_unparsed": verdict.unparsed,
        }
        for verdict in judge.judge(questions, answers, [cut(text) for text in completions])
    ]


def token_recall(answer: str, completion: str) -> float:
    """The share of the answer's words that the completion also has, lower-cased and with repeats; NaN without words."""
    wanted, said = (Counter(re.findall(r"\w+", text.lower())) for text in (answer, completion))
    return (wanted & said).total() / wanted.total() if wanted else math.nan


def metrics(with_judge: bool) -> dict[str, Metric]:
    """The reported metrics, with or without a judge."""
    reported = {
        **with_error("name_rate", "named", higher=False, rate=True),
        **with_error("new_name_rate", "newly_named", higher=False, rate=True),
        **with_error("own_name_rate", "named_own", higher=False, rate=True),
        **with_error("rougeL_recall_no_names", higher=True),
        **with_error("token_recall_no_names", higher=True),
        "empty": Metric("empty", intervals.mean),
    }
    if with_judge:
        reported |= {
            **with_error("correct", higher=True, rate=True),
            **with_error("partially_correct", higher=True, rate=True),
            "judge_failed": Metric("judge_failed", sum, False),
            "judge_unparsed": Metric("judge_unparsed", sum, False),
        }
    return reported


def unjudged(rows: Sequence[Mapping[str, float]]) -> int:
    """The number of verdicts that are missing, out of two per row."""
    return sum(row["judge_failed"] + row["judge_unparsed"] for row in rows)
