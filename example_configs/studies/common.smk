# What the studies share: settings, checks, and the rules from a base config to the report.
#
# A study's Snakefile includes this file, and may then say where its data comes from (DATA, FILES), what it measures (TASKS, OPTIONS) and
# how its report is called. Every command is one that a person could type: slung, axolotl and lm_eval are taken from PATH.

import json
import os
import re
import shlex
import shutil
import sys
from itertools import islice
from pathlib import Path

import yaml

STUDY = Path(workflow.basedir).name
SIZES = ("small", "paper")


configfile: os.path.join(workflow.basedir, "study.yml")


def refuse(message):
    """End with a message, and without the lines of code that Snakemake shows with an error."""
    sys.exit(f"Error: {STUDY}: {message}")


include: "settings.smk"


SETTINGS = read_settings()
OUT = str(config.get("out") or f"studies/{STUDY}-{config['size']}").rstrip("/")
if not re.fullmatch(r"[\w./@][\w./@-]*", OUT):  # it stands in commands and in lists with commas
    refuse(f"out: {OUT}: not a plain path; use letters, digits and . _ - / @, and no - in front")
CONFIGS = Path(workflow.basedir).parent.parent  # example_configs
for key, name in (("base", SETTINGS["base"]), ("tune.base", SETTINGS.get("tune", {}).get("base"))):
    if name is not None and not (CONFIGS / name).is_file():
        refuse(f"{key}: {name}: not a file of example_configs; name one of them")
DEMO = SETTINGS["model"] == "demo"
MODEL = f"{OUT}/model" if DEMO else SETTINGS["model"]
EVALUATION = SETTINGS["evaluation"]
ARMS = [arm["name"] if isinstance(arm, dict) else arm for arm in SETTINGS["arms"]]  # their names
SEEDS = SETTINGS["seeds"]
BUDGETS = list(SETTINGS.get("budgets") or [None])
EQUAL = SETTINGS["equal"]
# Without a shared file system, Snakemake copies files from and to a storage. The copies lie below this folder, under their own names.
STORAGE = workflow.storage_settings.default_storage_provider
PREFIX = workflow.storage_settings.default_storage_prefix or ""
COPIES = Path(workflow.storage_settings.local_storage_prefix, STORAGE or "", PREFIX.split("://")[-1].strip("/"))
TO_COPIES = f"mkdir -p {shlex.quote(str(COPIES))} && cd {shlex.quote(str(COPIES))};" if STORAGE else ""

# Axolotl's telemetry would send the config. Waiting threads that spin slow a busy machine down.
for variable, value in (("AXOLOTL_DO_NOT_TRACK", "1"), ("OMP_WAIT_POLICY", "passive")):
    os.environ.setdefault(variable, value)
shell.prefix(f"set -euo pipefail; {TO_COPIES} ")


def here():
    """Whether this process should look at files and tools itself. With a storage, only the jobs can."""
    return workflow.is_main_process and not STORAGE


def check_tools(*tools):
    """Refuse to start if a command is not on PATH."""
    for tool in tools:
        if here() and not shutil.which(tool):
            refuse(
                f"{tool}: not on PATH; activate the environment of axolotl-slung, or put its bin folder in front: "
                "PATH=.venv/bin:$PATH snakemake ..."
            )


def check_file(key, columns=(), values=(), most=None):
    """Refuse to start if the file of a setting is missing, or if one of its rows lacks a column. No row is quoted.

    `columns` have to be text, and `values` may be anything but null. Only the first lines are read if `most` says how many. Returns the
    rows, or nothing where this process cannot read the file.
    """
    path, needed = SETTINGS[key], ", ".join([*columns, *values])
    if not path:
        refuse(f"{key}: not given; add `--config {key}=FILE`, a file of JSON lines with {needed}")
    if not here():
        return []
    if not os.path.isfile(path):
        refuse(f"{key}: {path}: no such file; give one with `--config {key}=FILE`")
    rows = []
    for number, row in read_rows(key, path, most):
        row = row if isinstance(row, dict) else {}
        for kind, missing in (
            ("text", [name for name in columns if not isinstance(row.get(name), str)]),
            ("value", [name for name in values if row.get(name) is None]),
        ):
            if missing:
                refuse(f"{key}: {path}: line {number} has no {kind} in {', '.join(missing)}; each line needs {needed}")
        rows.append(row)
    if not rows:
        refuse(f"{key}: {path}: the file is empty; it needs rows with {needed}")
    return rows


def read_rows(key, path, most=None):
    """Each row of a file of JSON lines, with the number of its line."""
    rows = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(islice(file, most), start=1):
                if line.strip():
                    rows.append((number, json.loads(line)))
    except OSError as error:
        refuse(f"{key}: {path}: cannot be read: {error.strerror}; change its permissions")
    except UnicodeDecodeError:
        refuse(f"{key}: {path}: not UTF-8; save it as UTF-8")
    except (ValueError, RecursionError):
        refuse(f"{key}: {path}: line {number}: not JSON; the file has to be JSON lines")
    return rows


