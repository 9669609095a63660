"""Makes the student for toxic spans that comes with the package, and measures it beside other labelers.

    python benchmarks/toxic_spans.py DATA             the table
    python benchmarks/toxic_spans.py DATA --write     writes axolotl_slung/labeling/student/toxic_spans.npz

DATA is a folder with JSON lines:

    civil_comments_spans/posts.jsonl   comment_id, text, majority_spans (Civil Comments, with spans that most raters marked)
    english_clean/documents.jsonl      text, nearly all of it harmless (only for the table)
    goemotions_reddit/comments.jsonl   text, mostly harmless (only for the table)

The posts are halved by the digest of their id. The student learns from one half; the table is about the other. Sentences
below are learned from, too: harmless ones about groups of people, so that a word for a group is not toxic by itself, and rude
words that moderators kept out of the posts. The probes are the 209 sentences of benchmarks/labeler_quality.py, after
HateCheck. Nothing was fitted to them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from labeler_quality import HATEFUL, NOT_HATEFUL, sentences
from toxicity_scorer import harmless, rows_of

from axolotl_slung.distill.fit import fit_student
from axolotl_slung.distill.rows import Document
from axolotl_slung.label_stats.qa import GoldDocument, qa_report
from axolotl_slung.labeling.base import Labeler, Span
from axolotl_slung.labeling.profanity.labeler import ProfanityLabeler
from axolotl_slung.labeling.student import file
from axolotl_slung.labeling.student.labeler import BUNDLED, ToxicSpansLabeler
from axolotl_slung.labeling.student.words import words_of
from axolotl_slung.labels.buckets import preset

RUDE = """
arsehole|assclown|asshat|assholes|bastard|bastards|bellend|bitches|bitching|bollocks|bullshitter|cock|cocksucker|cunt|cunts
dickhead|dickheads|dipshit|douche|douchebag|dumbass|dumbfuck|fuckers|fuckface|fuckhead|fuckwit|horseshit|jackass|jerkoff|knobhead
motherfucker|motherfuckers|nutjob|pisshead|prick|pricks|pussy|retard|retards|scumbag|shitbag|shithead|shitheads|shithole|skank|slut
sluts|tosser|turd|twat|twats|wanker|wankers|whore|whores
""".strip().replace("\n", "|").split("|")  # fmt: skip
RUDE_FORMS = (
    "You are a {w}, and everybody knows it.",
    "What a {w} he was about the whole thing.",
    "{W}, all of them, and the new council is no better.",
    "I told the {w} to leave us in peace.",
    "Shut up, you {w}!",
)

GRID = [number / 100 for number in range(1, 100)]


def documents(rows: Sequence[dict]) -> list[Document]:
    return [
        Document(f"post {row['comment_id']}", row["text"], [Span(*span, 1.0) for span in row["majority_spans"]])
        for row in rows
    ]


def made_up() -> list[Document]:
    """Harmless sentences about people, and sentences with one rude word."""
    found = [Document("harmless", text, []) for text in harmless()]
    for word in RUDE:
        for form in RUDE_FORMS:
            text = form.format(w=word, W=word.capitalize())
            start = text.lower().index(word)
            found.append(Document("rude", text, [Span(start, start + len(word), 1.0)]))
    return found


def halves(data: Path) -> tuple[list[dict], list[dict]]:
    """The posts whose id has an even digest, to learn from; and the others."""
    both: tuple[list[dict], list[dict]] = [], []
    for row in rows_of(data / "civil_comments_spans" / "posts.jsonl"):
        both[hashlib.sha256(str(row["comment_id"]).encode()).digest()[-1] % 2].append(row)
    return both


class WordList(Labeler):
    """Each word scores the share of its occurrences in the documents that are marked, with one more that is not."""

    def __init__(self, learned: Sequence[Document]):
        super().__init__("word list")
        marked, all_of = Counter(), Counter()
        for one in learned:
            for start, end in places(one.text):
                word = one.text[start:end].lower()
                all_of[word] += 1
                marked[word] += any(span.start <= start and end <= span.end for span in one.spans)
        self.scores = {word: number / (all_of[word] + 1) for word, number in marked.items() if number}

    def label(self, texts, rows):
        found = []
        for text in texts:
            scored = [(start, end, self.scores.get(text[start:end].lower(), 0.0)) for start, end in places(text)]
            found.append([Span(*one) for one in scored if one[2] > 0])
        return found


class Nothing(Labeler):
    """Marks nothing, as most words are not marked."""

    def label(self, texts, rows):
        return [[] for _ in texts]


def places(text: str) -> list[tuple[int, int]]:
    words = words_of([text])
    return list(zip(words.starts.tolist(), words.ends.tolist()))


def measure(labeler: Labeler, rows: Sequence[Document], thresholds=GRID):
    spans = labeler.annotate([one.text for one in rows], [{}] * len(rows))
    gold = (GoldDocument(one.text, one.spans, some, places(one.text)) for one, some in zip(rows, spans))
    return qa_report(gold, preset("masked", (0.25, 0.75)), thresholds=thresholds, words=0).combined


def tell(title: str, labeler: Labeler, chosen_on: Sequence[Document], test: Sequence[Document], picks=None) -> None:
    """The figures of a labeler on `test`, at `picks`, or else at the thresholds that are best on `chosen_on`."""
    marked = [one for one in test if one.spans]
    whole, some = measure(labeler, test), measure(labeler, marked)
    share = 1 - 394 / 2000  # of the posts of the task's test set that have a span
    if picks is None:
        points = measure(labeler, chosen_on).characters.points
        picks = {
            "best F1": max(points, key=lambda point: point.f1 or 0).threshold,
            "best mean F1": max(points, key=lambda point: point.mean_f1 or 0).threshold,
        }
    for name, threshold in picks.items():
        at = GRID.index(threshold)
        point, of_marked, of_words = whole.characters.points[at], some.characters.points[at], whole.tokens.points[at]
        empty = (point.mean_f1 * len(test) - of_marked.mean_f1 * len(marked)) / (len(test) - len(marked))
        print(
            f"{title:14} {name:13} {threshold:.2f}  characters P {point.precision or 0:.3f} R {point.recall:.3f} F1 {point.f1:.3f}  "
            f"words F1 {of_words.f1:.3f}  mean F1: all {point.mean_f1:.3f}, with spans {of_marked.mean_f1:.3f}, as the task's "
            f"mix {share * of_marked.mean_f1 + (1 - share) * empty:.3f}",
            flush=True,
        )


def tell_clean(title: str, labeler: Labeler, cuts: Sequence[float], sets: dict[str, list[str]]) -> None:
    for name, texts in sets.items():
        start = time.process_time()
        found = labeler.label(texts, [{}] * len(texts))
        seconds = time.process_time() - start
        length = sum(map(len, texts))
        shares = [
            f"{cut}: {sum(s.end - s.start for of in found for s in of if s.score >= cut) / length:.5f}" for cut in cuts
        ]
        size = sum(len(text.encode()) for text in texts) / 1e6
        print(f"{title:14} {name:22} share of characters {', '.join(shares)}; {size / seconds:.1f} MB/s")
    for name, kinds in (("hateful", HATEFUL), ("not hateful", NOT_HATEFUL)):
        texts = sentences(kinds)
        found = labeler.label([text for *_, text in texts], [{}] * len(texts))
        highest = [max((span.score for span in of), default=0) for of in found]
        by_kind = {kind: [h for (k, *_), h in zip(texts, highest) if k == kind] for kind, *_ in texts}
        for kind, some in {f"{name}, all": highest, **by_kind}.items():
            shares = ", ".join(f"{cut}: {sum(h >= cut for h in some) / len(some):.3f}" for cut in cuts)
            print(f"{title:14} {kind:22} share of sentences {shares}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", action="store_true", help="write the package's file, and measure nothing")
    arguments = parser.parse_args()
    learned, test = map(documents, halves(arguments.data))
    if arguments.write:
        fitted = fit_student(learned, made_up(), name="toxic_spans", tell=print)
        file.write(BUNDLED, fitted.student)
        print(json.dumps(fitted.student.card, indent=1))
        print(f"{BUNDLED.name}: {BUNDLED.stat().st_size:,} bytes")
        return
    print(f"{len(test)} posts, {sum(bool(one.spans) for one in test)} with spans")
    sets = {
        "books, speeches, wiki": [row["text"] for row in rows_of(arguments.data / "english_clean" / "documents.jsonl")],
        "Reddit": [row["text"] for row in rows_of(arguments.data / "goemotions_reddit" / "comments.jsonl")],
    }
    student = ToxicSpansLabeler("toxic_spans")
    student.label(["Compile."], [{}])
    slice_of = [one for one in learned if one.place(0) < 0.2]
    cuts = student.student.card["cuts"]
    tell("nothing", Nothing("nothing"), slice_of, test)
    tell("word list", WordList([one for one in learned if one.place(0) >= 0.2]), slice_of, test)
    tell("profanity", ProfanityLabeler("profanity"), slice_of, test)
    tell("profanity", ProfanityLabeler("profanity"), slice_of, test, {"low cut": 0.2, "high cut": 0.9})
    # its own thresholds were chosen while the slice was held out
    picks = {name: one["threshold"] for name, one in student.student.card["held_out"]["at"].items()}
    tell("toxic_spans", student, slice_of, test, picks)
    tell_clean("profanity", ProfanityLabeler("profanity"), (0.2, 0.9), sets)
    tell_clean("toxic_spans", student, cuts, sets)


if __name__ == "__main__":
    main()
