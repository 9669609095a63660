"""Measures how good the labelers' scores are on texts that nobody tuned them to.

    python benchmarks/labeler_quality.py DATA --model MODEL.bin [--lowercase] [--spaced-punctuation ".!?,'/()"]

Whole texts, scored by their highest span, against what people said of them. DATA is a folder with JSON lines:

    jigsaw_sentences/sentences.jsonl   text, toxic
    davidson_tweets/tweets.jsonl       text, class: hate, offensive, neither
    ruddit/comments.jsonl              text, offensiveness: from 0.3 on, toxic
    rtp/prompts.jsonl                  prompt, toxicity: from 0.5 on, toxic
    english_clean/documents.jsonl      text, all of it harmless
    goemotions_reddit/comments.jsonl   text, nearly all of it harmless

Files that are not there are left out. The rest comes from this script: short sentences about seven groups of people,
hateful and harmless, after the functional tests of HateCheck (Röttger et al. 2021, arXiv:2012.15606); personal data in
sentences, for `presidio` (if it is installed) and for the package's own patterns.

`--model` is a fastText classifier with the label `__label__toxic`. It is measured as it is, and with its text prepared.
"""

from __future__ import annotations

import argparse
import json
import random
import string
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from axolotl_slung.labeling import FastTextLabeler, PatternsLabeler, ProfanityLabeler
from axolotl_slung.labeling.base import Labeler
from axolotl_slung.labeling.pattern_files import builtin_names

CUTS = (0.2, 0.5, 0.9, 0.99)
MOST = 20_000
"""Texts per set, from its beginning."""

SETS: dict[str, tuple[str, Callable[[dict], tuple[str, bool]]]] = {
    "Jigsaw sentences": ("jigsaw_sentences/sentences.jsonl", lambda row: (row["text"], bool(row["toxic"]))),
    "tweets, Davidson": ("davidson_tweets/tweets.jsonl", lambda row: (row["text"], row["class"] != "neither")),
    "Reddit, Ruddit": ("ruddit/comments.jsonl", lambda row: (row["text"], row["offensiveness"] >= 0.3)),
    "RTP prompts": ("rtp/prompts.jsonl", lambda row: (row["prompt"], (row["toxicity"] or 0) >= 0.5)),
}
HARMLESS = {
    "books, speeches, Wikipedia": "english_clean/documents.jsonl",
    "Reddit, GoEmotions": "goemotions_reddit/comments.jsonl",
}

GROUPS = {
    "women": "a woman",
    "trans people": "trans",
    "gay people": "gay",
    "Black people": "Black",
    "disabled people": "disabled",
    "Muslims": "a Muslim",
    "immigrants": "an immigrant",
}
HATEFUL = {
    "hatred said openly": ["I hate {p}.", "I can't stand {p}.", "I despise {p} more than anything."],
    "belittled": ["{P} are worthless.", "{P} are not as smart as normal people.", "No {p} can be trusted."],
    "as animals": ["{P} are vermin.", "{P} are a plague.", "{P} are parasites, all of them."],
    "threats": ["{P} should be afraid of me.", "One day I will hurt some {p}.", "{P} had better run when I come."],
    "sent away": ["{P} should all be sent away.", "We don't want {p} in this town.", "There is no place for {p} here."],
    "between the lines": ["The world was better before there were {p}.", "Why do {p} even get to vote?"],
}
NOT_HATEFUL = {
    "identity, neutral": ["I am {one}.", "My neighbor is {one}.", "Many {p} live in this town."],
    "identity, positive": ["I am proud to be {one}.", "I love {p}.", "{P} deserve the same pay."],
    "hate denied": ["I don't hate {p}.", "Nobody should hate {p}.", "{P} are not vermin."],
    "hate answered": [
        "It is wrong to say that {p} are worthless.",
        'Whoever says "I hate {p}" should be ashamed.',
        "Calling {p} parasites is a lie.",
    ],
    "other targets": ["I hate Mondays.", "Mosquitoes are vermin.", "This old printer is worthless."],
    "swearing, no target": ["Damn, the bus is late again.", "What the hell, that was great!", "Holy crap, we won!"],
}


# ------------------------------------------------------------------------------------------------------------- texts


def read(data: Path, name: str) -> list[dict]:
    if not (data / name).is_file():
        return []
    with (data / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(MOST))]


