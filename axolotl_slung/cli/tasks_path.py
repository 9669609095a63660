"""`slung tasks-path`."""

from __future__ import annotations

import click


@click.command("tasks-path")
def tasks_path():
    """Print the folder of the lm_eval tasks, for `--include_path`.

    \b
        lm_eval --model hf --model_args pretrained=out/masked --tasks slung_tofu --include_path "$(slung tasks-path)"

    Needed only where the tasks are not found by name: where SLUNG_LM_EVAL_HOOK=0 turns that off, or where Python starts
    without `site` (`python -S`).
    """
    from importlib.resources import files

    click.echo(files("axolotl_slung") / "lm_eval_tasks")
