"""Runs the commands of an attack in this process: what a new process would do, without its half minute of imports."""

import json
import os
from itertools import pairwise
from pathlib import Path
from unittest import mock

import yaml

from helpers.axolotl_run import train_in_process
from helpers.harness import evaluate


class InProcess:
    """The `run` of an `Audit`. `commands` are the commands that ran, by program."""

    def __init__(self):
        self.commands = []

    def __call__(self, command, log, variables):
        self.commands.append(list(command))
        with mock.patch.dict(os.environ, variables):
            {"axolotl": self._train, "lm_eval": self._evaluate}[command[0]](command[1:])
        Path(log).write_text("done\n")

    def count(self, program):
        return sum(command[0] == program for command in self.commands)

    @staticmethod
    def _train(arguments):
        assert arguments[0] == "train"
        train_in_process(yaml.safe_load(Path(arguments[1]).read_text()))

    @staticmethod
    def _evaluate(arguments):
        from lm_eval.loggers import EvaluationTracker

        given = {name[2:]: value for name, value in pairwise(arguments) if name.startswith("--")}
        tracker = EvaluationTracker(output_path=given["output_path"])
        model, more = json.loads(given["model_args"]), {"batch_size": int(given["batch_size"])}
        if given["model"] == "slung_guided":
            from axolotl_slung.evals.guided import Guided

            asked, arguments = Guided(**model, device="cpu", **more), None
        else:
            asked, arguments = model.pop("pretrained"), model
        tasks = given["tasks"].split(",")
        results = evaluate(tasks, asked, model_args=arguments, evaluation_tracker=tracker, log_samples=True, **more)
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for task, its in samples.items():
            tracker.save_results_samples(task_name=task, samples=its)
