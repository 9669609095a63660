"""The sections of the `slung stats` report, for a terminal and a page."""

from __future__ import annotations

from collections.abc import Sequence

from ..labels.buckets import Action, Bucket
from ..labels.tokens import buckets_of
from ..render.formats import count, ratio, share, short
from ..render.sections import Beside, Facts, Figure, Section, Table
from ..render.svg import bars, shares
from .estimate import Estimate
from .scale import BINS, EDGES, TICKS, bin_floors, bin_names, log_odds
from .statistics import ACTIONS, RUN_BINS, SHARE_BINS, Counts, RiskReport


def sections(report: RiskReport, estimated: Estimate | None = None) -> list[Section]:
    """The sections that `slung stats` shows."""
    parts = [_overview(report), _buckets(report)]
    if report.batch is not None:
        parts.append(_batch(report))
    if estimated is not None:
        parts.append(_estimate(estimated))
    parts += [_scores(report), _documents(report)]
    if report.runs:
        parts.append(_runs(report))
    if report.words is not None:
        parts.append(_words(report))
    return parts


def bucket_table(
    title: str, buckets: Sequence[Bucket], documents, tokens, whole: tuple[int, int], trainable=None
) -> Table:
    """Documents and tokens per bucket, and their shares of `whole`, which is `(documents, tokens)`."""
    rows = []
    for index, bucket in enumerate(buckets):
        row = [bucket.name, _range(buckets, index), bucket.action.value]
        for number, of_all in zip((documents[index], tokens[index]), whole):
            row += [count(number), share(ratio(number, of_all))]
        rows.append(row if trainable is None else [*row, count(trainable[index])])
    head = ["bucket", "score", "action", "documents", "share", "tokens", "share"]
    return Table(head if trainable is None else [*head, "trainable"], rows, title, left=3)


def _range(buckets: Sequence[Bucket], index: int) -> str:
    """The range of a bucket's scores, in words."""
    low = buckets[index - 1].below if index else 0.0
    high = buckets[index].below
    if high is None:
        return f"from {short(low)}" if index else "all"
    return f"{short(low)} to {short(high)}" if index else f"below {short(high)}"


def _overview(report: RiskReport) -> Section:
    weights = report.weights
    facts = [
        (count(report.documents), "documents"),
        (count(report.tokens), "tokens"),
        (share(ratio(report.loss_tokens, report.trainable)), "of the trainable tokens keep a loss"),
        (count(report.fully_masked), "documents left without any loss"),
        (count(report.partial), "tokens straddle the edge of a span"),
    ]
    if report.without_loss > report.fully_masked:
        facts.insert(
            4, (count(report.without_loss - report.fully_masked), "documents without a loss even without slung")
        )
    if report.dropped:
        facts.append((count(report.dropped), "documents dropped"))
    if weights.other:
        span = f"from {short(weights.lowest)} to {short(weights.highest)}; {count(weights.zero)} are 0"
        facts.append((count(weights.other), f"trainable tokens with a weight other than 1 ({span})"))
    for (spans, tokens), what in ((report.missed, "dropped"), (report.false, "added")):
        if spans:
            facts.append((count(spans), f"spans {what} by label_noise, with {count(tokens)} tokens"))
    parts = [(a.value, report.outcomes[a.value], a.traits.look.chart) for a in ACTIONS]
    figure = Figure(shares("Actions on the trainable tokens", [p for p in parts if p[1]], "tokens"))
    rows = [[name, count(documents), count(tokens)] for name, (documents, tokens) in report.found.items()]
    table = Table(["labeler", "documents with a span", "tokens in spans"], rows, "What each labeler found")
    return Section("Overview", "", [Facts(facts), figure, *([table] if rows else [])])


def _buckets(report: RiskReport) -> Section:
    some_are_not = report.trainable < report.tokens

    def table(title: str, counts: Counts) -> Table:
        trainable = counts.trainable if some_are_not else None
        whole = (report.documents, report.tokens)
        return bucket_table(title, report.buckets, counts.documents, counts.tokens, whole, trainable)

    tables = [table("All labelers combined", report.combined)]
    if len(report.labelers) > 1:
        tables += [table(f"Only {name}", counts) for name, counts in report.labelers.items()]
    note = "A document counts in the highest bucket that any of its tokens reaches."
    if some_are_not:
        note += " Trainable tokens are those that Axolotl would train on without slung."
    return Section("Buckets", note, tables)


def _batch(report: RiskReport) -> Section:
    batch = report.batch
    facts = [
        (count(batch.mean), f"tokens with a loss per batch, of {count(batch.trainable)} trainable tokens"),
        (count(batch.deviation), "standard deviation"),
        (f"{count(batch.p5)} to {count(batch.p95)}", "5th to 95th percentile"),
        (count(batch.lowest), "in the batch with the fewest"),
        (count(batch.without_loss), f"of {count(batch.batches)} batches without any loss"),
    ]
    filled = "packed in the order of the data" if batch.packing else "one document each"
    note = (
        f"A batch is {count(batch.sequences)} x {count(batch.sequence_len)} tokens, {filled}. This is a simulation of "
        "the spread: Axolotl shuffles, and packs more tightly."
    )
    return Section("Loss tokens per batch", note, [Facts(facts)])


