"""How well the builtin patterns find twelve kinds of personal data and secrets, and how fast, on made-up rows.

    python benchmarks/builtin_patterns.py [--rows 5000] [--seed 0]

Needs nothing but the package. `tests/helpers/made_up_pii.py` makes the rows and measures; it shares no code with the patterns.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from helpers.made_up_pii import quality, rows

from axolotl_slung.labeling import PatternsLabeler
from axolotl_slung.labeling.pattern_files import builtin_names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    labeler = PatternsLabeler("builtin", builtin=builtin_names())
    labeler.check()
    made = rows(arguments.rows, arguments.seed)
    texts = [text for text, _ in made]
    started = time.process_time()
    found = [[(span.start, span.end) for span in spans] for spans in labeler.label(texts, [{}] * len(texts))]
    seconds = time.process_time() - started
    precision, recall, _, _ = quality(found, made)
    print(f"{sum(map(len, texts)) / 1e6 / seconds:.2f} million characters per second of CPU time")
    print(f"precision {precision:.4f}")
    for kind, share in recall.items():
        print(f"{kind:<24} recall {share:.4f}")


if __name__ == "__main__":
    main()