def write(path, text):
    """Write a file under another name and then move it to its place."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(f"{path}.part").write_text(text, encoding="utf-8")
    os.replace(f"{path}.part", path)


def write_yaml(path, content):
    write(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def write_rows(path, rows):
    write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def base_config(datasets, **more):
    """A config of example_configs with the study's changes: without a method, and with places in the study's folder."""
    content = yaml.safe_load((CONFIGS / SETTINGS["base"]).read_text(encoding="utf-8"))
    slung = {**(content.get("slung") or {}), **SETTINGS.get("slung", {}), **more.pop("slung", {})}
    slung.pop("method", None)
    content.update(base_model=MODEL, slung=slung, datasets=datasets, dataset_prepared_path=f"{OUT}/prepared", **more)
    content.update(SETTINGS.get("axolotl", {}))
    return {key: value for key, value in content.items() if value is not None}


def run_names(arm):
    """The names of one arm's runs, as `slung arms` gives them, in the order of budgets and seeds."""
    budgets = [""] if BUDGETS == [None] else [f"-{budget}" for budget in BUDGETS]
    return [f"{arm}{budget}-seed{seed}" for budget in budgets for seed in SEEDS]


RUNS = {run: arm for arm in ARMS for run in run_names(arm)}
if len(RUNS) < len(ARMS) * len(SEEDS) * len(BUDGETS):
    refuse("arms, seeds, budgets: two runs would have the same name; give each its own")


def resources_of(step):
    """The resources of a step, as the executors for Slurm and Kubernetes read them."""
    found = dict(SETTINGS["resources"].get(step) or refuse(f"resources.{step}: not given; add its mem_mb and runtime"))
    found.pop("threads", None)
    if not found.get("gpu"):
        found.pop("gpu", None)
    elif "gpu_manufacturer" not in found:
        found["gpu_manufacturer"] = "nvidia"
    return found


def threads_of(step):
    return (SETTINGS["resources"].get(step) or {}).get("threads", 1)


def environment(options):
    """Options of the tasks, as assignments in front of a command."""
    return " ".join(f"{key}={shlex.quote(str(value))}" for key, value in options.items() if value is not None)


check_tools("slung", "axolotl", "lm_eval")
# what `slung arms` reads; a study on a mix adds where its data is
ARMS_FILE = {"base": f"{OUT}/base.yml", "arms": SETTINGS["arms"], "seeds": SEEDS, "equal": EQUAL}
READ = []  # what a report reads beside the results in REPORTED
ARMS_FILE["ranks"] = resources_of("train").get("gpu", 1)


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
    name="|".join(map(re.escape, ["base", *RUNS])),


localrules:
    all,
    base,
    arms_file,


rule tools:
    output:
        f"{OUT}/tools.txt",
    shell:
        """
        for tool in slung axolotl lm_eval; do
            command -v $tool > /dev/null || {{ echo "$tool: not on PATH" >&2; exit 1; }}
        done
        mkdir -p {OUT} && slung --version > {OUT}/tools.txt
        """


rule model:
    input:
        ancient(f"{OUT}/tools.txt"),
    output:
        f"{OUT}/model.txt",
    resources:
        **resources_of("prepare"),
    shell:
        "python -m axolotl_slung.demo.model --link {OUT}/model > {OUT}/model.txt"


rule base:
    input:
        ancient(f"{OUT}/tools.txt"),
    output:
        f"{OUT}/base.yml",
    params:
        content=lambda wildcards: BASE,
    run:
        write_yaml(output[0], params.content)


rule arms_file:
    output:
        f"{OUT}/arms.yml",
    params:
        content=lambda wildcards: ARMS_FILE,
    run:
        write_yaml(output[0], params.content)


checkpoint arms:
    input:
        f"{OUT}/arms.yml",
        f"{OUT}/base.yml",
        lambda wildcards: DATA,
        [f"{OUT}/model.txt"] if DEMO else [],
    output:
        f"{OUT}/runs/arms.json",
        [f"{OUT}/runs/{run}.yml" for run in RUNS],
    log:
        f"{OUT}/logs/arms.log",
    threads: threads_of("arms")
    resources:
        **resources_of("arms"),
    shell:
        "mkdir -p {OUT}/logs; slung arms {OUT}/arms.yml -o {OUT}/runs > {OUT}/logs/arms.log 2>&1"


