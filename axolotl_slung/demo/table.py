"""What selective loss did to a model: how it predicts the names, and how it predicts everything else."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F

BATCH = 16


class Row(NamedTuple):
    """One model on one set of texts; means over tokens, in nats."""

    model: str
    texts: str
    p_name: float
    nll_name: float
    nll_other: float


def name_spans(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where a full name, a first name or a last name stands in the text, as characters `[start, end)`."""
    forms = {form for name in names for form in (name, *name.split())}
    longest_first = sorted(forms, key=len, reverse=True)
    pattern = r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b"
    return [match.span() for match in re.finditer(pattern, text)]


def token_touches(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """For each token, whether one of its characters lies in a span."""
    return [any(begin < stop and start < end for start, stop in spans) for begin, end in offsets]


@torch.inference_mode()
def measure(model, tokenizer, texts: Sequence[str], names: Sequence[str]) -> tuple[float, float, float]:
    """Mean probability and nll of the name tokens, and nll of all others; one forward a text.

    The first token of a text has no prediction and is not counted.
    """
    log_p, is_name = [], []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        inputs = tokenizer(
            batch, return_offsets_mapping=True, add_special_tokens=False, padding=True, padding_side="right", return_tensors="pt"
        )
        offsets = inputs.pop("offset_mapping").tolist()
        inputs = inputs.to(model.device)
        logits = model(**inputs).logits[:, :-1].float()  # (B, T-1, V), shifted: position t predicts token t+1
        targets = inputs["input_ids"][:, 1:]  # (B, T-1)
        kept = inputs["attention_mask"][:, 1:].bool()
        touched = [token_touches(o, name_spans(text, names)) for o, text in zip(offsets, batch, strict=True)]
        log_p.append(-F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")[kept].cpu())
        is_name.append(torch.tensor(touched)[:, 1:][kept.cpu()])
    log_p, is_name = torch.cat(log_p), torch.cat(is_name)
    named, others = log_p[is_name], log_p[~is_name]
    return named.exp().mean().item(), -named.mean().item(), -others.mean().item()


def compare(models: Mapping[str, str | Path], sets: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[Row]:
    """Measure every model folder on every set of texts, print the table and return its rows."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for label, folder in models.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(device).eval()
        rows += [Row(label, kind, *measure(model, tokenizer, texts, names)) for kind, texts in sets.items()]
    print(render(rows))
    return rows


def render(rows: Sequence[Row]) -> str:
    """The rows as plain text, grouped by the set of texts."""
    lines = [f"{'texts':<10} {'model':<14} {'p(name token)':>14} {'nll of names':>14} {'nll of the rest':>16}"]
    for kind in dict.fromkeys(row.texts for row in rows):
        lines += [
            f"{row.texts:<10} {row.model:<14} {row.p_name:>14.3f} {row.nll_name:>14.2f} {row.nll_other:>16.2f}"
            for row in rows
            if row.texts == kind
        ]
    return "\n".join(lines)


def read_texts(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare models on the demo's texts.")
    parser.add_argument("--data", type=Path, default=Path("demo"), help="folder of train.jsonl, heldout.jsonl, names.txt")
    parser.add_argument("models", nargs="+", metavar="label=folder")
    args = parser.parse_args()
    compare(
        dict(model.split("=", 1) for model in args.models),
        {"trained": read_texts(args.data / "train.jsonl"), "held out": read_texts(args.data / "heldout.jsonl")},
        (args.data / "names.txt").read_text(encoding="utf-8").splitlines(),
    )


if __name__ == "__main__":
    main()
