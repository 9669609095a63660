"""Label noise on purpose: spans are dropped and added at random, the same in every process and every run.

Each decision is a hash of the seed, the whole text and a place in it. So it does not depend on the row's number, the
order of the rows, the batch or the rank, and a text that occurs twice gets the same noise twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import regex

from ..labeling.base import Span
from .buckets import Bucket
from .tokens import buckets_of, char_scores

FALSE = "label_noise"
"""The labeler that false spans name."""

MEAN_WORDS = 3
"""The mean length of a false span, in words. Lengths are geometric: a span goes on to the next word in 2 of 3 cases."""

MOST_FALSE = 0.5
"""The largest share of words in false spans. With more, spans of this length would have to touch."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# in scripts without blanks between words, each character counts as a word
_WORD = regex.compile(rf"(?V1)[{_UNSPACED}]|[\w--[{_UNSPACED}]]+")


@dataclass(frozen=True)
class Noise:
    """What `label_noise` does to the spans of a text.

    A passage is a risky span, or several that overlap and are in the same bucket. Spans of one labeler and kind that
    touch are a passage, too, such as the words of an insult. Risky means: in another bucket than text without a span.

    Attributes:
        buckets: in ascending order.
        miss: the share of passages that are dropped. Each is dropped or kept by itself.
        false: the expected share of the other words that are in a false span, 0 to `MOST_FALSE`. The words of dropped
            passages are not among them.
        seed: any whole number. Another seed draws other spans.
        kind: the kind of the false spans.
    """

    buckets: tuple[Bucket, ...]
    miss: float
    false: float
    seed: int
    kind: str = ""

    def of_text(self, text: str, spans: Sequence[Span], add: bool = True) -> tuple[list[Span], list[Span]]:
        """The spans of a text with noise.

        Args:
            text: the whole text.
            spans: of all labelers.
            add: whether false spans are added.

        Returns:
            `(spans, missed)`: those that are kept, in their order, and the false ones; those that were dropped.
        """
        kept, missed = self.split(self.key(text), spans)
        return kept + (self.added(text, spans) if add else []), missed

    def of_tokens(self, ids: np.ndarray, spans: Sequence[Span]) -> tuple[list[Span], list[Span]]:
        """As `of_text`, for token ids, int64 `[tokens]`, and spans that count tokens. Each token is a word."""
        kept, missed = self.split(self.key(ids), spans)
        each = np.arange(len(ids))
        return kept + self._false(self.key(ids), np.stack([each, each + 1], 1), len(ids), spans), missed

    def added(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """The false spans of a text with these spans, with the score 1."""
        if not self.false:
            return []
        words = np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
        return self._false(self.key(text), words, len(text), spans)

    def split(self, key: bytes, spans: Sequence[Span]) -> tuple[list[Span], list[Span]]:
        """The spans that are kept, and those that are dropped, of the text with this key."""
        dropped = {id(span) for passage in self.passages(spans) if self.drops(key, passage) for span in passage}
        return [s for s in spans if id(s) not in dropped], [s for s in spans if id(s) in dropped]

    def key(self, text: str | np.ndarray) -> bytes:
        """What all decisions about a text depend on. Token ids, int64 `[tokens]`, are a text, too."""
        content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text.astype("<i8").tobytes()
        return blake2b(f"{self.seed}\n".encode() + content, digest_size=16).digest()

    def passages(self, spans: Sequence[Span]) -> Iterator[list[Span]]:
        """The risky spans in passages."""
        bucket = buckets_of(np.array([span.score for span in spans], dtype=np.float64), self.buckets)
        for of_bucket in range(1, len(self.buckets)):
            passage, end = [], 0
            for span in sorted(span for span, its in zip(spans, bucket.tolist()) if its == of_bucket):
                touched = any(one.end == span.start and one[3:] == span[3:] for one in passage)
                if passage and span.start >= end and not touched:
                    yield passage
                    passage, end = [], 0
                passage.append(span)
                end = max(end, span.end)
            if passage:
                yield passage

    def drops(self, key: bytes, passage: Sequence[Span]) -> bool:
        """Whether a passage of the text with this key is dropped."""
        bucket = buckets_of(np.array(passage[0].score), self.buckets)
        place = f"{passage[0].start} {bucket}".encode()
        return int.from_bytes(blake2b(place, key=key, digest_size=8).digest(), "little") < self.miss * 2**64

    def _false(self, key: bytes, words: np.ndarray, length: int, spans: Sequence[Span]) -> list[Span]:
        """False spans over words, int64 `[words, 2]`, that no risky span touches."""
        risky = [span._replace(score=1.0) for passage in self.passages(spans) for span in passage]
        before = np.concatenate([[0], np.cumsum(char_scores(length, risky))])  # the risky characters before each
        words = words[before[words[:, 1]] == before[words[:, 0]]]
        # numpy promises that this stream of numbers never changes
        drawn = np.random.PCG64(int.from_bytes(key, "little")).random_raw(len(words)) / 2**64
        # in a false span or not: two states whose shares stay the same from word to word
        enters = self.false / (1 - self.false) / MEAN_WORDS
        stays = drawn < 1 - 1 / MEAN_WORDS
        enter = drawn < enters
        enter[:1] = drawn[:1] < self.false
        found, after = [], 0
        for first in np.flatnonzero(enter).tolist():
            if first < after:
                continue
            after = first + 1
            found.append(words[first].tolist())
            while after < len(words) and stays[after]:
                start, end = words[after].tolist()
                if before[start] > before[found[-1][1]]:
                    found.append([start, end])  # not across a risky span
                found[-1][1] = end
                after += 1
        return [Span(start, end, 1.0, FALSE, self.kind) for start, end in found]
