"""What `axolotl train` does before it starts the launcher, which imports torch and starts the run in a process of its own.

discovery/axolotl_slung_lm_eval.py calls this. Without it, the same errors come half a minute later, with the launcher's
traceback after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import yaml

from ..errors import SlungError
from .args import check_config


def before_launch(
    config: str, launcher: str | None, cloud: str | None, options: Mapping, launcher_args: Sequence[str]
) -> list[str]:
    """Check the config's `slung:` block. Nothing happens without one.

    Args:
        config: the path of Axolotl's config.
        launcher: Axolotl's `--launcher`.
        cloud: Axolotl's `--cloud`.
        options: keys of the config that are given on the command line.
        launcher_args: arguments for the launcher.

    Returns:
        The arguments for the launcher. `accelerate` gets `--quiet`, so that the run's own error is the last output.

    Raises:
        click.ClickException: the block is not valid, or conflicts with other keys. It has the exit status 2.
    """
    arguments = list(launcher_args)
    try:
        with open(config, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError):
        return arguments  # Axolotl reports it
    if not isinstance(content, dict) or content.get("slung") is None:
        return arguments
    given = {key: yaml.safe_load(value) if isinstance(value, str) else value for key, value in options.items()}
    try:
        check_config({**content, **given})
    except SlungError as error:
        wrong = click.ClickException(str(error))
        wrong.exit_code = 2
        raise wrong from None
    if launcher == "accelerate" and not cloud and not {"-q", "--quiet"} & {*arguments}:
        arguments.insert(0, "--quiet")
    return arguments
