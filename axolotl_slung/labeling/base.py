"""What a labeler is: character spans with scores, for a batch of texts."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ..errors import SlungError
from .text.escapes import unescaped

_SURROGATE = re.compile("[\ud800-\udfff]")


def utf8_safe(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD: of the same length, and fit for tokenizers and C libraries."""
    try:
        text.encode()  # ten times as fast as a search, and surrogates are rare
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


class Span(NamedTuple):
    """Characters `[start, end)` of one text, with a risk score in [0, 1]."""

    start: int
    end: int
    score: float
    labeler: str = ""
    """The name of the labeler that gave the score (`Labeler.name`)."""


class LabelerError(SlungError):
    """A labeler's configuration or data cannot be used.

    The message names the YAML key (such as `slung.labelers[0].path`), the value and the mend. It never
    quotes the names, patterns or texts that are being labeled.
    """


class Labeler(ABC):
    """Base of every labeler: one file, one class, lazy weights, batched.

    A labeler is pickled by `datasets.map` into its fingerprint and its worker processes: keep the
    configuration in attributes, load models in a property on first use, and leave them out of the pickle
    by naming them in `lazy`.

    Args:
        key: where the labeler stands in the YAML, such as `slung.labelers[0]`; errors begin with it.

    Attributes:
        name: what its scores are kept under; the YAML's `name`, or else its type.
    """

    scope: ClassVar[str] = "document"
    """What the scores depend on.

    `text`: on the characters themselves, wherever they stand (names, patterns), so that a prompt may be
    labeled as a whole; `document`: on the document's own text or row, so that each field of a prompt is
    labeled by itself (sentence classifiers, span columns).
    """

    reads_escapes: ClassVar[bool | None] = None
    r"""Whether escaped text (`\n`, `&eacute;`, see `escapes.py`) is labeled as what it means, besides as what it is.

    None: where the scope is `text`, but for labelers that read the row.
    """

    reads_row: ClassVar[bool] = False
    """Whether the spans come out of a column beside the text, instead of out of the text itself.

    Such a labeler has an attribute `text_field`, the column that its spans count characters of, or None.
    """

    lazy: ClassVar[tuple[str, ...]] = ()

    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version has a say in the labels; part of fingerprints and cache keys."""

    cached: ClassVar[bool] = False
    """Whether its spans are worth keeping on disk (see `cache.py`): it reads the text alone, and is slow."""

    most_processes: int | None = None
    """How many processes can label at once where fewer than all cores make sense (one a GPU); None for any number."""

    name: str = "labeler"

    digest: str = ""
    """Of all that decides the spans (`identity.digest`); set by `build`."""

    cache: Any = None
    """A `SpanCache`, or None; set by `build`."""

    def __init__(self, key: str):
        self.key = key

    def check(self) -> None:  # noqa: B027 - optional
        """Open what the labeler needs and raise `LabelerError` for anything that cannot work."""

    def files(self) -> list[Path]:
        """Every file whose content decides the labels, for the prepared dataset's fingerprint."""
        return []

    def annotate(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """`label` by way of the cache, with each span under this labeler's name, or the name that it already has."""
        if self.cache is None:
            found = self._label(texts, rows)
        else:
            found = self.cache.fill(texts, lambda some: self._label([texts[i] for i in some], [rows[i] for i in some]))  # pyright: ignore[reportArgumentType] - set by `build`
        return [
            [span if span.labeler else Span(span.start, span.end, span.score, self.name) for span in spans]
            for spans in found
        ]

    def _label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """`label`, of what the texts are and, where escapes are read, of what they mean."""
        reads = self.reads_escapes
        if reads is None:
            reads = self.scope == "text" and not self.reads_row
        views = [(index, view) for index, text in enumerate(texts) for view in unescaped(text)] if reads else []
        if not views:
            return self.label(texts, rows)
        found = self.label([*texts, *(view.text for _, view in views)], [*rows, *(rows[index] for index, _ in views)])
        spans = [set(of_text) for of_text in found[: len(texts)]]
        for (index, view), of_view in zip(views, found[len(texts) :]):
            for span in of_view:
                start, end = view.original(span.start, span.end)
                spans[index].add(span._replace(start=start, end=end))
        return [sorted(of_text) for of_text in spans]

    @abstractmethod
    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """Label a batch.

        Args:
            texts: the documents.
            rows: for each text the mapping it came from (the dataset row, or the chat message), for
                labelers that read a column beside the text.

        Returns:
            For each text its spans, in order of `start`; they may overlap.

        Raises:
            LabelerError: for a row that cannot be labeled.
        """

    def __getstate__(self):
        return {k: None if k in self.lazy else v for k, v in self.__dict__.items()}
