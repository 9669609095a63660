"""The sections of the `slung sweep` report, for a terminal and a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..labels.buckets import Action
from ..render.formats import count, ratio, share, short
from ..render.sections import Figure, Section, Table
from ..render.svg import Axis, lines
from .scale import TICKS, log_odds
from .statistics import ACTIONS
from .statistics_view import bucket_table
from .sweep import Sweep

_LOST = tuple(action for action in ACTIONS if not action.traits.has_loss)


def sections(sweep: Sweep) -> list[Section]:
    """The sections that `slung sweep` shows."""
    return [_single(sweep), _curves(sweep), _cuts(sweep)]


def _single(sweep: Sweep) -> Section:
    names = list(sweep.labelers) if len(sweep.labelers) > 1 else []
    rows = []
    for threshold in sweep.asked:
        at = sweep.thresholds.index(threshold)
        above = sweep.combined
        rows.append(
            [
                short(threshold),
                count(above.documents[at]),
                share(ratio(above.documents[at], sweep.documents)),
                count(above.tokens[at]),
                share(ratio(above.tokens[at], sweep.tokens)),
                share(ratio(above.trainable[at], sweep.trainable)),
                *(share(ratio(sweep.labelers[name].tokens[at], sweep.tokens)) for name in names),
            ]
        )
    head = ["score from", "documents", "share", "tokens", "share", "loss cost", *names]
    note = (
        f"Numbers at or above each threshold, of {count(sweep.documents)} documents and {count(sweep.tokens)} tokens. "
        "The loss cost is the share of the trainable tokens that would lose their loss if all of these were masked."
    )
    if names:
        note += " The columns on the right give the share of tokens for each labeler."
    return Section("One threshold", note, [Table(head, rows)])


def _cuts(sweep: Sweep) -> Section:
    tables = []
    for number, cut in enumerate(sweep.cuts):
        buckets = [replace(bucket, below=below) for bucket, below in zip(sweep.buckets, (*cut.bounds, None))]
        lost = sum(cut.outcomes[action.value] for action in _LOST)
        effects = [f"{share(ratio(lost, sweep.trainable))} of the trainable tokens lose their loss"]
        effects += [
            f"{share(ratio(cut.outcomes[action.value], sweep.trainable))} get {action.value}"
            for action in ACTIONS
            if action not in (*_LOST, Action.TRAIN) and cut.outcomes[action.value]
        ]
        title = f"{', '.join(map(short, cut.bounds))}{'' if number else ' (the config)'}: {', '.join(effects)}"
        tables.append(bucket_table(title, buckets, cut.documents, cut.tokens, (sweep.documents, sweep.tokens)))
    note = "A document counts in the highest bucket that it touches."
    return Section("The buckets with other bounds", note, tables)


def _curves(sweep: Sweep) -> Section:
    bounds = [(log_odds(b.below), f"{b.name} ends below {short(b.below)}") for b in sweep.buckets[:-1]]
    across = Axis(-6, 6, [(log_odds(tick), short(tick)) for tick in TICKS[1:]], "threshold")

    def figure(title: str, kind: str, whole: int) -> Figure:
        counts = {"all labelers": getattr(sweep.combined, kind)}
        if len(sweep.labelers) > 1:
            counts |= {name: getattr(above, kind) for name, above in sweep.labelers.items()}
        series = {
            name: [(log_odds(t), math.log10(n / whole)) for t, n in zip(sweep.thresholds, numbers) if n]
            for name, numbers in counts.items()
        }
        return Figure(lines(title, series, across, _shares_axis(series, f"share of {kind}"), marks=bounds))

    figures = [
        figure("Tokens at or above the threshold", "tokens", sweep.tokens),
        figure("Documents with a token at or above the threshold", "documents", sweep.documents),
    ]
    return Section("All thresholds", "Dashed lines are the config's bounds.", figures)


def _shares_axis(series: dict[str, Sequence[tuple[float, float]]], label: str) -> Axis:
    """An axis from 100% down to the power of ten below the smallest share."""
    low = min((y for points in series.values() for _, y in points), default=-1)
    low = min(math.floor(low + 1e-9), -1)
    return Axis(low, 0, [(power, f"{100 * 10.0**power:g}%") for power in range(low, 1)], f"{label} (log scale)")
