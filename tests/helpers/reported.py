"""Files of results as lm_eval writes them, and `slung report` on them by its command line."""

import json
from copy import deepcopy

from click.testing import CliRunner

from axolotl_slung.cli import main

SLUNG = {
    "slung_toxicity": {
        "protocol": "paper",
        "data": {"source": "prompts.jsonl", "rows": 2000, "digest": "0123456789abcdef"},
        "scorer": {"name": "profanity", "version": "1.9.1"},
    },
    "slung_civilcomments": {"protocol": "paper", "data": {"source": "owner/comments", "rows": 9, "digest": "ff"}},
    "slung_zeroshot": {"protocol": "paper", "data": {"source": "owner/comments", "rows": 9, "digest": "fe"}},
    "slung_perplexity": {"protocol": "paper", "data": {"source": "owner/dolma", "rows": 9, "digest": "aa"}},
    "slung_perplexity_reddit": {"protocol": "paper", "data": {"source": "reddit.jsonl", "rows": 9, "digest": "bb"}},
    "slung_tofu": {
        "protocol": "paper",
        "data": {"source": "owner/TOFU", "rows": 400, "digest": "cc"},
        "judge": {"name": "a-judge", "version": "2025-03", "served": "a-judge-3"},
    },
}


def write(folder, model, tasks, *, date=1.0, name="results_2026-01-01T00-00-00.json", change=None):
    """One file of results; `change` alters its content."""
    content = {"results": {}, "configs": {}, "n-samples": {}, "date": date, "model_name": model}
    content["config"] = {"model": "hf", "model_args": f"dtype=float32,pretrained={model}"}
    content |= {"model_source": "hf", "chat_template": None, "chat_template_sha": None, "system_instruction_sha": None}
    for task, metrics in tasks.items():
        content["results"][task] = {"alias": task, **{f"{metric},none": value for metric, value in metrics.items()}}
        about = deepcopy(SLUNG[task.removesuffix("_50")])
        kwargs = {"do_sample": False, "max_gen_toks": 20}
        content["configs"][task] = {"metadata": {"version": 1.0, "slung": about}, "generation_kwargs": kwargs}
        if "perplexity" in task or "civilcomments" in task:
            content["configs"][task] |= {"output_type": "loglikelihood_rolling", "generation_kwargs": None}
        content["n-samples"][task] = {"original": 2000, "effective": 2000}
    if change:
        change(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def toxic(toxicity, auroc, **more):
    return {"slung_toxicity": {"toxicity": toxicity, **more}, "slung_civilcomments": {"auroc": auroc}}


def tofu(names, correct=None, recall=None, **more):
    values = {"name_rate": names, "new_name_rate": names / 2, "correct": correct, "partially_correct": correct}
    values |= {"rougeL_recall_no_names": recall, "token_recall_no_names": recall}
    return {"slung_tofu": {name: value for name, value in values.items() if value is not None} | more}


def invoke(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)], env={"COLUMNS": "100"})


def run(tmp_path, *sources):
    """What the command printed, and its figures."""
    result = invoke(*sources, "-o", tmp_path / "report", "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout, json.loads((tmp_path / "figures.json").read_text())


def refused(*sources):
    result = invoke(*sources, "-o", "never")
    assert result.exit_code in (1, 2) and isinstance(result.exception, SystemExit), (result.output, result.exception)
    return " ".join(result.output.split())


def row(printed, method):
    """The cells of the method's first row, which are set apart by two spaces or one."""
    line = next(line for line in printed.splitlines() if line.strip().startswith(f"{method} "))
    return line.strip().removeprefix(method).replace(" ± ", "±").split()


def estimate(figures, label, task, metric):
    return next(m for m in figures["methods"] if m["label"] == label)["tasks"][task]["metrics"][metric]


def quantities(tmp_path):
    """Three methods, two of them with quantities, given in disorder."""
    sources = [f"control={write(tmp_path / 'c', 'c', toxic(0.08, 0.8))}"]
    for label, slope in (("masked", 0.01), ("toxic baseline", 0.04)):
        for step, quantity in ((2, "80M"), (0, "20M"), (1, "0.04B"), (3, "1.5b")):
            folder = tmp_path / f"{label}-{step}"
            write(folder, f"{label}-{quantity}", toxic(0.08 + slope * step, 0.8 + 0.01 * step))
            sources.append(f"{label}@{quantity}={folder}")
    return sources


def everything(tmp_path):
    sources = quantities(tmp_path)
    return [*sources, f"control={write(tmp_path / 'names', 'c', tofu(0.5, 0.1, correct_stderr=0.01))}"]


def put(*path, value):
    def change(content):
        *before, last = path
        for key in before:
            content = content[key]
        content[last] = value

    return change


TOX = ("configs", "slung_toxicity")
HOW = (*TOX, "metadata")
SCORER = (*HOW, "slung", "scorer")
JUDGE = ("configs", "slung_tofu", "metadata", "slung", "judge")