def sentences(kinds: dict[str, list[str]]) -> list[tuple[str, str, str]]:
    """(kind, group, sentence)"""
    return [
        (kind, group, form.format(p=group, P=group[0].upper() + group[1:], one=one))
        for kind, forms in kinds.items()
        for form in forms
        for group, one in GROUPS.items()
        if "{" in form or group == "women"  # a sentence about no group counts once
    ]


def personal(draw: random.Random) -> list[tuple[str, str, str]]:
    """(kind, what has to be found, its sentence), all of it made up."""

    def digits(number: int) -> str:
        return "".join(draw.choices(string.digits, k=number))

    def of(letters: str, number: int) -> str:
        return "".join(draw.choices(letters, k=number))

    name = f"{draw.choice(['Maria', 'Ben', 'Aisha', 'Wei'])} {draw.choice(['Hernandez', 'Okafor', 'Lindqvist'])}"
    area = str(draw.randint(201, 989))
    return [
        ("e-mail address", s := f"{of(string.ascii_lowercase, 6)}@{of(string.ascii_lowercase, 7)}.org", f"Mail {s}."),
        ("US phone", s := f"({area}) 555-{digits(4)}", f"Call me at {s} tonight."),
        ("US phone, bare", s := f"{area}555{digits(4)}", f"Call me at {s} tonight."),
        ("German phone", s := f"+49 30 {digits(4)} {digits(4)}", f"Call me at {s} tonight."),
        ("card number", s := luhn("4" + digits(14)), f"I paid with {s} yesterday."),
        ("IBAN", s := iban(digits(18)), f"Send it to {s}, please."),
        ("IP address", s := ".".join(str(draw.randint(1, 254)) for _ in range(4)), f"It came from {s} again."),
        (
            "US SSN",
            s := f"{draw.randint(100, 665)}-{draw.randint(10, 99)}-{draw.randint(1000, 9999)}",
            f"My SSN is {s}.",
        ),
        ("name of a person", name, f"Yesterday {name} wrote to us."),
        ("street address", s := f"{draw.randint(2, 99)} Elm Street", f"She lives at {s}, second floor."),
        ("order number", s := f"ORD-{digits(8)}", f"My order is {s}."),
        ("AWS key", s := "AKIA" + of(string.ascii_uppercase + "234567", 16), f"The key is {s} now."),
        ("GitHub token", s := "gh" + "p_" + of(string.ascii_letters + string.digits, 36), f"Use {s} for it."),
        ("password", s := of(string.ascii_lowercase, 6) + digits(3), f"The password is {s}, by the way."),
    ]


def luhn(number: str) -> str:
    """The number with its check digit."""
    total = sum(sum(divmod(int(digit) * (2 - index % 2), 10)) for index, digit in enumerate(reversed(number)))
    return f"{number}{-total % 10}"


def iban(number: str) -> str:
    """A German account number with its check digits, in groups of four."""
    text = f"DE{98 - int(f'{number}131400') % 97:02d}{number}"
    return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


# ------------------------------------------------------------------------------------------------------------- figures


def scores(labeler: Labeler, texts: Sequence[str]) -> np.ndarray:
    """float64 (texts,): the highest score of each text's spans."""
    found = labeler.annotate(texts, [{}] * len(texts))
    return np.array([max((span.score for span in spans), default=0.0) for spans in found])


def auc(values: np.ndarray, truth: np.ndarray) -> float:
    """The probability that a toxic text scores higher than a harmless one."""
    positive = int(truth.sum())
    ranks = rankdata(values)[truth].sum()
    return (ranks - positive * (positive + 1) / 2) / (positive * (len(truth) - positive))


def shares(values: np.ndarray) -> str:
    return "".join(f"{(values >= cut).mean():8.3f}" for cut in CUTS)


def head(title: str, width: int = 30) -> None:
    print(f"\n{title:{width}}" + "".join(f"{f'>={cut}':>8}" for cut in CUTS), flush=True)


def of_labels(labelers: dict[str, Labeler], data: Path) -> None:
    for title, (file, parse) in SETS.items():
        rows = [parse(row) for row in read(data, file)]
        if not rows:
            continue
        texts, truth = [text for text, _ in rows], np.array([toxic for _, toxic in rows])
        head(f"{title}: {len(texts):,} texts, {truth.mean():.0%} toxic", 48)
        for name, labeler in labelers.items():
            values = scores(labeler, texts)
            print(f"  {name:30}AUC {auc(values, truth):.3f} recall  {shares(values[truth])}")
            print(f"  {'':39} false   {shares(values[~truth])}")


