"""Makes axolotl_slung/labeling/profanity/model.npz from an installed alt-profanity-check, and compares the scores.

    python benchmarks/profanity_model.py make             writes the file
    python benchmarks/profanity_model.py compare FILE...  prints the largest difference over the texts of JSON lines
    python benchmarks/profanity_model.py table            writes the original's scores into the table of the tests

It needs alt-profanity-check 1.9.1 in a separate environment, because that requires exact versions of scikit-learn and
joblib.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from profanity_check.profanity_check import model, predict_prob, vectorizer

from axolotl_slung.labeling.profanity.model import FILE, probabilities

TABLE = Path(__file__).resolve().parents[1] / "tests" / "labeling" / "profanity_scores.jsonl"


def make():
    words = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.get)
    of = model.calibrated_classifiers_
    sigmoids = [classifier.calibrators[0] for classifier in of]
    np.savez_compressed(
        FILE,
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        idf=vectorizer.idf_,
        coefficients=np.concatenate([classifier.estimator.coef_ for classifier in of]),
        intercepts=np.concatenate([classifier.estimator.intercept_ for classifier in of]),
        slopes=np.array([sigmoid.a_ for sigmoid in sigmoids]),
        offsets=np.array([sigmoid.b_ for sigmoid in sigmoids]),
    )
    print(f"{FILE}: {FILE.stat().st_size:,} bytes, {len(words):,} words")


def compare(paths):
    probabilities([])
    for path in paths:
        rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line]
        texts = [value for row in rows for value in row.values() if isinstance(value, str)]
        start = time.perf_counter()
        ours = probabilities(texts)
        middle = time.perf_counter()
        theirs = predict_prob(texts)
        end = time.perf_counter()
        print(
            f"{path}: {len(texts):,} texts, largest difference {np.abs(ours - theirs).max():.1e}, "
            f"{middle - start:.2f} s against {end - middle:.2f} s"
        )


def table():
    texts = [json.loads(line)["text"] for line in TABLE.read_text(encoding="utf-8").splitlines()]
    with TABLE.open("w", encoding="utf-8") as file:
        for text, score in zip(texts, predict_prob(texts).tolist(), strict=True):
            file.write(json.dumps({"text": text, "score": score}) + "\n")


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    {"make": make, "compare": lambda: compare(paths), "table": table}[command]()
