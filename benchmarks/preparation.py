"""Measures the CPU time of preparing data sets: Axolotl with the plugin against stock Axolotl.

    python benchmarks/preparation.py [--rows 20000] [--repeats 3] [--seed 0]

The rows are made-up text with a thousand made-up names, and one `entities` labeler looks for these names. The time
covers turning rows into tokens and labels (strategy and `map`). It does not cover opening the labeler, reading the rows
or loading the tokenizer. Both arms take turns in one process on one core. Each time is the median of the repeats, and
each ratio is the median of the repeats' ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

os.environ.update(HF_HUB_OFFLINE="1", AXOLOTL_DO_NOT_TRACK="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.axolotl_run import as_if_fresh, base_config, write_config
from helpers.tiny import TEXT, tiny_model

WORDS = " ".join(text for text in TEXT if text.isascii()).split()
SYLLABLES = [
    "ba",
    "dor",
    "el",
    "fi",
    "gan",
    "hes",
    "ir",
    "jo",
    "kal",
    "lum",
    "mi",
    "nor",
    "os",
    "pel",
    "ra",
    "su",
    "tev",
    "vin",
]


class Made:
    """Makes rows of made-up text.

    Args:
        seed: the same seed gives the same rows.
    """

    def __init__(self, seed: int):
        self._rng = random.Random(seed)
        self.names = sorted({f"{self._word(3)} {self._word(3)}" for _ in range(1000)})

    def _word(self, syllables: int) -> str:
        return "".join(self._rng.choice(SYLLABLES) for _ in range(syllables)).capitalize()

    def text(self, words: int) -> str:
        """A text of `words` words. About one in 20 is a name."""
        rng = self._rng
        return " ".join(rng.choice(self.names) if rng.random() < 0.05 else rng.choice(WORDS) for _ in range(words))

    def chat(self) -> dict:
        """Seven turns: a system message, and three questions with their answers."""
        turns = [{"role": "system", "content": self.text(10)}]
        for _ in range(3):
            turns += [{"role": "user", "content": self.text(12)}, {"role": "assistant", "content": self.text(40)}]
        return {"messages": turns}

    def tools(self, form=dict) -> dict:
        """A tool, a call of the tool, its result and an answer."""
        arguments = {
            "to": self._rng.choice(self.names),
            "subject": self.text(5),
            "body": f'{self.text(20)}\n"{self.text(20)}"',
        }
        strings = {name: {"type": "string", "description": self.text(8)} for name in arguments}
        parameters = {"type": "object", "properties": strings, "required": ["to"]}
        called = {"id": "call00001", "type": "function", "function": {"name": "send", "arguments": form(arguments)}}
        messages = [
            {"role": "user", "content": self.text(12)},
            {"role": "assistant", "content": self.text(8), "reasoning_content": self.text(20), "tool_calls": [called]},
            {"role": "tool", "content": json.dumps({"sent": self.text(5)}), "tool_call_id": "call00001"},
            {"role": "assistant", "content": self.text(20)},
        ]
        described = {
            "type": "function",
            "function": {"name": "send", "description": self.text(8), "parameters": parameters},
        }
        return {"messages": messages, "tools": [described]}

    def tools_in_json(self) -> dict:
        return self.tools(json.dumps)

    def document(self) -> dict:
        return {"text": "\n\n".join(self.text(60) for _ in range(7))}


CASES = {
    # title: (tokenizer, keys of the data set's entry, rows, what makes a row)
    "chats, byte-level": ("bytelevel_bos", {"type": "chat_template", "chat_template": "chatml"}, 20_000, Made.chat),
    "chats, SentencePiece-like": ("unigram", {"type": "chat_template", "chat_template": "chatml"}, 2_000, Made.chat),
    "tools, objects": ("bytelevel_bos", {"type": "chat_template", "chat_template": "qwen3"}, 2_000, Made.tools),
    "tools, JSON strings": (
        "bytelevel_bos",
        {"type": "chat_template", "chat_template": "qwen3"},
        2_000,
        Made.tools_in_json,
    ),
    "completion": ("bytelevel_bos", {"type": "completion"}, 2_000, Made.document),
}


@contextlib.contextmanager
def quiet():
    """Hide Axolotl's banner, configs and progress bars."""
    logging.disable(logging.WARNING)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


class Arm:
    """Runs one data set through Axolotl, up to tokenization."""

    def __init__(self, folder: Path, kind: str, entry: dict, slung: dict | None):
        keys = {"plugins": ["axolotl_slung.SlungPlugin"], "slung": slung} if slung else {}
        config = base_config(
            folder, base_model=str(tiny_model(folder, kind=kind)), sequence_len=8192, **keys,
            datasets=[{"path": "rows", "ds_type": "json", **entry}],
        )  # fmt: skip
        with as_if_fresh(folder):
            from axolotl.cli.config import load_cfg
            from axolotl.integrations.base import PluginManager
            from axolotl.loaders import load_tokenizer

            self.cfg = load_cfg(str(write_config(config, folder, "arm.yml")))
            # opens the labelers; they stay open
            PluginManager.get_instance().load_datasets(self.cfg, preprocess=False)
            self.tokenizer = load_tokenizer(self.cfg)

    def seconds(self, dataset) -> float:
        """CPU seconds of tokenizing and labeling."""
        from axolotl.utils.data import sft

        [entry] = self.cfg.datasets
        gc.collect()
        started = time.process_time()
        sft.get_dataset_wrapper(
            dataset_config=entry, tokenizer=self.tokenizer, cfg=self.cfg, dataset_base_type=entry.type, dataset=dataset,
            dataset_prompt_style=None, processor=None,
        )  # fmt: skip
        return time.process_time() - started


def measure(folder: Path, title: str, most_rows: int, repeats: int, seed: int) -> tuple[int, list[float], list[float]]:
    """The number of rows, and the seconds of each repeat for stock Axolotl and for the plugin."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    kind, entry, rows, make = CASES[title]
    made = Made(seed)
    names = folder / "names.txt"
    names.write_text("\n".join(made.names), encoding="utf-8")
    stock = Arm(folder, kind, entry, None)
    ours = Arm(folder, kind, entry, {"labelers": [{"type": "entities", "path": str(names)}]})
    dataset = Dataset.from_list([make(made) for _ in range(min(rows, most_rows))])
    warm = dataset.select(range(min(20, len(dataset))))
    stock.seconds(warm), ours.seconds(warm)
    times = [(stock.seconds(dataset), ours.seconds(dataset)) for _ in range(repeats)]
    return len(dataset), *map(list, zip(*times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=20_000, help="the most rows per case")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| rows | stock, ms per row | slung, ms per row | times stock |\n|---|---|---|---|", flush=True)
    for title in CASES:
        with tempfile.TemporaryDirectory() as folder, quiet():
            rows, stock, ours = measure(Path(folder), title, arguments.rows, arguments.repeats, arguments.seed)
        ratio = median(b / a for a, b in zip(stock, ours))
        print(
            f"| {title}, {rows:,} | {1e3 * median(stock) / rows:.2f} | {1e3 * median(ours) / rows:.2f} | {ratio:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
