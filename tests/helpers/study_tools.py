"""Commands that write what slung, axolotl and lm_eval write, so that a whole study runs in seconds. Run by helpers/snakemake.py.

Each call is a line of $CALLS. $FAIL names a file: while it exists, a training stops in the middle of its work.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import yaml


def after(option, words):
    return words[words.index(option) + 1]


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def arms(words):
    """A config for each run, with its arm and the base config."""
    plan = yaml.safe_load(Path(words[1]).read_text())
    base = yaml.safe_load(Path(plan["base"]).read_text())
    runs = []
    for one in plan["arms"]:
        arm = one if isinstance(one, dict) else {"name": one, "method": one}
        for budget in plan.get("budgets") or [""]:
            for seed in plan["seeds"]:
                name = "-".join(filter(None, [arm["name"], budget, f"seed{seed}"]))
                write(f"{after('-o', words)}/{name}.yml", yaml.safe_dump({**base, "slung": arm, "seed": seed}))
                runs.append({"name": name})
    write(f"{after('-o', words)}/arms.json", json.dumps({"arms": runs}))


def mix(words):
    """A part for each seed and budget, and what is held out."""
    plan = yaml.safe_load(Path(words[1]).read_text())
    for seed in plan["seeds"]:
        for budget in plan["budgets"]:
            write(f"{after('-o', words)}/seed-{seed}/{budget}/part-00000.jsonl", '{"text": "a", "spans": []}\n')
    for part in ("base", "risky"):
        write(f"{after('-o', words)}/heldout/{part}.jsonl", '{"text": "b", "spans": []}\n')
    write(f"{after('-o', words)}/manifest.json", "{}")


def train(words):
    folder = Path(after("--output-dir", words))
    write(folder / "checkpoint-1" / "half.txt", "half of the work")
    if os.path.exists(os.environ.get("FAIL", "")):
        time.sleep(float(os.environ.get("SECONDS", 0)))
        os.kill(os.getpid(), signal.SIGKILL)
    write(folder / "model.safetensors", Path(words[1]).read_text() + str(time.time_ns()))


def main(name, words):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(json.dumps([name, *words]) + "\n")
    if name == "axolotl":
        train(words)
    elif name == "lm_eval":
        write(f"{after('--output_path', words)}/results_1.json", "{}")
    elif name == "python":
        print("model")
    elif words[0] == "--version":
        print("slung 0")
    elif words[0] == "arms":
        arms(words)
    elif words[0] == "audit":
        write(f"{after('-o', words)}/audit.json", "{}")
    elif words[0] == "attack":
        write(f"{after('-o', words)}/attack.json", "{}")
    elif words[0] == "report":
        write(f"{after('-o', words)}/report.html", "page")
        write(after("--json", words), "{}")
    elif words[0] == "label":
        write(f"{after('-o', words)}/{Path(words[1]).name}", Path(words[1]).read_text())
    elif words[0] == "mix":
        mix(words)
    else:
        sys.exit(f"{name} {words[0]}: not a command of this machine")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
