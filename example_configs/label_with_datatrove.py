"""Label a corpus on many machines through datatrove, with output identical to `slung label`.

    pip install 'axolotl-slung[datatrove]'
    python example_configs/label_with_datatrove.py corpus/ labeled/ --config my-axolotl-config.yml

    --executor local    processes on this machine
    --executor slurm    an array of Slurm jobs; run it on a login node, with folders that all nodes can read
    --executor ray      tasks on a Ray cluster (RAY_ADDRESS), or on this machine

Files are divided among the tasks, so split a large corpus into many files. Run it again after a failure: finished tasks are
skipped, and the others continue where they stopped.
"""

import argparse
import hashlib
import json

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor

from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.datatrove import LabelFiles


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--config", required=True, help="a YAML file with a `slung:` block")
    parser.add_argument("--messages-field", help="for chats: the column of messages")
    parser.add_argument("--text-field", help="the column to label; in chats, the key of each message's text")
    parser.add_argument("--executor", choices=["local", "slurm", "ray"], default="local")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="number of tasks that run in parallel")
    parser.add_argument(
        "--logs",
        help="folder for marks of finished tasks, statistics and Slurm's script; default: in the output's .slung",
    )
    parser.add_argument("--partition", default="cpu", help="Slurm partition")
    parser.add_argument("--time", default="10:00:00", help="Slurm time limit per task")
    parser.add_argument("--activate", help="a command for Slurm's nodes that activates the Python environment")
    options = parser.parse_args()

    block = read_block(options.config, ()).model_dump(mode="json", exclude_unset=True)
    # marks of finished tasks count only for the same job
    fields = {"messages_field": options.messages_field} if options.messages_field else {}
    fields["text_field"] = options.text_field or ("content" if options.messages_field else "text")
    job = hashlib.sha256(json.dumps([options.input, options.tasks, block, fields]).encode()).hexdigest()[:12]
    logs = options.logs or f"{options.output}/.slung/datatrove-{job}"
    pipeline = [LabelFiles([options.input], options.output, block, **fields)]
    common = {"tasks": options.tasks, "workers": options.workers, "logging_dir": logs}
    match options.executor:
        case "local":
            executor = LocalPipelineExecutor(pipeline, start_method="spawn", **common)
        case "slurm":
            executor = SlurmPipelineExecutor(
                pipeline,
                time=options.time,
                partition=options.partition,
                job_name="slung-label",
                env_command=options.activate,
                **common,
            )
        case "ray":
            executor = RayPipelineExecutor(pipeline, **common)
    executor.run()


if __name__ == "__main__":
    main()
