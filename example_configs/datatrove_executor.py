"""The options and executors that label_with_datatrove.py and mix_with_datatrove.py have in common."""

import argparse

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor

from axolotl_slung.corpus.run import cores


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The text of a script as it is, and the default of each option."""


def add_options(parser: argparse.ArgumentParser, work: str) -> None:
    """Add the options of `executor_of`. `work` is what a task does with one process."""
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
    slurm.add_argument("--cpus", type=_positive, default=1, help=f"CPUs of a task; {work} in a task uses one process")
    slurm.add_argument("--mem-per-cpu", type=_positive, default=4, help="GB of memory for each CPU")
    slurm.add_argument("--gpus", type=int, default=0, help="GPUs of a task; a `classifier` uses one")
    slurm.add_argument(
        "--activate", default=argparse.SUPPRESS, help="a command for the nodes that activates the Python environment"
    )
    slurm.add_argument(
        "--sbatch-arg", action="append", type=_pair, default=argparse.SUPPRESS, metavar="KEY=VALUE",
        help="any other argument of sbatch, such as account=nlp or exclusive; can be repeated",
    )  # fmt: skip


def executor_of(step, tasks: int, options, logs: str, name: str, depends=None):
    """The executor of a pipeline of one step.

    Args:
        step: the step.
        tasks: their number.
        options: those of `add_options`.
        logs: the folder for marks of finished tasks.
        name: of the job on Slurm.
        depends: the executor of the step before this one.
    """
    common = {"tasks": tasks, "workers": options.workers or tasks, "logging_dir": logs, "depends": depends}
    match options.executor:
        case "local":
            return LocalPipelineExecutor([step], start_method="spawn", **common)
        case "slurm":
            # without it, steps after one that failed stay in the queue
            waits = {"kill-on-invalid-dep": "yes"} if depends else {}
            return SlurmPipelineExecutor(
                [step],
                time=options.time,
                partition=options.partition,
                cpus_per_task=options.cpus,
                mem_per_cpu_gb=options.mem_per_cpu,
                gpus_per_task=options.gpus,
                qos=None,
                job_name=name,
                env_command=getattr(options, "activate", None),
                sbatch_args={**waits, **dict(getattr(options, "sbatch_arg", []))},
                **common,
            )
        case "ray":
            return RayPipelineExecutor([step], **common)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return number


def _pair(text):
    key, _, value = text.removeprefix("--").partition("=")
    return key, value
