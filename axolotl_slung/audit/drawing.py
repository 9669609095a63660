"""Draws the spans of an audit in two passes over the data: the first counts, the second writes what was chosen."""

from __future__ import annotations

import json
import random
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from ..errors import SlungError, os_errors
from ..evals import audit_file
from ..evals.audit_file import HELDOUT, LOW_RISK, TRAINED, Entity, frequency_of, span_id
from ..labels.buckets import Action, Bucket
from ..labels.spanned import SpannedText
from ..storage import write_private
from .decoys import Pool, Searched, made, with_made
from .entities import Entities
from .folder import make, private
from .found import Find, finds, question, safe_characters
from .low_risk import Stretch, Stretches
from .tally import Stratum, Tally, chosen, key_of

_KEYS = tuple(audit_file.AuditSpan.__dataclass_fields__)


class Rows(Protocol):
    """Rows of a data set, such as `training.data.look.DataSet`. They may be read several times."""

    def spanned(self) -> Iterator[Sequence[SpannedText]]:
        """Each row's texts with their spans."""
        ...


class Drawn(NamedTuple):
    """What was drawn.

    Attributes:
        counts: set to kind to frequency to `found` distinct spans and `sampled` ones.
        dropped: held-out spans that were left out because their text occurs in the training data.
    """

    counts: dict
    dropped: int


class _Number(NamedTuple):
    """The numbers of spans to sample."""

    trained: int
    heldout: int
    low_risk: int


def draw(
    trained: Sequence[Rows],
    heldout: Sequence[Rows],
    folder: Path,
    buckets: Sequence[Bucket],
    *,
    spans: int = 400,
    decoys: int = 15,
    seed: int = 0,
    about: Mapping | None = None,
    progress: Callable[[], object] = lambda: None,
) -> Drawn:
    """Draw the spans of an audit and write its folder. It holds risky text; only its owner may read it.

    A quarter of the spans are low-risk stretches, and a quarter are held out if there are held-out rows.

    Args:
        trained: the data that the models are trained on.
        heldout: data that they are never trained on. May be empty.
        folder: the audit's folder. Files of an earlier audit in it are replaced.
        buckets: in ascending order.
        spans: how many spans in all.
        decoys: the most decoys of each.
        seed: the same seed and data give the same spans.
        about: more for audit.json, without risky text, such as the `provenance` of the data.
        progress: called after each row, in both passes.

    Raises:
        SlungError: there is no risky span to ask about, or the data cannot be labeled or written.
    """
    if all(bucket.action is Action.TRAIN for bucket in buckets):
        raise SlungError(
            "slung.buckets: every action is train, so no span is risky; draw from the config of another arm with the "
            "same data, such as `method: masked`"
        )
    drawing = _Drawing(buckets, decoys, seed, progress)
    quarter = spans // 4
    number = _Number(spans - quarter - (quarter if heldout else 0), quarter if heldout else 0, quarter)
    drawing.count(trained, heldout, number)
    if not drawing.sample[TRAINED]:
        raise SlungError(
            "slung.labelers: no risky span is in a trained token of the data, so there is nothing to ask about; look at "
            "the labels with `slung inspect`"
        )
    make(folder)
    return drawing.write(trained, heldout, folder, about or {})


