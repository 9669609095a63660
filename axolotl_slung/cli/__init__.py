"""`slung` and `axolotl slung`: one file per command, imported when the command is called."""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import click

from .. import __version__
from .ending import STATUSES, one_message
from .warned import Warned

_COMMANDS = {
    "label": "Score the documents of files or hub data sets, on all cores.",
    "mix": "Build training streams of base documents and risky documents.",
    "distill": "Make a small, fast labeler from texts with spans.",
    "progress": "Say how far slung label or slung mix is, over all tasks.",
    "inspect": "Show documents in tokens, colored by what the loss does with them.",
    "stats": "Report what the labels will do to a training run, before it starts.",
    "sweep": "Count tokens and documents per bucket, for any thresholds.",
    "qa": "Measure labels against spans that people marked.",
    "report": "Make one table and one page of pictures from lm_eval results.",
    "arms": "Write a config for each arm of a study, with the same data in the same order.",
    "doctor": "Train a config for a few steps and check that its labels reach the loss.",
    "audit": "Draw spans of a config's data, to ask a trained model about them.",
    "attack": "Try to get masked text out of a model, and audit it again.",
    "rescore": "Score a model's saved answers again, with another scorer or judge.",
    "judge-agreement": "Compare a judge's verdicts with people's, on a sheet of answers.",
    "scorer": "Compare scorers of toxicity with frozen scores, calibrate them, and fit new ones.",
    "tasks-path": "Print the folder of the lm_eval tasks, for --include_path.",
    "schema": "Print the JSON schema of the `slung:` block.",
}


class _Commands(click.Group):
    """Imports a command only when it is called, to keep `slung --help` fast."""

    def list_commands(self, ctx):
        return list(_COMMANDS)

    def get_command(self, ctx, name):
        module = name.replace("-", "_")
        return getattr(import_module(f".{module}", __name__), module) if name in _COMMANDS else None

    def parse_args(self, ctx, args):
        with one_message(ctx):
            for before, arg in zip(["", *args], args):
                if arg == "" or (arg.startswith("--") and arg.endswith("=")):
                    what = arg[:-1] or (before if before.startswith("-") else "an argument")
                    # click reads it as the current folder
                    raise click.UsageError(f"{what}: is empty; give a value, or set the shell variable it comes from")
            return super().parse_args(ctx, args)

    def invoke(self, ctx):
        with one_message(ctx), Warned() as ctx.obj:
            return super().invoke(ctx)

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _versions(ctx, _, asked):
    if asked and not ctx.resilient_parsing:
        try:
            axolotl = version("axolotl")
        except PackageNotFoundError:
            axolotl = "not installed"
        click.echo(f"slung {__version__} (axolotl {axolotl}, Python {platform.python_version()})")
        ctx.exit()


@click.group(cls=_Commands, epilog=STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions,
              help="Show the versions of slung, Axolotl and Python.")  # fmt: skip
def main():
    """Selective loss for Axolotl: the model understands risky text and does not learn to generate it.

    \b
        slung inspect config.yml
        slung doctor config.yml
        axolotl train config.yml

    Training needs no slung command. Add a `slung:` block to a config and run `axolotl train config.yml`.
    The commands below label large corpora, check labels before a run, and compare models after it.
    """
