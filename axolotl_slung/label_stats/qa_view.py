"""The sections of the `slung qa` report, for a terminal and a page."""

from __future__ import annotations

from ..render.formats import count, decimal, share, short
from ..render.sections import Beside, Facts, Figure, Section, Table
from ..render.svg import Axis, bars, lines
from .qa import BINS, Calibration, LabelerQuality, QaReport
from .tally import EXACT_SCORES, Quality

_TENTHS = [(n / 5, f"{n / 5:g}") for n in range(6)]


def sections(report: QaReport) -> list[Section]:
    """The sections that `slung qa` shows."""
    parts = [_overview(report)]
    for title, of_kind in (
        ("Documents" if report.whole_documents else "Characters", "characters"),
        ("Tokens", "tokens"),
    ):
        qualities = {name: getattr(quality, of_kind) for name, quality in _all(report).items()}
        if None not in qualities.values():
            parts.append(_quality(title, qualities, report))
    parts.append(_calibration(report))
    if report.missed is not None:
        parts.append(_words(report))
    return parts


def _all(report: QaReport) -> dict[str, LabelerQuality]:
    """All labelers combined, then each labeler if there is more than one."""
    return {"all labelers": report.combined, **(report.labelers if len(report.labelers) > 1 else {})}


def _overview(report: QaReport) -> Section:
    if report.whole_documents:
        facts = [(count(report.documents), "documents"), (count(report.gold_documents), "risky documents")]
        return Section("The truth", "", [Facts(facts)])
    facts = [
        (count(report.documents), "documents"),
        (count(report.gold_documents), "documents with a gold span"),
        (count(report.gold_spans), "gold spans"),
        (count(report.characters), "characters"),
    ]
    if report.tokens is not None:
        facts.append((count(report.tokens), "tokens"))
    return Section("The truth", "", [Facts(facts)])


def _quality(title: str, qualities: dict[str, Quality], report: QaReport) -> Section:
    unit = title.lower()
    tables = []
    for name, quality in qualities.items():
        points = [("best F1, ", quality.best)] if quality.best else []
        points += [("", point) for point in quality.points]
        rows = [
            [
                f"{label}{short(float(f'{point.threshold:.6g}'))}",
                decimal(point.precision),
                decimal(point.recall),
                decimal(point.f1),
                decimal(point.mean_f1),
                count(point.predicted),
            ]
            for label, point in points
        ]
        found = f"{name}: average precision {decimal(quality.average_precision)}, {count(quality.gold)} gold {unit}"
        tables.append(Table(["score from", "precision", "recall", "F1", "mean F1", "predicted"], rows, found))
    axis = [Axis(0, 1, _TENTHS, label) for label in ("recall", "precision")]
    # a labeler with only one score has one point, and a line needs two
    series = {name: [(0, q.curve[0][1]), *q.curve] for name, q in qualities.items() if q.curve}
    figure = lines(f"Precision and recall of {unit}", series, *axis)
    note = (
        "Precision, recall and F1 are over all documents together. Mean F1 is the mean over documents, where one with "
        "nothing gold and nothing predicted counts as 1 (the measure of SemEval-2021 Task 5). Gold text without a "
        "score counts as never found."
    )
    if report.whole_documents:
        note = (
            "A document's score is the highest of its spans. A risky document without a span counts as never found. "
            "Mean F1 is the share of documents that are judged right."
        )
    elif unit == "characters":
        note += " A labeler of sentences cannot be precise if people marked words. Its recall is still meaningful."
    else:
        note += (
            f" A token is gold if it touches a gold character. It is predicted by the rule overlap: {report.overlap}."
        )
    if not all(quality.exact for quality in qualities.values()):
        note += (
            f" There are over {count(EXACT_SCORES)} scores, so the curve, its mean and the best F1 are exact to 1e-4."
        )
    return Section(title, note, [*tables, Figure(figure)])


def _calibration(report: QaReport) -> Section:
    qualities = {name: quality.calibration for name, quality in _all(report).items()}
    rows = [[name, count(sum(c.spans)), decimal(c.error)] for name, c in qualities.items()]
    series = {
        name: [(score, right) for score, right in zip(c.score, c.right) if score is not None]
        for name, c in qualities.items()
    }
    axes = [Axis(0, 1, _TENTHS, label) for label in ("mean score", "share of right spans")]
    figures = [Figure(lines("Reliability", series, *axes, diagonal=True, dots=True)), Figure(_histogram(qualities))]
    note = (
        f"A span is right if {'its document is risky' if report.whole_documents else 'it touches a gold span'}. On the dotted line, scores are probabilities. Above it, scores are "
        f"too low. The error is the mean distance of spans from the line, in {BINS} bins (expected calibration error)."
    )
    return Section("Calibration of the spans", note, [Table(["", "spans", "error"], rows), *figures])


def _histogram(qualities: dict[str, Calibration]) -> str:
    names = [f"{n / BINS:g} to {(n + 1) / BINS:g}" for n in range(BINS)]
    ticks = [(n, f"{n / BINS:g}") for n in range(0, BINS + 1, 2)]
    spans = qualities["all labelers"].spans
    return bars("Spans by score", spans, names, ticks, label="score", unit="spans", log=True)


def _words(report: QaReport) -> Section:
    def table(title: str, rows: list[dict]) -> Table:
        cells = [[r["word"], count(r["risky"]), count(r["total"]), share(r["risky"] / r["total"])] for r in rows]
        return Table(["word", "times", "in all", "share"], cells, title, brief=15)

    note = (
        f"The threshold is {short(report.judged_at)}, the lowest score that the buckets do not train. These words "
        "quote the data: be careful whom you show them to. They are whole words in lowercase with any missed or false "
        "character. Words that are so more often than the rest of the text come first."
    )
    tables = [table("Gold but not predicted", report.missed), table("Predicted but not gold", report.false)]
    return Section("Words where labels and truth differ", note, [Beside(tables)])
