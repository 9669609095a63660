"""Runs Snakemake in the environment of its own, on the studies, with the commands of a machine that the test makes up.

`make test` says where Snakemake is (SNAKEMAKE, made by the Makefile). Starting it takes over a second: several runs that change nothing
share one start.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers import ROOT, TESTS

STUDIES = ROOT / "example_configs" / "studies"
SNAKEMAKE = shutil.which(os.environ.get("SNAKEMAKE", "snakemake"))
needs_snakemake = pytest.mark.skipif(
    SNAKEMAKE is None, reason="Snakemake is not installed: `make test` installs it, or set SNAKEMAKE to its command"
)

SEVERAL = """
import contextlib, json, os, sys
from snakemake.cli import main

for number, arguments in enumerate(json.loads(sys.argv[1])):
    if not os.fork():
        with open(f"{sys.argv[2]}.{number}", "w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.argv = ["snakemake", *arguments]
            main(arguments)
            os._exit(0)
    os.wait()
"""


class Done(NamedTuple):
    """A run of Snakemake that ended."""

    status: int
    output: str

    def check(self):
        assert self.status == 0, self.output
        return self


def environment(tools, **more):
    """The environment of a machine with these tools in front of PATH."""
    return {**os.environ, "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]), **more}


def start(arguments, folder, tools, **more):
    """Start Snakemake in a folder and a process group of its own."""
    return subprocess.Popen(
        [SNAKEMAKE, *map(str, arguments)],
        cwd=folder,
        env=environment(tools, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(arguments, folder, tools, seconds=600, **more):
    """Run Snakemake in a folder."""
    process = start(arguments, folder, tools, **more)
    output, _ = process.communicate(timeout=seconds)
    return Done(process.returncode, output)


def run_dry(several, folder, tools, **more):
    """What each of several dry runs prints. They share one start of Python."""
    arguments = [["-n", *map(str, one)] for one in several]
    python = Path(SNAKEMAKE).resolve().parent / "python"
    python = python if python.exists() else Path(SNAKEMAKE).read_text().splitlines()[0].removeprefix("#!")
    logs = Path(folder, "dry")
    subprocess.run(
        [str(python), "-c", SEVERAL, json.dumps(arguments), str(logs)],
        cwd=folder,
        env=environment(tools, **more),
        check=True,
        timeout=600,
    )
    return [Path(f"{logs}.{number}").read_text() for number in range(len(several))]


def jobs(output):
    """How often each rule is to run, as the table of a dry run says."""
    _, _, table = output.partition("Job stats:")
    lines = [line.split() for line in table.partition("\n\n")[0].splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit() and line[0] != "total"}


def make_tools(folder, names=("slung", "axolotl", "lm_eval", "python")):
    """Commands that write what the real ones write, at once, and note how they were called in `calls.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {TESTS / "helpers" / "study_tools.py"} {name} "$@"\n')
        script.chmod(0o755)
    return folder