rule train:
    input:
        lambda wildcards: settled(
            f"{OUT}/runs/out/{wildcards.run}", f"{OUT}/runs/{wildcards.run}.yml", *DATA
        ),
        [f"{OUT}/model.txt"] if DEMO else [],
    output:
        directory(f"{OUT}/runs/out/{{run}}"),
    params:
        data=lambda wildcards: DIGESTED,
    log:
        f"{OUT}/logs/train-{{run}}.log",
    threads: threads_of("train")
    resources:
        **resources_of("train"),
    shell:
        # A killed run goes on from its last checkpoint, if the config has any and neither config nor data have changed.
        """
        mkdir -p {OUT}/logs {OUT}/unfinished {OUT}/runs/out
        work={OUT}/unfinished/{wildcards.run}
        sha256sum {OUT}/runs/{wildcards.run}.yml {params.data:q} > $work.now
        cmp -s $work.now $work.of || rm -rf $work
        mv $work.now $work.of
        axolotl train {OUT}/runs/{wildcards.run}.yml --output-dir $work > {OUT}/logs/train-{wildcards.run}.log 2>&1
        rm -rf {OUT}/runs/out/{wildcards.run}
        mv $work {OUT}/runs/out/{wildcards.run}
        """


rule evaluate:
    input:
        lambda wildcards: settled(f"{OUT}/evals/{wildcards.name}", *model_input(wildcards.name), *FILES),
        ancient(f"{OUT}/tools.txt"),
    output:
        directory(f"{OUT}/evals/{{name}}"),
    params:
        place="evals",
        log=lambda wildcards: f"{OUT}/logs/evaluate-{wildcards.name}.log",
        model=lambda wildcards: model_args(model_of(wildcards.name)),
        command=lambda wildcards: words("evaluation.arguments", EVALUATION["arguments"]),
        tasks=lambda wildcards: ",".join(TASKS),
        options=lambda wildcards: environment(OPTIONS),
    log:
        f"{OUT}/logs/evaluate-{{name}}.log",
    threads: threads_of("evaluate")
    resources:
        **resources_of("evaluate"),
    shell:
        """
        mkdir -p {OUT}/logs {OUT}/{params.place}
        done={OUT}/{params.place}/{wildcards.name}
        rm -rf $done.part $done
        {params.options} lm_eval --model hf --model_args {params.model:q} --tasks {params.tasks:q} \
            {params.command:q} --log_samples --output_path $done.part > {params.log} 2>&1
        mv $done.part $done
        """


rule report:
    input:
        lambda wildcards: settled(f"{OUT}/report.json", *(folder for _, folder in REPORTED), *READ),
    output:
        page=directory(f"{OUT}/report"),
        figures=f"{OUT}/report.json",
    params:
        place=OUT,
        log=f"{OUT}/logs/report.log",
        runs=lambda wildcards: [f"{label}={folder}" for label, folder in REPORTED],
        options=lambda wildcards: REPORT.split(),
    log:
        f"{OUT}/logs/report.log",
    resources:
        **resources_of("prepare"),
    shell:
        """
        mkdir -p {OUT}/logs
        rm -rf {params.place}/report {params.place}/report.part {params.place}/report.json
        slung report {params.runs:q} {params.options:q} -o {params.place}/report.part --json {params.place}/report.json.part \
            > {params.log} 2>&1
        mv {params.place}/report.json.part {params.place}/report.json
        mv {params.place}/report.part {params.place}/report
        """


def settled(output, *inputs):
    """The inputs of a step that comes after `slung arms`.

    `slung arms` writes all configs again if one arm changes. If the step's output is there, Snakemake decides after that whether the step
    is done again, and configs with the same content as before do not count. A dry run before it therefore does not list these steps.
    """
    if not STORAGE and os.path.exists(output):
        checkpoints.arms.get()
    return list(inputs)


def model_args(model):
    """The argument of `lm_eval --model_args`, a list with commas."""
    return ",".join(filter(None, [f"pretrained={model}", EVALUATION["model_args"]]))


def model_of(name):
    return MODEL if name == "base" else f"{OUT}/runs/out/{name}"


def model_input(name):
    if name != "base":
        return [model_of(name)]
    return [f"{OUT}/model.txt"] if DEMO else []


def evaluated():
    """The results of the model before training and of all runs, each with the label of its method."""
    found = [("base", f"{OUT}/evals/base")]
    for run, arm in RUNS.items():
        budget = run.removeprefix(arm).rpartition("-seed")[0].lstrip("-") if len(BUDGETS) > 1 else ""
        found.append((f"{arm}@{budget}" if budget else arm, f"{OUT}/evals/{run}"))
    return found


def against(arm):
    """The option of the report that compares the other arms with this one. Without this arm, a note and no option."""
    if arm in ARMS:
        return f"--against {arm}"
    if workflow.is_main_process:
        print(f"Note: {STUDY}: arms: no {arm}, so the report compares no arms with each other", file=sys.stderr)
    return ""