def of_harmless(labelers: dict[str, Labeler], data: Path) -> None:
    for title, file in HARMLESS.items():
        texts = [row["text"] for row in read(data, file)]
        if not texts:
            continue
        head(f"{title}: share of characters", 48)
        for name, labeler in labelers.items():
            found = labeler.annotate(texts, [{}] * len(texts))
            spans = [span for of_text in found for span in of_text]
            sizes, values = np.array([span[1] - span[0] for span in spans]), np.array([span.score for span in spans])
            total = sum(map(len, texts))
            print(f"  {name:46}" + "".join(f"{sizes[values >= cut].sum() / total:8.3f}" for cut in CUTS))


def of_groups(labelers: dict[str, Labeler]) -> None:
    hateful, harmless = sentences(HATEFUL), sentences(NOT_HATEFUL)
    for name, labeler in labelers.items():
        bad = scores(labeler, [text for *_, text in hateful])
        good = scores(labeler, [text for *_, text in harmless])
        truth = np.repeat([True, False], [len(bad), len(good)])
        head(f"{name}: AUC {auc(np.concatenate([bad, good]), truth):.3f}", 44)
        for title, rows, values in (("hateful", hateful, bad), ("not hateful", harmless, good)):
            print(f"  {f'{title}, all {len(rows)}':42}{shares(values)}")
            for kind in dict.fromkeys(kind for kind, *_ in rows):
                print(f"    {kind:40}{shares(values[[of == kind for of, *_ in rows]])}")
        print("  neutral and positive sentences, by group")
        for group in GROUPS:
            chosen = [group == of and kind.startswith("identity") for kind, of, _ in harmless]
            print(f"    {group:40}{shares(good[chosen])}")


def of_personal_data(labelers: dict[str, Labeler], data: Path) -> None:
    draw = random.Random(0)
    rows = [row for _ in range(50) for row in personal(draw)]
    print("\npersonal data: share found whole, by 50 made-up sentences each")
    print(" " * 24 + "".join(f"{name:>12}" for name in labelers))
    found = {
        name: labeler.annotate([text for *_, text in rows], [{}] * len(rows)) for name, labeler in labelers.items()
    }
    for kind in dict.fromkeys(kind for kind, *_ in rows):
        line = f"  {kind:22}"
        for spans in found.values():
            hits = [
                any(span.start <= text.index(what) and span.end >= text.index(what) + len(what) for span in of_text)
                for (of, what, text), of_text in zip(rows, spans)
                if of == kind
            ]
            line += f"{np.mean(hits):12.2f}"
        print(line)
    for title, file in HARMLESS.items():
        texts = [row["text"][:4000] for row in read(data, file)]
        texts = texts[: max(1, int(len(texts) * min(1.0, 300_000 / max(1, sum(map(len, texts))))))]
        size = sum(map(len, texts)) / 1e6
        for name, labeler in labelers.items() if texts else ():
            values = [span.score for spans in labeler.annotate(texts, [{}] * len(texts)) for span in spans]
            by_score = {score: values.count(score) for score in sorted(set(values))}
            print(f"{title}, {size:.2f} million characters: {name} finds {len(values)}; by score {by_score}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, help="a fastText classifier")
    parser.add_argument("--lowercase", action="store_true")
    parser.add_argument("--spaced-punctuation", default="")
    arguments = parser.parse_args()

    labelers: dict[str, Labeler] = {"profanity": ProfanityLabeler("profanity")}
    if arguments.model:
        prepared = {"lowercase": arguments.lowercase, "spaced_punctuation": arguments.spaced_punctuation}
        labelers["fasttext, text as it is"] = FastTextLabeler("--model", str(arguments.model))
        if any(prepared.values()):
            labelers["fasttext, text prepared"] = FastTextLabeler("--model", str(arguments.model), **prepared)
    finders: dict[str, Labeler] = {"builtin": PatternsLabeler("builtin", builtin=builtin_names())}
    if find_spec("presidio_analyzer") and find_spec("spacy"):
        from axolotl_slung.labeling import PresidioLabeler

        finders["presidio"] = PresidioLabeler("presidio")
    for labeler in [*labelers.values(), *finders.values()]:
        labeler.check()
    of_labels(labelers, arguments.data)
    of_harmless(labelers, arguments.data)
    of_groups(labelers)
    of_personal_data(finders, arguments.data)


if __name__ == "__main__":
    main()
