"""Measures how fast texts of different scripts are folded (`Folded`) and searched for names (`entities`), on one core.

    python benchmarks/folding.py [--english FILE.jsonl] [--rounds 5] [--megabytes 2] [--names 1000]

The texts are made: words of random letters, with the frequencies of words in natural text, in lines of 12 words. With
--english, JSON lines with a column `text`, English is read instead. A figure is MB of UTF-8 per second of CPU time,
the median of the rounds. The first round compiles and is not counted. To compare two versions, run the script in turns
with PYTHONPATH set to each.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import unicodedata
from pathlib import Path
from statistics import median

from axolotl_slung.labeling import EntitiesLabeler
from axolotl_slung.labeling.text.fold import Folded

# letters by falling frequency
LETTERS = {
    "English": ("etaoinshrdlcumwfgypbvk", (2, 8)),
    "Russian": ("оеаинтсрвлкмдпуяызьбгчйхжшюцщэфъё", (2, 10)),
    "Arabic": ("اليمونرتبةعدسفهكقأحجشطصخإضىذئثزآءظغؤ", (2, 7)),
    "Hindi": ("करनसहमतयपलवदबगजटशधचभखणथषडड़ज़फ़", (1, 4)),
    "French, decomposed": ("esaitnrulodcpmévqfbghjàxèyêzâçîôûùœïë", (2, 9)),
}
HINDI_SIGNS = "ािीेोुू्ं"
WORDS = 30_000
TEXT_LENGTH = 20_000


def words(language: str, rng: random.Random) -> list[str]:
    if language == "Korean":
        syllables = rng.sample([chr(code) for code in range(0xAC00, 0xD7A4)], 1500)
        return ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(WORDS)]
    if language == "Chinese":
        characters = [chr(code) for code in rng.sample(range(0x4E00, 0x9FA5), 3000)]
        return ["".join(rng.choices(characters, k=rng.randint(8, 20))) for _ in range(WORDS)]
    if language == "Vietnamese":
        vowels = "aaăâeêioôơuưyáàảãạắằấầéềếệíìịóòốồộớờợúùứừữựý"
        starts = [*"bcdđghklmnstvx", "ch", "gi", "kh", "ng", "nh", "ph", "qu", "th", "tr"]
        ends = ["", "", "n", "ng", "m", "t", "c", "i", "nh"]
        return [rng.choice(starts) + rng.choice(vowels) + rng.choice(ends) for _ in range(WORDS)]
    letters, (shortest, longest) = LETTERS[language]
    weights = [1 / (rank + 3) for rank in range(len(letters))]
    made = ["".join(rng.choices(letters, weights, k=rng.randint(shortest, longest))) for _ in range(WORDS)]
    if language == "Hindi":
        made = ["".join(letter + rng.choice(["", *HINDI_SIGNS]) for letter in word) for word in made]
    return [unicodedata.normalize("NFD", word) for word in made] if "decomposed" in language else made


def texts(language: str, megabytes: float) -> list[str]:
    """Lines of words whose frequency is the inverse of their rank."""
    rng = random.Random(language)
    vocabulary = words(language, rng)
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    made, size = [], 0
    while size < megabytes * 1e6:
        drawn = rng.choices(vocabulary, weights, k=TEXT_LENGTH // 6)
        lines = [" ".join(drawn[start : start + 12]).capitalize() for start in range(0, len(drawn), 12)]
        made.append(".\n".join(lines))
        size += len(made[-1].encode())
    return made


def speed(arm, size: int, rounds: int) -> float:
    seconds = []
    for _ in range(rounds + 1):
        started = time.process_time()
        arm()
        seconds.append(time.process_time() - started)
    return size / 1e6 / median(seconds[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--english", type=Path, help="JSON lines with a column `text`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=2, help="of text per script")
    parser.add_argument("--names", type=int, default=1000, help="names to look for, with their parts")
    arguments = parser.parse_args()

    print(f"{'MB/s':20}{'fold':>10}{'any case':>10}{'entities':>10}")
    for language in ("English", "French, decomposed", "Russian", "Arabic", "Hindi", "Vietnamese", "Korean", "Chinese"):
        if language == "English" and arguments.english:
            some = [json.loads(line)["text"] for line in arguments.english.open(encoding="utf-8")]
        else:
            some = texts(language, arguments.megabytes)
        rng = random.Random(1)
        known = words(language, rng)
        rare = known[-2 * arguments.names :]
        names = [f"{a} {b}".title() for a, b in zip(rare, rare[arguments.names :])]
        labeler = EntitiesLabeler("names", names=names, parts=True)
        size = sum(len(text.encode()) for text in some)
        arms = (
            lambda some=some: [Folded(text) for text in some],
            lambda some=some: [Folded(text, case_sensitive=False) for text in some],
            lambda some=some, labeler=labeler: labeler.label(some, [{}] * len(some)),
        )
        figures = (f"{speed(arm, size, arguments.rounds):10.1f}" for arm in arms)
        print(f"{language:20}{''.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
