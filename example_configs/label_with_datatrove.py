"""Label a corpus on many machines through datatrove, with output identical to `slung label`.

    pip install '.[datatrove]'     # in the clone of axolotl-slung
    python example_configs/label_with_datatrove.py corpus/ labeled/ --config my-axolotl-config.yml

    --executor local    processes on this machine
    --executor slurm    an array of Slurm jobs; run it on a login node, with folders that all nodes can read
    --executor ray      tasks on a Ray cluster (RAY_ADDRESS), or on this machine

The files are divided among the tasks by size. JSON lines and Parquet files that are larger than a task's share are cut,
and their outputs are joined. Compressed files stay whole: give as many files as tasks, or unpack them.

Run it again after a failure: finished tasks are skipped, and the others continue where they stopped.
`slung progress labeled/` says how far each task is.
"""

import argparse
import hashlib
import json
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor

from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.datatrove import LabelFiles
from axolotl_slung.corpus.parts import Part
from axolotl_slung.corpus.progress import write_plan
from axolotl_slung.corpus.run import cores


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The text above as it is, and the default of each option."""


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("input", help="a file, a folder, or the id of a hub data set")
    parser.add_argument("output", help="the folder for the labeled files")
    parser.add_argument("--config", required=True, default=argparse.SUPPRESS, help="a YAML file with a `slung:` block")
    parser.add_argument("--messages-field", default=argparse.SUPPRESS, help="for chats: the column of messages")
    parser.add_argument(
        "--text-field",
        default=argparse.SUPPRESS,
        help="the column to label; in chats, the key of each message's text (default: text; in chats: content)",
    )
    parser.add_argument("--executor", choices=["local", "slurm", "ray"], default="local", help="where tasks run")
    parser.add_argument("--tasks", type=_positive, default=cores(), help="number of tasks")
    parser.add_argument("--workers", type=int, default=0, help="tasks that run at once; 0: all of them")
    parser.add_argument(
        "--logs",
        default=argparse.SUPPRESS,
        help="folder for marks of finished tasks, statistics and Slurm's script (default: in .slung of the output)",
    )
    slurm = parser.add_argument_group("Slurm")
    slurm.add_argument("--partition", default="cpu", help="partition")
    slurm.add_argument("--time", default="10:00:00", help="time limit of a task; a task that hits it can be continued")
    slurm.add_argument("--cpus", type=_positive, default=1, help="CPUs of a task; labeling in a task uses one process")
    slurm.add_argument("--mem-per-cpu", type=_positive, default=4, help="GB of memory for each CPU")
    slurm.add_argument("--gpus", type=int, default=0, help="GPUs of a task; a `classifier` uses one")
    slurm.add_argument(
        "--activate", default=argparse.SUPPRESS, help="a command for the nodes that activates the Python environment"
    )
    slurm.add_argument(
        "--sbatch-arg", action="append", type=_pair, default=argparse.SUPPRESS, metavar="KEY=VALUE",
        help="any other argument of sbatch, such as account=nlp or exclusive; can be repeated",
    )  # fmt: skip
    return parser.parse_args()


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def _pair(text):
    key, _, value = text.removeprefix("--").partition("=")
    return key, value


def main():
    options = _options()
    block = read_block(options.config, ()).model_dump(mode="json", exclude_unset=True)
    # marks of finished tasks count only for the same job
    fields = {key: value for key, value in vars(options).items() if key in ("messages_field", "text_field")}
    fields.setdefault("text_field", "content" if "messages_field" in fields else "text")
    job = hashlib.sha256(json.dumps([options.input, options.tasks, block, fields]).encode()).hexdigest()[:12]
    logs = getattr(options, "logs", f"{options.output}/.slung/datatrove-{job}")
    step = LabelFiles([options.input], options.output, block, **fields)
    _tell(step.tasks(options.tasks), Path(options.output))
    workers = options.workers or options.tasks
    common = {"tasks": options.tasks, "workers": workers, "logging_dir": logs}
    match options.executor:
        case "local":
            executor = LocalPipelineExecutor([step], start_method="spawn", **common)
        case "slurm":
            executor = SlurmPipelineExecutor(
                [step],
                time=options.time,
                partition=options.partition,
                cpus_per_task=options.cpus,
                mem_per_cpu_gb=options.mem_per_cpu,
                gpus_per_task=options.gpus,
                qos=None,
                job_name="slung-label",
                env_command=getattr(options, "activate", None),
                sbatch_args=dict(getattr(options, "sbatch_arg", [])),
                **common,
            )
        case "ray":
            executor = RayPipelineExecutor([step], **common)
    executor.run()


def _tell(divided, output):
    """Write and print who labels what."""
    write_plan(output, divided)
    loads = [sum(source.size or 0 for source in task) for task in divided]
    cut = {source.name for task in divided for source in task if isinstance(source, Part)}
    idle = sum(not task for task in divided)
    print(f"{len(divided)} tasks, {sum(loads) / 1e9:,.2f} GB; the largest task has {max(loads) / 1e9:,.2f} GB")
    if cut:
        print(f"{len(cut)} files are cut into parts, and joined when their last part is done")
    if idle:
        print(f"{idle} tasks have nothing to do: compressed files and hub data sets are not cut; use fewer --tasks")


if __name__ == "__main__":
    main()
