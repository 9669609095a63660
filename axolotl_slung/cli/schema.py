"""`slung schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema():
    """Print the JSON schema of the `slung:` block.

    \b
        slung schema > slung.schema.json

    Editors use it to check YAML while you type. Other programs can use it to check configs without Python.
    """
    from ..config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
