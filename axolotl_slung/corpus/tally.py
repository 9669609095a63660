"""What a block's buckets do to labeled texts, counted while `slung label` runs. A count belongs to its settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ..config import SlungConfig
from ..errors import SlungError
from ..labeling.base import Span
from ..labeling.identity import digest_of
from ..labeling.scores import ANY, Cuts, Scale
from ..labels.outcome import Outcome

Counts = Mapping[str, Mapping]
"""For each digest of buckets and cuts: the numbers of texts, their outcome, and the texts that were not counted."""


class Tally:
    """Counts the characters of texts.

    Args:
        block: its buckets or method, and its labelers' cuts.
        cuts: the known cuts of the names that spans can have.

    Attributes:
        outcome: of the texts that were counted. Without buckets if the cuts of a labeler are not known.
        texts: number of texts.
        uncounted: number of texts whose scores have no cuts, by the error.
        elsewhere: number of texts that were counted under other buckets or cuts.
    """

    def __init__(self, block: SlungConfig, cuts: Mapping[str, Cuts]):
        try:
            self._pair, buckets, self._unknown = block.scale(), block.resolved_buckets(), None
        except SlungError as error:
            self._pair, buckets, self._unknown = None, (), str(error)
        columns = [(index, one.cuts_made()) for index, one in enumerate(block.labelers) if one.type == "spans"]
        self._key = f"slung.labelers[{columns[0][0]}]" if columns else "slung.labelers"
        # one pair, or any, for all names in a column
        self._of_column = next((one for _, one in columns if one is not None and not isinstance(one, dict)), None)
        self._cuts = cuts
        self._settings = digest_of([buckets, cuts, self._of_column, self._unknown])[:16]
        self.outcome = Outcome(buckets, [name for name, one in cuts.items() if one == ANY], "characters")
        self.texts, self.elsewhere = 0, 0
        self.uncounted: Counter[str] = Counter()

    def add(self, length: int, spans: Sequence[Span]) -> None:
        """Count a text of this many characters."""
        self.texts += 1
        if self._unknown is not None:
            self.uncounted[self._unknown] += 1
            return
        try:
            self.outcome.add_text(length, self._scaled(spans))
        except SlungError as error:
            self.uncounted[str(error)] += 1

    def _scaled(self, spans: Sequence[Span]) -> Sequence[Span]:
        if self._pair is None:
            return spans
        column = {} if self._of_column is None else {span.labeler: self._of_column for span in spans}
        return Scale(self._key, {**column, **self._cuts}, self._pair).put(spans)

    def to_json(self) -> dict[str, dict]:
        """The counts as JSON values."""
        counts = {"texts": self.texts, "outcome": self.outcome.to_json(), "uncounted": dict(self.uncounted)}
        return {self._settings: counts}

    def add_json(self, counts: Counts) -> None:
        """Add counts from `to_json`. Those of other settings only count as texts in `elsewhere`."""
        for settings, one in counts.items():
            if settings != self._settings:
                self.elsewhere += one["texts"]
                continue
            self.texts += one["texts"]
            self.outcome.add_json(one["outcome"])
            self.uncounted.update(one["uncounted"])

    def warnings(self) -> Iterator[str]:
        """What a user should know: of the outcome, and of the texts that are not in it."""
        yield from self.outcome.warnings()
        known = self.texts + self.elsewhere
        for reason, number in self.uncounted.items():
            yield f"what the buckets do to {number:,} of {known:,} texts is not known: {reason}"
        if self.elsewhere:
            yield (
                f"{self.elsewhere:,} of {known:,} texts were labeled under other buckets or cuts, and what the buckets "
                "do to them is not counted here; `slung stats` counts all texts"
            )


def merged(first: Counts, second: Counts) -> dict[str, dict]:
    """The sum of two results of `Tally.to_json`. Each kind of settings stays apart."""
    total = {settings: dict(one) for settings, one in first.items()}
    for settings, one in second.items():
        before = total.get(settings, {"texts": 0, "outcome": Outcome((), ()).to_json(), "uncounted": {}})
        both = Outcome((), ())
        both.add_json(before["outcome"])
        both.add_json(one["outcome"])
        total[settings] = {
            "texts": before["texts"] + one["texts"],
            "outcome": both.to_json(),
            "uncounted": dict(Counter(before["uncounted"]) + Counter(one["uncounted"])),
        }
    return total
