"""Checks that exactly the tokens with risky characters get their action, on random texts, spans and policies.

    python benchmarks/alignment.py [--cases 20000] [--seed 0]

It covers four kinds of tokenizers: byte-level BPE with and without BOS, Unigram with byte fallback, and WordPiece. The
truth does not use offsets. It matches the tokens' characters along the text (tests/helpers/truth.py).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm
from transformers import AutoTokenizer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.tiny import TEXT, tiny_tokenizer
from helpers.truth import characters_of_tokens

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.training.data.tagging import TaggingTokenizer

BUCKETS = (
    Bucket("low", 0.3, Action.TRAIN),
    Bucket("middle", 0.7, Action.MASK),
    Bucket("high", None, Action.UNLIKELIHOOD),
)
KINDS = ("bytelevel", "bytelevel_bos", "unigram", "wordpiece")
POLICIES = ("any", "majority", "all")


def random_text(rng: random.Random) -> str:
    """Words of several scripts, mixed with single characters from all of Unicode."""
    pieces = []
    for _ in range(rng.randint(0, 30)):
        if rng.random() < 0.6:
            pieces.append(rng.choice(rng.choice(TEXT).split()) + rng.choice([" ", "  ", "\n", "\r\n", "", ", "]))
        else:
            character = chr(rng.randrange(0x110000))
            pieces.append("" if "\ud800" <= character <= "\udfff" else character)
    return "".join(pieces)


def random_spans(rng: random.Random, length: int) -> list[Span]:
    spans = []
    for _ in range(rng.randint(0, 5) if length else 0):
        start = rng.randrange(length)
        spans.append(
            Span(start, rng.randint(start + 1, min(length, start + 20)), rng.choice([0.0, 0.2, 0.3, 0.5, 0.7, 1.0]))
        )
    return spans


def expected(held: set[int], worst: list[float], overlap: str) -> int:
    """The bucket that the policy gives to a token with these characters."""
    needed = {"any": 1, "majority": len(held) // 2 + 1, "all": len(held)}[overlap]
    reached = [
        index for index, bound in ((1, 0.3), (2, 0.7)) if held and sum(worst[i] >= bound for i in held) >= needed
    ]
    return max(reached, default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        tokenizers = {kind: AutoTokenizer.from_pretrained(tiny_tokenizer(folder, kind)) for kind in KINDS}
    tagging = {(k, p): TaggingTokenizer(tokenizers[k], BUCKETS, p, code_masked=True) for k in KINDS for p in POLICIES}

    tokens = wrong = 0
    started = time.time()
    for _ in tqdm(range(arguments.cases), unit=" cases"):
        kind, policy = rng.choice(KINDS), rng.choice(POLICIES)
        text = random_text(rng)
        spans = random_spans(rng, len(text))
        tagger = tagging[kind, policy]
        labels = tagger.labeled(text, spans)[1].tolist()
        worst = [max((s.score for s in spans if s.start <= i < s.end), default=0.0) for i in range(len(text))]
        for label, held in zip(labels, characters_of_tokens(tokenizers[kind], kind, text), strict=True):
            bucket = 0 if label >= 0 else ((-101 - label) >> 33) & 15
            tokens += 1
            if bucket != expected(held, worst, policy):
                wrong += 1
                print(f"{kind} {policy}: bucket {bucket}, expected {expected(held, worst, policy)}: {text!r} {spans}")
    print(
        f"{arguments.cases} cases, {tokens} tokens, {wrong} wrong, {time.time() - started:.0f} s, seed {arguments.seed}"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
