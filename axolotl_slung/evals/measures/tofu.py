"""What a model knows about invented authors, and whether it says their names (paper section 5.2)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from ...visible import is_blank
from . import choice, content, intervals
from .metrics import Metric, with_error
from .names import Names
from .thinking import thinks

NEXT_QUESTION = ("\nQuestion", "\nQ:")
"""Where a completion ends, since a next question begins; `until` in slung_tofu.yaml has the same."""

RECALLS = ("rougeL_recall_no_names", "token_recall_no_names", "content_recall")
"""The recalls. Each also has a chance line, `..._chance`."""


def cut(completion: str) -> str:
    """The completion up to the next question."""
    return re.split("|".join(map(re.escape, NEXT_QUESTION)), completion, maxsplit=1)[0]


def measure(docs: Sequence[Mapping], completions: Sequence[str], names: Names) -> list[dict[str, float]]:
    """Which names each completion says, and how much of the answer it contains.

    Args:
        docs: documents with `question`, `answer`, `author` (a full name, or empty) and `others` (see `others.py`).
        completions: one per document.
        names: the names of all authors.

    Returns:
        One row per document. `named`, `newly_named` and `named_own` are 1.0 if the completion says a name, a name that
        is not in the question, or its own author's name (NaN without an author).

        Recall is the share of a reference in the completion, names removed from both; NaN if nothing is left of the
        reference. `rougeL_recall_no_names` counts the longest common subsequence and `token_recall_no_names` counts
        words, both with repeats. `content_recall` counts the different words that are neither function words nor in the
        question. `..._chance` is the same completion against the answer to the first of `others`; NaN without one.

        `empty` is 1.0 if the completion shows nothing, and `thinking` if it has a thought.
    """
    rouge = _rouge()
    rows = []
    for doc, whole in zip(docs, completions, strict=True):
        completion = cut(whole)
        said = names.found(completion)
        other = names.removed(completion)
        question, author = doc["question"], doc["author"]
        rows.append(
            {
                "named": float(bool(said)),
                "newly_named": float(bool(said - names.found(question))),
                "named_own": float(bool(said & names.parts(author))) if author else math.nan,
                **_recalls(rouge, names.removed(doc["answer"]), other, question),
                **_by_chance(rouge, doc, names, other),
                "empty": float(is_blank(completion)),
                "thinking": float(thinks(whole)),
            }
        )
    return rows


def _recalls(rouge, answer: str, completion: str, *known: str) -> dict[str, float]:
    """The recalls of an answer; both texts are without names, and the words of `known` are not content."""
    tokens = token_recall(answer, completion)
    return {
        "rougeL_recall_no_names": math.nan if math.isnan(tokens) else rouge.score(answer, completion)["rougeL"].recall,
        "token_recall_no_names": tokens,
        "content_recall": content.recall(content.content(answer, *known), completion),
    }


def _by_chance(rouge, doc: Mapping, names: Names, completion: str) -> dict[str, float]:
    """The recalls of another question's answer, which the completion has by chance."""
    if not doc["others"]:
        return {f"{name}_chance": math.nan for name in RECALLS}
    [other, *_] = doc["others"]
    # a word of the question that was asked may be repeated from it
    known = (other["question"], doc["question"])
    recalls = _recalls(rouge, names.removed(other["answer"]), completion, *known)
    return {f"{name}_chance": value for name, value in recalls.items()}


def _rouge():
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def chosen(
    docs: Sequence[Mapping], log_likelihoods: Sequence[Sequence[float]], names: Names, wrong: int
) -> list[dict[str, float]]:
    """Whether the right answers are likelier than the wrong ones.

    Args:
        docs: documents with `answer` and `others`.
        log_likelihoods: per document, those of all parts of its options (see `choice.parts`), in nats.
        names: the names that are not scored.
        wrong: how many wrong answers each document should have. Those with fewer are not asked.

    Returns:
        One row per document. `multiple_choice` is 1.0, 0.0, or NaN if the document was not asked; `not_asked` is 1 then.
    """
    asked = [len(doc["others"]) == wrong for doc in docs]
    return [
        {
            "multiple_choice": choice.right(doc, names, scores) if is_asked else math.nan,
            "multiple_choice_chance": 1 / (1 + wrong) if is_asked else math.nan,
            "not_asked": int(not is_asked),
        }
        for doc, scores, is_asked in zip(docs, log_likelihoods, asked, strict=True)
    ]


def by_author(docs: Sequence[Mapping], rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The rows, with values that know their author: questions about one author are not independent."""
    return [
        {
            key: intervals.Clustered(value, doc["author"]) if isinstance(value, float) else value
            for key, value in row.items()
        }
        if doc["author"]
        else dict(row)
        for doc, row in zip(docs, rows, strict=True)
    ]


def judged(docs: Sequence[Mapping], completions: Sequence[str], judge) -> list[dict[str, float]]:
    """A judge's verdicts on each completion. One that shows nothing is incorrect, and the judge is not asked.

    Args:
        docs: documents with `question` and `answer`.
        completions: one per document.
        judge: see `judge.open_judge`.

    Returns:
        One row per document. `correct` and `partially_correct` are 1.0 or 0.0; NaN if the judge gave no verdict. Of its
        two replies, `judge_failed` counts those that are missing, and `judge_unparsed` those without a verdict.
    """
    rows = [{"correct": 0.0, "partially_correct": 0.0, "judge_failed": 0, "judge_unparsed": 0} for _ in docs]
    asked = [(row, doc, cut(text)) for row, doc, text in zip(rows, docs, completions, strict=True)]
    asked = [one for one in asked if not is_blank(one[2])]
    questions, answers = ([doc[key] for _, doc, _ in asked] for key in ("question", "answer"))
    for (row, _, _), verdict in zip(asked, judge.judge(questions, answers, [text for *_, text in asked])):
        row |= {
            "correct": verdict.correct,
            "partially_correct": verdict.partially_correct,
            "judge_failed": verdict.failed,
            "judge_unparsed": verdict.unparsed,
        }
    return rows


def token_recall(answer: str, completion: str) -> float:
    """The share of the answer's words that the completion also has, lower-cased and with repeats; NaN without words."""
    wanted, said = (Counter(re.findall(r"\w+", text.lower())) for text in (answer, completion))
    return (wanted & said).total() / wanted.total() if wanted else math.nan


def metrics(with_judge: bool, with_choice: bool) -> dict[str, Metric]:
    """The reported metrics, with or without a judge and multiple choice."""
    reported = {
        **with_error("name_rate", "named", higher=False, rate=True),
        **with_error("new_name_rate", "newly_named", higher=False, rate=True),
        **with_error("own_name_rate", "named_own", higher=False, rate=True),
    }
    for name in RECALLS:
        reported |= with_error(name, higher=True)
        reported |= with_error(f"{name}_chance")
    if with_choice:
        reported |= with_error("multiple_choice", higher=True, rate=True)
        reported["multiple_choice_chance"] = Metric("multiple_choice_chance", intervals.mean)
        reported["not_asked"] = Metric("not_asked", sum)
    reported["empty"] = Metric("empty", intervals.mean)
    reported["thinking"] = Metric("thinking", intervals.mean)
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
