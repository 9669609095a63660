"""`slung`, and `axolotl slung`: one file a command, imported when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from ..errors import SlungError

_COMMANDS = {
    "label": "Score the documents of files or hub data sets, on all cores.",
    "inspect": "See documents in tokens, colored by what the loss will do.",
    "stats": "What the labels will do to a training run, before it.",
    "sweep": "Tokens and documents a bucket, for any thresholds.",
    "qa": "Measure labels against spans that people marked.",
    "report": "One table and one page of pictures from results of lm_eval.",
    "doctor": "Try a config for a few batches, and see that its labels reach the loss.",
    "rescore": "Score saved answers of a model again, with another scorer or judge.",
    "tasks-path": "Print the folder of the lm_eval tasks, for --include_path.",
    "schema": "Print the JSON schema of the `slung:` block.",
}


class _Commands(click.Group):
    """Imports a command only when it is called, so that `slung --help` is quick."""

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
    """Selective loss for Axolotl: understand risky text, do not generate it.

    Training needs no command of its own: add a `slung:` block to a config and run `axolotl train config.yml`. These
    commands make labels for large corpora, and show what labels do before a GPU is spent on them.
    """
