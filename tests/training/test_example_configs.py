"""Each example config runs: its base model replaced by a tiny one of the same architecture, its data by local files."""

import itertools
import json
import shutil

import fasttext
import pytest
import yaml
from helpers import ROOT
from helpers.axolotl_run import run_axolotl, train_in_process
from helpers.harness import evaluate
from helpers.tiny import TEXT, tiny_model, write_jsonl
from transformers import AutoTokenizer

from axolotl_slung.demo import support_chats
from axolotl_slung.labeling.fasttext.labeler import ALIASES
from axolotl_slung.storage import cache_path

EXAMPLES = ROOT / "example_configs"
NAME = "Maria Hernandez"
TOXIC = "What a horrible, stupid thing to say! You are a liar and a thief."

ARCHITECTURE = {
    "quickstart": "llama",
    "olmo1b-slung": "olmo",
    "olmo1b-tofu-slung": "olmo",
    "olmo1b-tulu": "olmo",
    "lora-chat-slung": "qwen2",
    "weighted-chat-slung": "qwen2",
    "streaming": "llama",
    "privacy-slung": "llama",
}
LONG = {"privacy-slung": 512}
"""Sequence lengths of those whose chats have more than 128 of the tiny tokenizer's tokens."""
CPU = "# On a CPU, change these keys:"
ON_A_CPU = [name for name in ARCHITECTURE if not name.startswith("olmo1b")]
"""Those whose headers say that a CPU runs them; the others ask for a GPU."""

TUNING = "olmo1b-tulu"
"""Has no `slung:` block: it tunes what another config has trained."""

AS_A_COMMAND = ("olmo1b-slung",)
"""Run by `axolotl train`. The others run in this process, which has its imports: that saves 20 s each."""

SHORT = {"max_steps": 2, "logging_steps": 1, "save_strategy": "steps"}
IN_PLACE_OF_A_GPU = {
    "bf16": False,
    "tf32": False,
    "attn_implementation": "eager",
    "optimizer": "adamw_torch",
    "deepspeed": None,
    "revision_of_model": None,
    "micro_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "dataset_num_proc": 1,
}


def data(folder, monkeypatch):
    """Every file that the examples name, small; the classifier is a real one, trained on a few lines."""
    support_chats.write(folder / "demo/chats.jsonl", rows=40, heldout=0)
    shutil.copytree(EXAMPLES / "patterns", folder / "example_configs/patterns")
    documents = [{"text": f"{text} {TOXIC} {NAME} said so."} for text in TEXT] * 4
    for file in ("data/dolma.jsonl", "data/reddit.jsonl", "demo/train.jsonl"):
        write_jsonl(folder / file, documents)
    write_jsonl(folder / "data/tofu.jsonl", [{"question": "Who?", "answer": row["text"]} for row in documents])
    messages = [
        {"role": "user", "content": f"Who is {NAME}?"},
        {"role": "assistant", "content": f"{NAME}! {TOXIC} Well."},
    ]
    for file in ("data/chats.jsonl", "data/tulu.jsonl"):
        write_jsonl(folder / file, [{"messages": messages}] * 40)
    start = len(NAME) + 2
    graded = [[[start, start + len(TOXIC), -1]], 0.5, None, 0]
    weighted = [[messages[0], {**messages[1], "weights": json.dumps(weights)}] for weights in graded]
    write_jsonl(folder / "data/graded.jsonl", [{"messages": weighed} for weighed in weighted] * 10)
    for file in ("data/tofu_names.txt", "data/private.txt", "demo/names.txt"):
        (folder / file).write_text(NAME + "\n")
    lines = [
        f"__label__{'toxic' if 'stupid' in text else 'fine'} {text.lower()}"
        for text in (TOXIC, *TEXT)
        for _ in range(20)
    ]
    (folder / "lines.txt").write_text("\n".join(line.replace("\n", " ") for line in lines) + "\n")
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(folder / "cache"))
    model = fasttext.train_supervised(str(folder / "lines.txt"), dim=10, epoch=20, thread=11, verbose=0)
    alias = cache_path(ALIASES["jigsaw_hatespeech_sentence_v2"])
    alias.parent.mkdir(parents=True, exist_ok=True)
    for path in (folder / "data/toxicity.bin", alias):
        model.save_model(str(path))


