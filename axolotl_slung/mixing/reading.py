"""What a worker process does with a chunk of an input: it finds the documents and counts their tokens."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from ..corpus.chunks import Bad, Chunk
from ..labeling.scores import PAPER_CUTS, Cuts, moved
from ..labels.buckets import preset
from ..labels.offsets import Offsets
from ..labels.tokens import buckets_of, char_scores, token_scores
from .config import Mix
from .criteria import failed
from .documents import Document, NoDocument, digest_of, document_of
from .inputs import Input

BUCKETS = preset("masked", PAPER_CUTS)
"""Only their names and bounds are used, for counts of tokens."""

RECORD = np.dtype(
    [("line", "<u8"), ("digest", "<u8"), ("tokens", "<u4"), ("size", "<u4"), ("buckets", "<u4", (len(BUCKETS),))]
)
"""What the index keeps of a document: its line, 64 bits that identical texts share, its tokens, its bytes of UTF-8, and
for a risky one its tokens by bucket."""

_AT_ONCE = 1 << 18
"""Characters that are tokenized at once."""


class Read(NamedTuple):
    """What a chunk holds.

    Attributes:
        records: of the documents that can be used, `RECORD`.
        counts: of documents (`documents`), and of those that do not meet a criterion, by its name.
        bad: lines that are not documents.
        lines: number of lines.
        digest: SHA-256 of the lines.
    """

    records: np.ndarray
    counts: Mapping[str, int]
    bad: list[Bad]
    lines: int
    digest: bytes


@dataclass
class Reading:
    """Reads chunks. The worker processes get it pickled.

    Attributes:
        mix: the YAML.
        inputs: all inputs.
        tokenizer: a fast tokenizer of Transformers.
        cuts: those recorded beside the sources, by the names in columns of spans.
    """

    mix: Mix
    inputs: Sequence[Input]
    tokenizer: Any
    cuts: Mapping[str, Cuts] = field(default_factory=dict)

    def __call__(self, item: tuple[int, Chunk | None]) -> Read | None:
        """Read a chunk of the input with this number. None, which is the end of an input, stays None."""
        number, chunk = item
        if chunk is None:
            return None
        one = self.inputs[number]
        counts: Counter[str] = Counter()
        bad, lines, documents = list(chunk.bad), [], []
        entry = getattr(self.mix, one.role)[one.entry]
        unread = {line for line, _ in chunk.bad}
        for line, content in enumerate(chunk.content, chunk.first):
            if line in unread:
                continue
            try:
                document = document_of(content, line, one.name, entry)
            except NoDocument as error:
                bad.append((line, str(error)))
                continue
            if document is None:
                continue
            counts["documents"] += 1
            reason = failed(document, self.mix.criteria) if one.role == "risky" else None
            if reason is None:
                lines.append(line)
                documents.append(document)
            else:
                counts[reason] += 1
        records = np.zeros(len(documents), RECORD)
        records["line"] = lines
        records["digest"] = [digest_of(document.text) for document in documents]
        records["size"] = [len(document.text.encode()) for document in documents]
        if one.role == "risky":
            for record, document in zip(records, documents):
                record["buckets"] = self._by_bucket(document)
            records["tokens"] = records["buckets"].sum(axis=1)
        else:
            records["tokens"] = self._tokens([document.text for document in documents])
        keep = records["tokens"] > 0
        digest = hashlib.sha256()
        for content in chunk.content:
            digest.update(content)
        return Read(records[keep], counts, sorted(bad), len(chunk.content), digest.digest())

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key not in ("_plain", "_offsets")}

    @cached_property
    def _plain(self) -> Tokenizer:
        # a copy: this one may cut or pad
        plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        plain.no_truncation()
        plain.no_padding()
        return plain

    @cached_property
    def _offsets(self) -> Offsets:
        return Offsets(self.tokenizer)

    def _tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those that are added around a text."""
        counted, start = [], 0
        while start < len(texts):
            end, size = start, 0
            while end < len(texts) and (end == start or size + len(texts[end]) <= _AT_ONCE):
                size += len(texts[end])
                end += 1
            found = self._plain.encode_batch_fast(list(texts[start:end]), add_special_tokens=False)
            counted += map(len, found)
            start = end
        return counted

    def _by_bucket(self, document: Document) -> np.ndarray:
        """Tokens of a document by bucket, int64 `[buckets]`."""
        _, offsets = self._offsets(document.text, add_special_tokens=False)
        spans = [
            span._replace(score=moved(span.score, self.cuts.get(span.labeler, PAPER_CUTS), PAPER_CUTS))
            for span in document.spans
        ]
        scores = token_scores(offsets, char_scores(len(document.text), spans))
        return np.bincount(buckets_of(scores, BUCKETS), minlength=len(BUCKETS))
