"""Measures how fast texts of different scripts are folded (`Folded`) and searched for names (`entities`), on one core.

    python benchmarks/folding.py [--english FILE.jsonl] [--against FOLDER] [--turns 3] [--megabytes 1]

The texts are made: words of random letters, with the frequencies of words in natural text, in lines of 12 words. With
--english, JSON lines with a column `text`, English is read instead. The names are rare words of the text. A figure is MB
of UTF-8 per second of CPU time, the median of the turns. Nothing is counted before the first run, which compiles.

--against is the folder of another version of the package. The versions take turns, and the ratio is the median of the
turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
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
LANGUAGES = ("English", "French, decomposed", "Russian", "Arabic", "Hindi", "Vietnamese", "Korean", "Chinese")
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


def speed(arm, size: int) -> float:
    arm()
    started = time.process_time()
    arm()
    return size / 1e6 / (time.process_time() - started)


def measure(language: str, arguments) -> list[float]:
    """MB/s of folding, of folding without case, and of the labeler."""
    if language == "English" and arguments.english:
        some = [json.loads(line)["text"] for line in arguments.english.open(encoding="utf-8")]
    else:
        some = texts(language, arguments.megabytes)
    known = words(language, random.Random(language))
    names = [f"{a} {b}".title() for a, b in zip(known[-2 * arguments.names :], known[-arguments.names :])]
    labeler = EntitiesLabeler("names", names=names, parts=True)
    size = sum(len(text.encode()) for text in some)
    arms = (
        lambda: [Folded(text) for text in some],
        lambda: [Folded(text, case_sensitive=False) for text in some],
        lambda: labeler.label(some, [{}] * len(some)),
    )
    return [speed(arm, size) for arm in arms]


def turn(folder: Path, language: str) -> list[float]:
    """`measure` in a new process with the package of a folder."""
    command = [sys.executable, __file__, *sys.argv[1:], "--only", language]
    run = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--english", type=Path, help="JSON lines with a column `text`")
    parser.add_argument("--against", type=Path, help="a folder with another version of the package")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=1, help="of text per script")
    parser.add_argument("--names", type=int, default=1000, help="names to look for, with their parts")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments)))
        return
    here = Path(__file__).resolve().parents[1]
    folders = [*([arguments.against] if arguments.against else []), here]
    print(f"{'MB/s':20}{'fold':>24}{'fold, any case':>24}{'entities':>24}")
    for language in LANGUAGES:
        turns = [[turn(folder, language) for folder in folders] for _ in range(arguments.turns)]
        cells = []
        for arm in range(3):
            figures = [f"{median(one[number][arm] for one in turns):.1f}" for number in range(len(folders))]
            ratio = median(one[-1][arm] / one[0][arm] for one in turns)
            cells.append(" -> ".join(figures) + (f" ({ratio:.1f})" if arguments.against else ""))
        print(f"{language:20}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