class _Drawing:
    def __init__(self, buckets: Sequence[Bucket], decoys: int, seed: int, progress: Callable[[], object]):
        self.buckets, self.decoys, self.seed, self._progress = tuple(buckets), decoys, seed, progress
        self.salt = secrets.token_hex(16)
        self.tallies = {TRAINED: Tally(), HELDOUT: Tally()}
        self.pools: dict[tuple[str, str], Pool] = {}
        self.stretches = Stretches(0, seed)
        self.sample: dict[str, dict[int, Stratum]] = {}
        self.found: dict[str, dict[Stratum, int]] = {}
        self._seen: dict[tuple[str, int], int] = {}  # occurrences of the sampled spans so far

    def _documents(self, data: Sequence[Rows]) -> Iterator[tuple[int, SpannedText]]:
        number = 0
        for one in data:
            for row in one.spanned():
                for document in row:
                    yield number, document
                    number += 1
                self._progress()

    # the first pass

    def count(self, trained: Sequence[Rows], heldout: Sequence[Rows], number: _Number) -> None:
        """Count the spans of all data, and choose."""
        self.stretches = Stretches(number.low_risk, self.seed)
        for of_set, data in ((HELDOUT, heldout), (TRAINED, trained)):
            tally = self.tallies[of_set]
            for at, document in self._documents(data):
                for find in finds(document, self.buckets):
                    text = document.text[find.start : find.end]
                    key = key_of(self.seed, find.labeler, find.kind, text)
                    tally.add(key, find.labeler, find.kind, find.bucket, find.askable)
                    self._pool(find.labeler, find.kind).add(key, text)
                    self.stretches.lengths.add(len(text))
                if of_set == TRAINED and self.stretches.wants(at):
                    self.stretches.add(at, document, safe_characters(document, self.buckets))
        known = self.tallies[TRAINED]
        self.sample[TRAINED], self.found[TRAINED] = chosen(known.strata(), number.trained)
        self.sample[HELDOUT], self.found[HELDOUT] = chosen(self.tallies[HELDOUT].strata(known), number.heldout)

    def _pool(self, labeler: str, kind: str) -> Pool:
        return self.pools.setdefault((labeler, kind), Pool())

    # the second pass

    def write(self, trained: Sequence[Rows], heldout: Sequence[Rows], folder: Path, about: Mapping) -> Drawn:
        """Write the files of the folder."""
        stretches = self.stretches.drawn()
        low_risk = self._pool("", LOW_RISK)
        for one in stretches:
            low_risk.add(key_of(self.seed, "", LOW_RISK, one.text), one.text)
        candidates = {
            (*group, text): made(text, group[1], 2 * self.decoys, self.seed)
            for group, pool in self.pools.items()
            if pool.few(self.decoys) and group[1] != LOW_RISK
            for _, text in pool.texts()
        }
        values = [value for some in candidates.values() for value in some]
        # without a name: nothing of it stays if the command is killed
        with os_errors(folder), tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder) as questions:
            searched = Searched(values)
            texts = [self._write_spans(HELDOUT, at, one, searched, questions) for at, one in self._documents(heldout)]
            elsewhere = searched.counts()
            searched = Searched([*values, *(one.text for one in stretches), *(text for some in texts for text in some)])
            entities = Entities(self.tallies[TRAINED], self.seed)
            by_document = {one.document: one for one in stretches}
            with private(folder / audit_file.ENTITIES) as occurrences:
                for at, document in self._documents(trained):
                    self._write_spans(TRAINED, at, document, searched, questions, entities, occurrences)
                    if at in by_document:
                        self._write_stretch(by_document[at], document, questions)
            counts = dict(searched.counts())
            for value in values:
                counts[value] += elsewhere[value]
            questions.seek(0)
            sampled, dropped = self._finish(questions, folder, candidates, counts)
        counted = self._counts(sampled)
        content = {"format": audit_file.FORMAT, "salt": self.salt, "seed": self.seed, "provenance": {}, **about}
        content["counts"] = counted
        write_private(folder / audit_file.ABOUT, json.dumps(content, indent=2) + "\n")
        return Drawn(counted, dropped)

    def _write_spans(
        self,
        of_set: str,
        at: int,
        document: SpannedText,
        searched: Searched,
        questions: IO[str],
        entities: Entities | None = None,
        occurrences: IO[str] | None = None,
    ) -> list[str]:
        """Write the sampled spans of a document, and give their texts."""
        searched.search(document.text)
        safe, texts, tally = None, [], self.tallies[of_set]
        for find in finds(document, self.buckets):
            text = document.text[find.start : find.end]
            key = key_of(self.seed, find.labeler, find.kind, text)
            stratum = self.sample[of_set].get(key)
            taken = stratum is not None and self._taken(of_set, key, find, tally)
            entity = entities is not None and entities.takes(key, at)
            if not (taken or entity):
                continue
            safe = safe_characters(document, self.buckets) if safe is None else safe
            before, prefixes, after = question(document, find.start, find.end, safe)
            if entity and occurrences is not None:
                line = Entity(
                    span_id(self.salt, TRAINED, find.labeler, find.kind, text), find.kind, before, text, after
                )
                occurrences.write(json.dumps(line.__dict__) + "\n")
            if taken:
                texts.append(text)
                row = {"set": of_set, "labeler": find.labeler, "kind": find.kind, "bucket": find.bucket}
                row |= {"count": tally.count(key), "text": text, "before": before, "prefixes": prefixes, "after": after}
                questions.write(json.dumps(row) + "\n")
        return texts

    def _taken(self, of_set: str, key: int, find: Find, tally: Tally) -> bool:
        """Whether this occurrence is the one that is asked about: one at random, in the span's bucket."""
        bucket, number = tally.in_bucket(key)
        if find.bucket != bucket or not find.askable:
            return False
        seen = self._seen[of_set, key] = self._seen.get((of_set, key), -1) + 1
        return seen == key_of(self.seed, of_set, str(key)) % number

    def _write_stretch(self, stretch: Stretch, document: SpannedText, questions: IO[str]) -> None:
        safe = safe_characters(document, self.buckets)
        before, prefixes, after = question(document, stretch.start, stretch.end, safe)
        row = {"set": LOW_RISK, "labeler": "", "kind": LOW_RISK, "bucket": self._lowest(), "count": 1}
        row |= {"text": stretch.text, "before": before, "prefixes": prefixes, "after": after}
        questions.write(json.dumps(row) + "\n")

    def _lowest(self) -> int:
        """The bucket of text without spans."""
        return next(index for index, one in enumerate(self.buckets) if one.below is None or one.below > 0)

    # the end

    def _finish(self, questions: IO[str], folder: Path, candidates: Mapping, counts: Mapping[str, int]):
        """Write the spans with what only the whole data says: decoys, and how often a stretch occurs."""
        sampled: dict[tuple[str, str, str], int] = {}
        dropped = 0
        with private(folder / audit_file.SPANS) as file:
            for line in questions:
                row = json.loads(line)
                of_set, labeler, kind, text = (row[key] for key in ("set", "labeler", "kind", "text"))
                if of_set == HELDOUT and counts[text]:
                    dropped += 1
                    continue
                if of_set == LOW_RISK:
                    row["count"] = counts[text]
                row["id"] = span_id(self.salt, of_set, labeler, kind, text)
                row["action"] = self.buckets[row["bucket"]].action.value
                row["frequency"] = frequency_of(row["count"])
                draws = random.Random(key_of(self.seed, "decoys", of_set, labeler, kind, text))
                context = row["before"] + text + row["after"]
                real = self.pools[labeler, kind].decoys(text, context, self.decoys, draws)
                given = candidates.get((labeler, kind, text), ())
                row["decoys"], row["decoys_made"] = with_made(real, given, counts, self.decoys)
                file.write(json.dumps({key: row[key] for key in _KEYS}) + "\n")
                group = of_set, kind, row["frequency"]
                sampled[group] = sampled.get(group, 0) + 1
        return sampled, dropped

    def _counts(self, sampled: Mapping[tuple[str, str, str], int]) -> dict:
        counts: dict = {}
        for of_set, strata in self.found.items():
            for stratum, number in strata.items():
                of_kind = counts.setdefault(of_set, {}).setdefault(stratum.kind, {})
                of_kind.setdefault(stratum.frequency, {"found": 0, "sampled": 0})["found"] += number
        for (of_set, kind, frequency), number in sampled.items():
            of_kind = counts.setdefault(of_set, {}).setdefault(kind, {})
            # every stretch that was cut is drawn
            there = of_kind.setdefault(frequency, {"found": number, "sampled": 0})
            there["sampled"] = number
        return counts
