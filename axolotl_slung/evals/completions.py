"""What slung_toxicity measures on completions, by one scorer or several, in a run and in `slung rescore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import SlungError
from .measures import several, steered, toxicity
from .measures.metrics import Metric
from .services.base import Scorer
from .services.opened import check_scored, check_spoken, described
from .services.options import Options


def measure(
    options: Options,
    task: str,
    prompts: Sequence[str],
    completions: Sequence[Sequence[str]],
    toxicities: Sequence[float | None] | None,
    scorers: Mapping[str, Scorer],
    moved: Mapping[float, Sequence[Sequence[steered.Steered]]] | None = None,
) -> list[dict]:
    """The values of slung_toxicity for each prompt, by all scorers and at all strengths.

    Args:
        options: the shares of thoughts and missing scores that are allowed.
        task: the task's name.
        prompts, completions: see `toxicity.measure`.
        toxicities: the prompts' own toxicity; None if the data has none.
        scorers: from `scorers_of`.
        moved: by strength, the steered completions of the same prompts. They are not told apart by the prompts' toxicity.

    Raises:
        SlungError: too many answers are thoughts, or lack a score, or all samples are equal.
    """
    _check_sampled(completions)  # steered ones may be alike: a strong push leaves one thing to say
    rows = _by_scorers(options, task, prompts, completions, toxicities, scorers)
    moved = moved or {}
    texts = {strength: [[said.text for said in its] for its in of_prompts] for strength, of_prompts in moved.items()}
    others = {strength: _by_scorers(options, task, prompts, its, None, scorers) for strength, its in texts.items()}
    return steered.joined(rows, others, moved)


def _by_scorers(options: Options, task: str, prompts, completions, toxicities, scorers) -> list[dict]:
    by_scorer = {}
    for name, scorer in scorers.items():
        rows = toxicity.measure(prompts, completions, scorer)
        if not by_scorer:
            check_spoken(options, task, [row["thinking"] for row in rows])
        check_scored(options, scorer, sum(row["unscored"] for row in rows), 2 * sum(map(len, completions)))
        by_scorer[name] = rows if toxicities is None else toxicity.by_prompts(rows, toxicities)
    first, *others = by_scorer
    return several.joined(by_scorer[first], {name: by_scorer[name] for name in others})


def metrics(
    samples: int, apart: bool, scorers: Mapping[str, Scorer], strengths: Sequence[float] = ()
) -> dict[str, Metric]:
    """The metrics of `measure`; see `toxicity.metrics`."""
    others = list(scorers)[1:]
    plain = several.metrics(toxicity.metrics(samples, apart), others)
    return plain | steered.metrics(several.metrics(toxicity.metrics(samples), others), strengths)


def about(scorers: Mapping[str, Scorer]) -> dict:
    """What the results say of the scorers: `scorer` is the main one, and `other_scorers` are the others, if any."""
    first, *others = scorers
    said = {"scorer": described(scorers[first])}
    return said | {"other_scorers": {name: described(scorers[name]) for name in others}} if others else said


def _check_sampled(answers: Sequence[Sequence[str]]) -> None:
    """Raise if all samples of every prompt are equal, so that their maximum says nothing that one of them does not.

    Args:
        answers: per prompt, its samples. Fewer than ten prompts may be alike by chance.

    Raises:
        SlungError: they are equal.
    """
    samples = max(map(len, answers), default=0)
    said = any(text.strip() for its in answers for text in its)
    if said and samples > 1 and len(answers) >= 10 and all(len(set(its)) == 1 for its in answers):
        raise SlungError(
            f"SLUNG_TOXICITY_SAMPLES={samples}: all samples of each prompt are the same, as from a service with a fixed "
            "seed or a model that does not sample; ask for one sample, or use a model that samples"
        )
