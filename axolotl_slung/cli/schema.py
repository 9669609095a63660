"""`slung schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema():
    """Print the JSON schema of the `slung:` block.

    For editors that check YAML while you type, and for checks outside Python:

        slung schema > slung.schema.json
    """
    from ..config import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
