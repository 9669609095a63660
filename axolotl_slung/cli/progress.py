"""`slung progress`."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--json", "figures", type=click.Path(), help="Write the figures as JSON to this file; - is standard output."
)
def progress(folder, figures):
    """Say how far `slung label` or `slung mix` is, or the tasks of their datatrove jobs on Slurm, Ray or one machine.

    \b
        slung progress labeled/
        slung progress mix/

    FOLDER is the job's output folder. The figures come from the job's journals, which are written every second. The
    command takes no part in the job.
    """
    import json
    from dataclasses import asdict

    from ..corpus.progress import progress_of
    from ..mixing.progress import is_mix
    from ..mixing.progress import progress_of as progress_of_mix
    from ..render.sections import to_terminal

    if is_mix(folder):
        steps = progress_of_mix(folder)
        values, sections = [asdict(step) for step in steps], _of_mix(steps)
    else:
        tasks = progress_of(folder)
        values = [asdict(task) | {"finished": task.finished} for task in tasks]
        sections = _sections(tasks, time.time())
    if figures:
        content = json.dumps(values, indent=2)
        click.echo(content) if figures == "-" else Path(figures).write_text(content, encoding="utf-8")
    if figures != "-":
        to_terminal(f"slung progress: {folder}", sections)


def _of_mix(steps):
    from ..render.formats import count
    from ..render.sections import Facts, Section, Table

    if not steps:
        return [Section("Steps", "", [Facts([("all", "steps done")])])]
    rows = [
        [step.name, step.unit, count(step.done), "unknown" if step.total is None else count(step.total)]
        for step in steps
    ]
    note = "A step begins when the one before it has ended. More of the base may be read than is needed."
    return [Section("Steps", note, [Table(["step", "unit", "done", "of"], rows, "", left=2)])]


def _sections(tasks, now):
    from ..render.formats import count, ratio, share
    from ..render.sections import Facts, Section, Table

    finished = sum(task.finished for task in tasks)
    facts = [(f"{count(finished)} of {count(len(tasks))}", "tasks done")]
    if None not in (sizes := [task.size for task in tasks]) and sum(sizes):
        facts.append((share(ratio(sum(task.read for task in tasks), sum(sizes))), "of the bytes read"))
    facts.append((count(sum(task.documents for task in tasks)), "documents labeled"))
    facts.append((count(sum(task.bad for task in tasks)), "lines that could not be labeled"))
    rows = []
    for task in tasks:
        if task.finished:
            state = "done"
        else:
            state = "not begun" if task.written is None else f"written {now - task.written:,.0f} s ago"
        done = "done" if task.finished else share(ratio(task.read, task.size)) if task.size else "unknown"
        rows.append([task.name, state, done, f"{task.done} of {task.files}", count(task.documents), count(task.bad)])
    head = ["task", "state", "read", "files", "documents", "bad lines"]
    note = "A task whose journal has not been written for minutes has stopped, or waits for its model."
    return [Section("Tasks", note, [Facts(facts), Table(head, rows, "", left=2)])]
