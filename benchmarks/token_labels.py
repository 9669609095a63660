"""Measures `unit: token` of the labeler `classifier` against the bare model's forward on the same batches.

    python benchmarks/token_labels.py FILE.jsonl ... [--arch bert] [--layers 4] [--width 256] [--rounds 5]
    python benchmarks/token_labels.py FILE.jsonl ... --model some/tagger --label PER

The files are JSON lines with a column `text`. Without a model, one of random weights is made, with a WordPiece
vocabulary that is trained on the texts.

Both arms take turns in one process, with torch's number of threads. Times are CPU time, or wall time on a GPU. The bare arm has its batches made and padded in
advance, and only calls the model. The labeler splits texts into tokens, makes windows and batches, calls the model, and
joins words to spans. Each ratio is the bare arm's time divided by the labeler's, and the median over the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from axolotl_slung.labeling import ClassifierLabeler

LABELS = ("NAME", "PLACE", "MAIL")


def read(paths: list[Path], megabytes: float) -> list[str]:
    """The first texts of each file, with an equal share of `megabytes`. The last text of each is cut to fit."""
    texts = []
    for path in paths:
        if not path.is_file():
            sys.exit(f"{path}: missing; give FILE.jsonl with a column `text`")
        left = megabytes * 1e6 / len(paths)
        for line in path.open(encoding="utf-8"):
            text = json.loads(line)["text"]
            texts.append(text[: int(left)])
            if (left := left - len(text.encode())) < 1:
                break
    return texts


def make(folder: Path, texts: list[str], arguments) -> Path:
    """A token classifier with random weights."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=30_000, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), special))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    tags = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BIES")]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        arguments.arch,
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=arguments.width,
        intermediate_size=4 * arguments.width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=max(1, arguments.width // 64),
        max_position_embeddings=512,
        pad_token_id=0,
        id2label=dict(enumerate(tags)),
        label2id={tag: index for index, tag in enumerate(tags)},
    )
    transformers.AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="JSON lines with a column `text`")
    parser.add_argument("--model", help="a token classifier; default: random weights")
    parser.add_argument("--label", action="append", help="a label of the model; may be given several times")
    parser.add_argument("--arch", default="bert", help="the architecture of the random model")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--megabytes", type=float, default=1, help="use at most this much text")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--floor", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    texts = read(arguments.files, arguments.megabytes)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or str(make(Path(folder), texts, arguments))
        labeler = ClassifierLabeler(
            "--model",
            path,
            arguments.label or list(LABELS),
            "token",
            floor=arguments.floor,
            batch_tokens=arguments.batch_tokens,
        )
        labeler.check()
        model, device = labeler.model, labeler.device
        windows = [window for piece in model.windows(texts) for window in piece]
        batches = [model.padded(batch) for batch in model.batches(windows, arguments.batch_tokens)]
        read_tokens = sum(len(window.offsets) for window in windows)
        padded = sum(batch["input_ids"].numel() for batch in batches)
        rows = [{}] * len(texts)
        labeler.label(texts[:20], rows[:20])

        def bare() -> None:
            model.model.to(device)
            with torch.inference_mode():
                for batch in batches:
                    logits = model.model(**{name: value.to(device) for name, value in batch.items()}).logits
            logits.sum().item()
            model.model.to("cpu")

        arms = {"bare forward": bare, "unit: token": lambda: labeler.label(texts, rows)}
        seconds: dict[str, list[float]] = {name: [] for name in arms}
        clock = time.process_time if device == "cpu" else time.perf_counter
        spans = 0
        for _ in range(arguments.rounds):
            for name, arm in arms.items():
                started = clock()
                spans = sum(map(len, arm() or []))
                seconds[name].append(clock() - started)

    size = sum(len(text.encode()) for text in texts)
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {device}, {torch.get_num_threads()} threads"
    )
    print(
        f"{len(texts)} texts, {size / 1e6:.2f} MB; {path if arguments.model else arguments.arch}, {parameters:,} parameters"
    )
    print(f"{read_tokens:,} tokens in {len(windows):,} windows and {len(batches)} batches; {padded:,} with padding")
    for name, times in seconds.items():
        print(f"{name:14}{median(times):8.2f} s{read_tokens / median(times):12,.0f} tokens/s")
    ratios = [base / own for base, own in zip(*seconds.values())]
    print(f"ratio {median(ratios):.3f} (rounds {min(ratios):.3f} to {max(ratios):.3f}); {spans:,} spans")


if __name__ == "__main__":
    main()
