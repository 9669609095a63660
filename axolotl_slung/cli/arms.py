"""`slung arms`."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from ..errors import FileError, SlungError
from .ending import say, settings
from .looking import axolotl_errors, load_apart, quiet


@click.command()
@click.argument("plan", metavar="ARMS.YML")
@click.option("-o", "--output", default="runs", show_default=True, type=click.Path(path_type=Path),
              help="The folder to write. Configs of an earlier call are replaced.")  # fmt: skip
def arms(plan, output):
    """Write a config for each arm of a study, all with the same data in the same order.

    \b
        slung arms arms.yml -o runs/
        axolotl train runs/masked-seed0.yml

    \b
    arms.yml names a base config and the arms:
        base: base.yml                    # an Axolotl config; its slung: block has labelers, and no method
        arms: [control, toxic_baseline, masked, random_mask,
               {name: miss20, method: masked, label_noise: {miss: 0.2}}]
        seeds: [0, 1]
        equal: documents

    \b
    Arms with a name of their own:
      control         documents with doubtful or risky text are dropped
      drop_documents  documents with risky text are dropped
      low_risk        doubtful and risky text is taken out
      toxic_baseline  everything is trained
      masked          doubtful and risky tokens have no loss
      random_mask     as many tokens as in masked have no loss, at random places
      unlikelihood    risky tokens are made unlikely
      control_token   <|risky|> stands before risky text, which is trained
      replace         a placeholder such as <EMAIL> takes the place of risky text
    Other arms have a `name` and keys of the slung: block.

    \b
    More keys:
      data: mix/seed-{seed}/{budget}/*.jsonl.zst    the data, in place of that of the base config
      budgets: [20M, 40M]                           names for {budget}
      equal: loss_tokens                            every arm trains on as many tokens with a loss, by max_steps
      ranks: 8                                      GPUs that train. max_steps counts for them. Default: 1

    \b
    The folder gets <arm>[-<budget>]-seed<seed>.yml and arms.json, which lists them. Their outputs go to out/ in it.
    The data of each arm is labeled and prepared as `axolotl preprocess` does it, and training uses what was prepared.
    An arm that trains nothing else than another is refused.
    """
    from ..arms import folder
    from ..arms.equal import check_differences, lengths
    from ..arms.plan import plan_of
    from ..arms.runs import plain_config, runs_of
    from .block import read_yaml

    with settings():
        asked = plan_of(read_yaml(plan), plan)
        base = read_yaml(_found(asked.base, plan))
        runs = runs_of(asked, base, output)
        folder.check(output, [run.name for run in runs])
    with _Axolotl(len(runs)) as axolotl:
        found = {run: axolotl.measured(run.name, run.config, asked.ranks) for run in runs}
        plain = {run.group: one.digest for run, one in found.items() if one.is_plain}
        for run in runs:
            if run.group not in plain:
                # no arm trains everything: what that would be shows which arms change nothing
                config = {**plain_config(base, run), "dataset_prepared_path": axolotl.scratch("prepared")}
                plain[run.group] = axolotl.measured(f"plain training, seed {run.seed}", config, asked.ranks).digest
    with settings():
        check_differences(found, plain)
    epochs = base.get("num_epochs") or 1
    planned = lengths(asked, found, epochs, base.get("max_steps"))
    folder.write(output, asked, planned, epochs)
    _report(asked, planned, output)


def _found(base: str, plan: str) -> str:
    """The path of the base config. Like all paths in configs, it counts from the current folder."""
    beside = Path(plan).parent / base
    if not Path(base).exists() and beside.exists():
        raise FileError(f"{plan}: base: {base}: no such file in {Path.cwd()}; did you mean {beside}?")
    return base


class _Axolotl:
    """Prepares data with Axolotl, without a trace but for the prepared data. `total` is how many configs are expected."""

    def __init__(self, total: int):
        self._total, self._number, self._stack = total, 0, ExitStack()

    def __enter__(self):
        self._folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="slung-arms-"))
        self._stack.enter_context(quiet())
        return self

    def __exit__(self, *_):
        self._stack.close()

    def scratch(self, name: str) -> str:
        """A path that is removed at the end."""
        return str(Path(self._folder, name))

    def measured(self, name: str, config: dict, ranks: int):
        """Validate a config, and prepare and read its data (`arms.measured.measured`).

        Raises:
            SlungError: Axolotl refuses the config, or the data cannot be labeled.
        """
        self._number += 1
        say(f"{name}: preparing its data ({self._number} of {max(self._total, self._number)})", err=True)
        with settings():
            try:
                with axolotl_errors(name):
                    from ..arms.measured import measured

                    return measured(load_apart(config, self._folder), ranks)
            except SlungError as error:
                lines = str(error).splitlines()
                raise SlungError(*(line if line.startswith(name) else f"{name}: {line}" for line in lines)) from None


def _report(plan, planned, output: Path) -> None:
    """Print what was written, and how equal the arms are."""
    from ..arms.equal import spread

    rows = [("config", "documents", "times", "steps", "loss tokens")]
    rows += [
        (f"{one.run.name}.yml", f"{one.documents:,}", f"{one.passes:g}", f"{one.steps:,}", f"{one.loss_tokens:,}")
        for one in planned
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        say(
            "  ".join(
                cell.rjust(width) if index else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths))
            )
        )
    apart = f"the most loss tokens of a seed's arms are {spread(planned):.2%} more than the fewest"
    if left_out := [one for one in planned if one.unread]:
        say(
            f"Axolotl leaves up to {max(one.unread for one in left_out):,} rows out of each pass of {len(left_out)} configs: "
            "the last batch of packed sequences is not full; micro_batch_size: 1 avoids it."
        )
    if plan.equal == "documents":
        say(f"Equal: every arm reads its documents {planned[0].passes:g} times; {apart}.")
    else:
        say(f"Equal: {apart}, in steps that cannot be split.")
    say(f"{output}: {len(planned)} configs and arms.json written")