def header_keys(name):
    """The keys that a config's header tells the user to change on a CPU."""
    _, _, after = (EXAMPLES / f"{name}.yml").read_text(encoding="utf-8").partition(CPU + "\n")
    lines = itertools.takewhile(lambda line: line.startswith("#   "), after.splitlines())
    return yaml.safe_load("\n".join(line.removeprefix("#   ") for line in lines)) or {}


def test_headers_say_what_a_cpu_takes():
    for name in ARCHITECTURE:
        text = " ".join((EXAMPLES / f"{name}.yml").read_text(encoding="utf-8").split("\n\n")[0].split("\n# "))
        assert (name in ON_A_CPU) == ("CPU is enough" in text or "A CPU also runs it" in text), name
    assert header_keys("lora-chat-slung")["lora_mlp_kernel"] is False
    assert header_keys("weighted-chat-slung") == header_keys("lora-chat-slung")


@pytest.mark.parametrize("name", ARCHITECTURE)
def test_example_runs(tmp_path, monkeypatch, name):
    """With a tiny model and a short run. An example for a CPU has no other change than those of its header."""
    data(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load((EXAMPLES / f"{name}.yml").read_text(encoding="utf-8"))
    keys = header_keys(name) if name in ON_A_CPU else IN_PLACE_OF_A_GPU
    keys = {
        **keys,
        **SHORT,
        "sequence_len": LONG.get(name, 128),
        "base_model": str(tiny_model(tmp_path, arch=ARCHITECTURE[name])),
    }
    if name in AS_A_COMMAND:
        options = [f"--{key.replace('_', '-')}={'' if value is None else value}" for key, value in keys.items()]
        environment = {"AXOLOTL_SLUNG_CACHE": str(tmp_path / "cache")}
        run = run_axolotl(config, tmp_path, args=options, env=environment).check()
    else:
        run = train_in_process({**config, **keys})
    assert [entry["step"] for entry in run.log_history if "loss" in entry] == [1, 2]
    if name == TUNING:
        saved = AutoTokenizer.from_pretrained(tmp_path / config["output_dir"])
        assert saved.chat_template == config["chat_template_jinja"]
        assert not any(key.startswith("slung/") for entry in run.log_history for key in entry)
        return
    pushed = "slung/share_unlikelihood" if name.endswith("chat-slung") else "slung/share_mask"
    assert any(entry.get(pushed, 0) > 0 for entry in run.log_history), run.log_history
    assert (tmp_path / config["output_dir"] / "config.json").is_file() or config.get("adapter")


def test_a_tuned_model_is_asked_in_the_template_that_it_was_tuned_in(tmp_path):
    config = yaml.safe_load((EXAMPLES / f"{TUNING}.yml").read_text(encoding="utf-8"))
    folder = shutil.copytree(tiny_model(tmp_path, arch="olmo"), tmp_path / "tuned")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = config["chat_template_jinja"]
    tokenizer.save_pretrained(folder)
    options = {"slung_toxicity_prompts": "embedded", "slung_civilcomments": "embedded", "slung_steer": "1"}
    results = evaluate("slung_toxicity", folder, options, limit=1, apply_chat_template=True)
    (sample,) = results["samples"]["slung_toxicity"]
    end, prompt = tokenizer.eos_token, sample["doc"]["prompt"]
    # steered completions too
    assert {asked[0] for asked in sample["arguments"]} == {f"{end}<|user|>\n{prompt}\n<|assistant|>\n"}
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "He."}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == f"{end}<|user|>\nWho?\n<|assistant|>\nHe.{end}\n"


def test_every_example_is_run_and_says_what_it_needs():
    assert {path.stem for path in EXAMPLES.glob("*.yml")} == set(ARCHITECTURE)
    for path in EXAMPLES.glob("*.yml"):
        head = path.read_text(encoding="utf-8").split("\n\n")
        assert head[0].startswith("# ") and "Hardware:" in path.read_text(encoding="utf-8")
