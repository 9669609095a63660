"""lm_eval in this process, with our tasks alone, on tiny models."""

import json
from pathlib import Path

from helpers import ROOT
from helpers.tiny import write_jsonl

TASKS = ROOT / "lm_eval_tasks"

SOURCES = ("TOXICITY_PROMPTS", "CIVILCOMMENTS", "TOFU", "PERPLEXITY_TEXT", "PERPLEXITY_REDDIT")


def evaluate(tasks, model, metadata=None, model_args=None, **options):
    """What `lm_eval.simple_evaluate` gives for tasks (a name, or several) and a model (a folder, or one of lm_eval's models)."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)
    if isinstance(model, (str, Path)):
        options = {"batch_size": 4, "device": "cpu", **options}
        model, model_args = "hf", {"pretrained": str(model), "dtype": "float32", **(model_args or {})}
    tasks = [tasks] if isinstance(tasks, str) else tasks
    return lm_eval.simple_evaluate(
        model=model, model_args=model_args, tasks=tasks, task_manager=manager, bootstrap_iters=0, **options
    )


def load_task(name, metadata=None):
    """One of our tasks, as lm_eval loads it from its YAML file."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)
    return manager.load_task_or_group(name)[name]


def metrics_of(results, task):
    """Metric to number."""
    return {name.removesuffix(",none"): value for name, value in results["results"][task].items()}


def about(results, task):
    """What the results say of how the task was measured."""
    return json.loads(json.dumps(results["configs"][task]["metadata"]["slung"], default=str))


def saying(answer, log_likelihood=lambda context, continuation: 0.0):
    """A model of lm_eval's whose completion of a prompt is `answer(prompt)`; it remembers what it was asked with.

    `log_likelihood(context, continuation)` is what it says of texts to score, which it remembers in `scored`.
    """
    from lm_eval.api.model import LM

    class Saying(LM):
        def __init__(self):
            super().__init__()
            self.asked, self.scored = [], []

        def generate_until(self, requests, disable_tqdm=False):
            self.asked += [request.args for request in requests]
            return [answer(request.args[0]) for request in requests]

        def loglikelihood(self, requests, disable_tqdm=False):
            self.scored += [request.args for request in requests]
            return [(log_likelihood(*request.args), False) for request in requests]

        def loglikelihood_rolling(self, requests):
            raise AssertionError("no whole texts were to be scored")

    return Saying()


def local(monkeypatch, tmp_path, option, rows):
    """Point an option at a file of these rows."""
    monkeypatch.setenv(option, str(write_jsonl(tmp_path / f"{option.lower()}.jsonl", rows)))
