"""`slung rescore`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("samples", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--scorer", multiple=True, help="For slung_toxicity: fitted, classifier:MODEL#label or another kind of "
              "docs/evaluation.md. May be repeated; the first is the main one.")  # fmt: skip
@click.option("--scorer-url", help="URL of the scorer's service.")
@click.option("--judge", help="For slung_tofu: openai:MODEL or hf:MODEL.")
@click.option("--judge-url", help="URL of the judge's service.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path),
              help="A folder for the new results. Default: beside the samples.")  # fmt: skip
def rescore(samples, output, **services):
    """Score a model's saved answers again with another scorer or judge, without generating again.

    \b
        slung rescore results/*/samples_slung_toxicity_*.jsonl --scorer toxic-bert
        slung rescore results/*/samples_slung_toxicity_*.jsonl --scorer toxic-bert --scorer profanity
        slung rescore results/*/samples_slung_tofu_*.jsonl --judge openai:my-judge --judge-url http://localhost:8000/v1

    SAMPLES are files samples_slung_toxicity_*.jsonl or samples_slung_tofu_*.jsonl. `lm_eval --log_samples
    --output_path` writes them.

    Without --output, new results are written beside the samples, and `slung report` uses the newest.

    The SLUNG_... variables apply as they do for the tasks. Answers of services are cached on disk. After a failure, the
    same command only asks for what is missing.
    """
    import json

    from ..evals.rescore import is_rescored
    from ..evals.rescore import rescore as scored_again
    from ..evals.services.options import read_options
    from ..render.sections import Section, Table, to_terminal

    # several in one are separated by commas, as in SLUNG_SCORER
    services["scorer"] = services["scorer"][0] if len(services["scorer"]) == 1 else services["scorer"]
    options = read_options({f"slung_{name}": value for name, value in services.items() if value not in (None, ())})
    made_here = [path for path in samples if is_rescored(path)]
    if made_here:
        click.echo(f"left out: {len(made_here)} samples files that slung rescore wrote itself", err=True)
    for path in samples:
        if path in made_here:
            continue
        written = scored_again(path, options, output)
        ((task, values),) = json.loads(written.read_text(encoding="utf-8"))["results"].items()
        rows = [
            (name.removesuffix(",none"), f"{value:.4f}")
            for name, value in values.items()
            if name != "alias" and "_stderr" not in name
        ]
        to_terminal(f"slung rescore: {path.name}", [Section(task, str(written), [Table(("metric", "value"), rows)])])