def _estimate(estimated: Estimate) -> Section:
    cores = "core" if estimated.cores == 1 else "cores"
    facts = [
        (
            "n/a" if estimated.hours is None else _hours(estimated.hours),
            f"of labeling on {estimated.cores} {cores}",
        ),
        *([] if estimated.file_bytes is None else [(_size(estimated.file_bytes), "for the files of slung label")]),
        (_size(estimated.disk_bytes), "for the prepared data set"),
        (f"{estimated.times:,.4g} x", f"the sample, by {estimated.by}"),
    ]
    if estimated.step_time is not None:
        facts.append((f"{estimated.step_time:.2f} x", "stock Axolotl's time per step"))
    note = (
        "An estimate in proportion to the sample. Time per step is weighted by the tokens of each action, from one run "
        "on two CPU cores (docs/measurements.md). Differences of a few percent are noise."
    )
    return Section("The whole data set, estimated", note, [Facts(facts)])


def _scores(report: RiskReport) -> Section:
    inner = list(enumerate(EDGES.tolist(), 2))
    ticks = [(0.5, "0"), *((at, short(edge)) for at, edge in inner if edge in TICKS), (BINS - 0.5, "1")]
    marks = [(_place(b.below), f"{b.name} ends below {short(b.below)}") for b in report.buckets if b.below is not None]
    kinds = [report.buckets[i].action.traits.look.chart for i in buckets_of(bin_floors(), report.buckets)]

    def figure(name: str, counts: list[int]) -> Figure:
        drawn = bars(name, counts, bin_names(), ticks, label="score", unit="tokens", kinds=kinds, marks=marks, log=True)
        return Figure(drawn)

    figures = [figure("All labelers combined", report.combined_scores)]
    if len(report.scores) > 1:
        figures += [figure(f"Only {name}", counts) for name, counts in report.scores.items()]
    note = (
        "Tokens by score, on a scale as fine near 0 as near 1. Exactly 0 and exactly 1 have their own bars. Dashed "
        "lines are the buckets' bounds. Colors show the action at the bar's left end."
    )
    return Section("Scores", note, figures)


def _place(score: float) -> float:
    """The position of a score among the bars of a histogram."""
    if score >= 1:
        return BINS - 1
    for index, (low, high) in enumerate(zip(EDGES.tolist(), EDGES.tolist()[1:]), 2):
        if low <= score < high:
            return index + (log_odds(score) - log_odds(low)) / (log_odds(high) - log_odds(low))
    return 1.5 if score < 0.5 else BINS - 1.5


def _documents(report: RiskReport) -> Section:
    names = ["nothing", *(f"{low} to {low + 10}%" for low in range(0, 100, 10)), "everything"]
    ticks = [(0.5, "none"), *((1 + n, f"{10 * n}%") for n in range(2, 10, 2)), (SHARE_BINS - 0.5, "all")]
    label = "of the document's tokens"
    figure = Figure(bars("Documents by their risky share", report.shares, names, ticks, label=label, unit="documents"))
    note = "A token is risky if the action of its bucket is not train."
    low, high = report.shares[0], report.shares[-1]
    facts = [(count(low), "documents without a risky token"), (count(high), "documents with only risky tokens")]
    return Section("Documents", note, [Facts(facts), figure])


def _runs(report: RiskReport) -> Section:
    rows = [
        [action, count(runs.runs), count(runs.tokens), f"{runs.tokens / runs.runs:.1f}", count(runs.longest)]
        for action, runs in report.runs.items()
    ]
    blocks: list = [Table(["action", "spans", "tokens", "mean length", "longest"], rows)]
    for action, runs in report.runs.items():
        last = max(index for index, number in enumerate(runs.histogram) if number) + 2
        last = min(max(last, 8), RUN_BINS)
        names = ["1 token", *(f"{2**n} to {2 ** (n + 1) - 1} tokens" for n in range(1, last))]
        ticks = [(n, count(2**n)) for n in range(last + 1)]
        histogram = runs.histogram[:last]
        kinds = [Action(action).traits.look.chart] * last
        drawn = bars(f"Spans of {action}", histogram, names, ticks, label="tokens", unit="spans", kinds=kinds)
        blocks.append(Figure(drawn))
    note = "A span here is a run of neighboring tokens with the same action, trainable or not."
    return Section("Spans", note, blocks)


def _words(report: RiskReport) -> Section:
    def table(title: str, rows: list[dict]) -> Table:
        cells = [[r["word"], count(r["risky"]), count(r["total"]), share(r["risky"] / r["total"])] for r in rows]
        return Table(["word", "risky", "in all", "share"], cells, title, brief=15)

    note = (
        "These words quote the data: be careful whom you show them to. They are whole words in lowercase. A word is "
        "risky if any of its tokens is. Telling words are risky more often than their share of the text explains "
        "(Dunning's log-likelihood)."
    )
    if report.words["missed"]:
        note += (
            f" Rare words were dropped to save memory: counts may be too low by up to {count(report.words['missed'])}."
        )
    tables = [table("Most frequent", report.words["frequent"]), table("Most telling", report.words["telling"])]
    return Section("Risky words", note, [Beside(tables)])


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"


def _size(number: int) -> str:
    power = 0
    while number >= 1000 and power < 4:
        number, power = number / 1000, power + 1
    return f"{number:,.1f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"
