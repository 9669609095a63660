"""Build training streams on many machines through datatrove, with output identical to `slung mix`.

    pip install '.[datatrove]'     # in the clone of axolotl-slung
    python example_configs/mix_with_datatrove.py mix.yml mix/

    --executor local    processes on this machine
    --executor slurm    arrays of Slurm jobs; run it on a login node, with folders that all nodes can read
    --executor ray      tasks on a Ray cluster (RAY_ADDRESS), or on this machine

The steps follow one another, and tasks divide each. A file is read by one task: give at least as many files as tasks.
How much of the base is read, the plan and the manifest are steps of one task each.

Run it again after a failure: finished tasks are skipped, and the others continue where they stopped.
"""

import argparse
import hashlib
import json
from pathlib import Path

from datatrove_executor import Help, add_options, executor_of

from axolotl_slung.cli.mix import read_config
from axolotl_slung.errors import SlungError
from axolotl_slung.mixing.datatrove import mix_steps
from axolotl_slung.mixing.make import begin


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    parser.add_argument("config", help="the YAML file of `slung mix`")
    parser.add_argument("output", help="the folder for the mix")
    add_options(parser, "each step")
    return parser.parse_args()


def main():
    options = _options()
    output = Path(options.output)
    try:
        mix, inputs, tokenizer = read_config(options.config, output)
        if not begin(mix, inputs, tokenizer, output):
            print(f"nothing to do: {output} is complete")
            return
    except SlungError as error:
        raise SystemExit(f"{error}") from None
    # marks of finished tasks count only for the same mix
    job = hashlib.sha256(json.dumps([options.tasks, mix.settings()]).encode()).hexdigest()[:12]
    logs = Path(getattr(options, "logs", output / ".slung" / f"datatrove-{job}"))
    executor = None
    for number, step in enumerate(mix_steps(mix, inputs, tokenizer, output), 1):
        name = f"{number}-{type(step).__name__}"
        tasks = options.tasks if step.divided else 1
        executor = executor_of(step, tasks, options, str(logs / name), f"slung-mix-{name}", executor)
    for role in ("risky", "base"):
        if (files := sum(one.role == role for one in inputs)) < options.tasks:
            print(f"{role}: {options.tasks - files} tasks have nothing to read; give more files, or use fewer --tasks")
    executor.run()


if __name__ == "__main__":
    main()
