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

from datatrove_executor import Help, add_options, executor_of

from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.datatrove import LabelFiles
from axolotl_slung.corpus.parts import Part
from axolotl_slung.corpus.progress import write_plan


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Help)
    parser.add_argument("input", help="a file, a folder, or the id of a hub data set")
    parser.add_argument("output", help="the folder for the labeled files")
    parser.add_argument("--config", required=True, default=argparse.SUPPRESS, help="a YAML file with a `slung:` block")
    parser.add_argument("--messages-field", default=argparse.SUPPRESS, help="for chats: the column of messages")
    parser.add_argument(
        "--text-field",
        default=argparse.SUPPRESS,
        help="the column to label; in chats, the key of each message's text (default: text; in chats: content)",
    )
    add_options(parser, "labeling")
    return parser.parse_args()


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
    executor_of(step, options.tasks, options, logs, "slung-label").run()


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
