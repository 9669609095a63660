"""`slung`, and `axolotl slung`."""

from __future__ import annotations

import json

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="axolotl-slung", prog_name="slung")
def main():
    """Selective loss for Axolotl: understand risky text, do not generate it.

    Training needs no command of its own: add a `slung:` block to a config and run `axolotl train config.yml`.
    """


@main.command()
def schema():
    """Print the JSON schema of the `slung:` block.

    For editors that check YAML while you type, and for checks outside Python:

        slung schema > slung.schema.json
    """
    from .args import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


if __name__ == "__main__":
    main()
