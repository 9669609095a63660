"""The effect of selective loss on a model: how well it predicts names, and how well everything else."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn import functional as F
from tqdm import tqdm

from ..labeling import EntitiesLabeler
from ..labels.buckets import Action, Bucket
from ..labels.tokens import char_scores, token_buckets

BATCH = 16
RUNNING = "Running batches"
"""What the bar begins with."""


class Row(NamedTuple):
    """One model on one set of texts: a mean probability, and mean nlls in nats, over tokens."""

    model: str
    texts: str
    p_name: float
    nll_name: float
    nll_other: float


BUCKETS = (Bucket("other", 0.5, Action.TRAIN), Bucket("name", None, Action.MASK))


def touches_name(offsets, spans, length: int) -> list[bool]:
    """For each token, whether any of its characters is in a name."""
    return (token_buckets(offsets, char_scores(length, spans), BUCKETS)[0] == 1).tolist()


@torch.inference_mode()
def measure(model, tokenizer, texts: Sequence[str], labeler: EntitiesLabeler, bar: tqdm) -> tuple[float, float, float]:
    """Mean probability and nll of the name tokens, and mean nll of all others.

    The first token of a text has no prediction and is not counted. The bar counts batches.
    """
    log_p, is_name = [], []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        inputs = tokenizer(
            batch,
            return_offsets_mapping=True,
            add_special_tokens=False,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        offsets = inputs.pop("offset_mapping").tolist()
        inputs = inputs.to(model.device)
        logits = model(**inputs).logits[:, :-1].float()  # (B, T-1, V), shifted: position t predicts token t+1
        targets = inputs["input_ids"][:, 1:]  # (B, T-1)
        kept = inputs["attention_mask"][:, 1:].bool()
        spans = labeler.label(batch, [{}] * len(batch))
        touched = [touches_name(o, s, len(text)) for o, s, text in zip(offsets, spans, batch, strict=True)]
        log_p.append(-F.cross_entropy(logits[kept], targets[kept], reduction="none").cpu())
        is_name.append(torch.tensor(touched)[:, 1:][kept.cpu()])
        bar.update()
    log_p, is_name = torch.cat(log_p), torch.cat(is_name)
    named, others = log_p[is_name], log_p[~is_name]
    return named.exp().mean().item(), -named.mean().item(), -others.mean().item()


def compare(models: Mapping[str, str | Path], sets: Mapping[str, Sequence[str]], names: Path) -> list[Row]:
    """Measure every model folder on every set of texts, with a bar on stderr.

    `names` is a file with one name per line. A first or last name by itself counts too.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    labeler = EntitiesLabeler("names", path=str(names), parts=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    total = len(models) * sum(math.ceil(len(texts) / BATCH) for texts in sets.values())
    rows = []
    with tqdm(total=total, desc=RUNNING) as bar:
        for label, folder in models.items():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").to(device).eval()
            rows += [Row(label, kind, *measure(model, tokenizer, texts, labeler, bar)) for kind, texts in sets.items()]
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


def texts_of(folder: Path) -> tuple[dict[str, list[str]], Path]:
    """The sets of texts in a folder that `people.write` made, and the path of its file of names."""
    sets = {"trained": folder / "train.jsonl", "held out": folder / "heldout.jsonl"}
    return {kind: [json.loads(line)["text"] for line in path.open(encoding="utf-8")] for kind, path in sets.items()}, (
        folder / "names.txt"
    )


def main() -> None:
    """Compare the models that the command line names."""
    parser = argparse.ArgumentParser(description="Compare models on the demo's texts.")
    parser.add_argument(
        "--data", type=Path, default=Path("demo"), help="folder of train.jsonl, heldout.jsonl, names.txt"
    )
    parser.add_argument("--output", type=Path, help="also write the table into this file")
    parser.add_argument("models", nargs="+", metavar="label=folder")
    args = parser.parse_args()
    table = render(compare(dict(model.split("=", 1) for model in args.models), *texts_of(args.data)))
    print(table)
    if args.output:
        args.output.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
