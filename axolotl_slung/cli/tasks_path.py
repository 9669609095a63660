"""`slung tasks-path`."""

from __future__ import annotations

import click


@click.command("tasks-path")
def tasks_path():
    """Print the folder of the lm_eval tasks, for `--include_path`.

    \b
        lm_eval --model hf --model_args pretrained=out/masked --tasks slung_tofu --include_path "$(slung tasks-path)"

    You need this only if lm_eval does not find the tasks by name. That is the case if SLUNG_LM_EVAL_HOOK=0 is set, or
    if Python starts without `site` (`python -S`).
    """
    from importlib.resources import files

    click.echo(files("axolotl_slung") / "lm_eval_tasks")
