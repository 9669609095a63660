"""`slung` and `axolotl slung`: one file per command, imported when the command is called."""

from __future__ import annotations

from importlib import import_module

import click

from ..errors import SlungError

_COMMANDS = {
    "label": "Score the documents of files or hub data sets, on all cores.",
    "progress": "Say how far a labeling job is, over all its tasks.",
    "inspect": "Show documents in tokens, colored by what the loss does with them.",
    "stats": "Report what the labels will do to a training run, before it starts.",
    "sweep": "Count tokens and documents per bucket, for any thresholds.",
    "qa": "Measure labels against spans that people marked.",
    "report": "Make one table and one page of pictures from lm_eval results.",
    "doctor": "Train a config for a few steps and check that its labels reach the loss.",
    "rescore": "Score a model's saved answers again, with another scorer or judge.",
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

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except SlungError as error:
            raise click.ClickException(str(error)) from None

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="axolotl-slung", prog_name="slung")
def main():
    """Selective loss for Axolotl: the model understands risky text and does not learn to generate it.

    \b
        slung inspect config.yml
        slung doctor config.yml
        axolotl train config.yml

    Training needs no slung command. Add a `slung:` block to a config and run `axolotl train config.yml`.
    The commands below label large corpora, check labels before a run, and compare models after it.
    """
