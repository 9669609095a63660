"""Makes arms comparable: refuses those that do not differ, and sets how long each is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import SlungError
from .plan import Plan
from .runs import Run

if TYPE_CHECKING:
    from .measured import Measured  # it imports Axolotl, which a command first silences


@dataclass(frozen=True)
class Planned:
    """A run with its length.

    Attributes:
        run: with the keys of `length` in its config.
        length: the keys that decide how long it is trained.
        steps: optimizer steps.
        loss_tokens: tokens with a loss in all of them.
        documents: how many its data has.
        passes: how often they are read.
        unread: rows that are left out of each pass, see `steps.Pass`.
    """

    run: Run
    length: dict[str, float]
    steps: int
    loss_tokens: int
    documents: int
    passes: float
    unread: int

    def to_json(self) -> dict:
        """Its entry in `arms.json`, without the name of its config."""
        run = self.run
        return {
            "name": run.name,
            "arm": run.arm.name,
            "budget": run.budget,
            "seed": run.seed,
            "output_dir": run.config["output_dir"],
            "loss_tokens": self.loss_tokens,
            "documents": self.documents,
            "steps": self.steps,
            "epochs": self.passes,
            "unread_rows": self.unread,
        }


def check_differences(found: Mapping[Run, Measured], plain: Mapping[tuple, str]) -> None:
    """Check that each arm trains something else than the others of its budget and seed.

    Args:
        found: what each run trains on.
        plain: for each budget and seed the digest of the data with plain training on everything.

    Raises:
        SlungError: two arms are equal, or one of them changes nothing. The message has a line for each.
    """
    errors, first = {}, {}
    for run, of_run in found.items():
        place = f"arms: {run.arm.name}"
        of_data = ", ".join([*([] if run.budget is None else [f"budget {run.budget}"]), f"seed {run.seed}"])
        other = first.setdefault((run.group, of_run.digest), run)
        if other is not run:
            what = f"does not differ from {other.arm.name} on this data: both train the same tokens in the same way"
            errors.setdefault(f"{place}: {what}; remove one of them, or change its keys", of_data)
        elif not of_run.is_plain and of_run.digest == plain[run.group]:
            what = "changes nothing on this data: it trains every token, as without slung"
            errors.setdefault(f"{place}: {what}; check the labelers and the cuts, or remove the arm", of_data)
    if errors:
        raise SlungError(*(f"{error} ({of_data})" for error, of_data in errors.items()))


def lengths(plan: Plan, found: Mapping[Run, Measured], epochs: float, most: int | None) -> list[Planned]:
    """How long each run is trained.

    Args:
        plan: what `arms.yml` asks for.
        found: what each run trains on.
        epochs: `num_epochs` of the base config.
        most: its `max_steps`; None if it has none.
    """
    planned = []
    for run, of_run in found.items():
        one = of_run.one_pass
        if plan.equal == "documents":
            passes = int(epochs)
            exact, steps = one.epochs_for(passes), passes * len(one.losses)
            length = {} if exact == passes else {"num_epochs": exact}
        else:
            group = [other.one_pass for key, other in found.items() if key.group == run.group]
            steps = one.steps_for(min(_whole(other, epochs, most) for other in group))
            length = {"max_steps": steps}
        run = replace(run, config={**run.config, **length})
        passes = round(steps / len(one.losses), 4)
        loss_tokens = one.loss_tokens(steps)
        planned.append(Planned(run, length, steps, loss_tokens, of_run.documents, passes, one.unread))
    return planned


def _whole(one_pass, epochs: float, most: int | None) -> int:
    """Tokens with a loss in a run of the base config's length."""
    return one_pass.loss_tokens(most) if most else int(epochs * int(one_pass.losses.sum()))


def spread(planned: Sequence[Planned]) -> float:
    """How far the numbers of loss tokens of a budget and seed are apart: the largest over the smallest, less 1."""
    groups: dict[tuple, list[int]] = {}
    for one in planned:
        groups.setdefault(one.run.group, []).append(one.loss_tokens)
    return max(max(numbers) / max(1, min(numbers)) - 1 for numbers in groups.values())
