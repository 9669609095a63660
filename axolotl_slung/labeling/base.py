"""The interface of labelers: a batch of texts in, character spans with scores out."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ..errors import SlungError
from ..visible import visible
from .text.escapes import unescaped

_SURROGATE = re.compile("[\ud800-\udfff]")


def utf8_safe(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD: of the same length, and safe for tokenizers and C libraries."""
    try:
        text.encode()  # ten times as fast as a search; surrogates are rare
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
    kind: str = ""
    """What it is, such as `email`. Empty if the labeler finds only one kind; then its name is the kind."""


class LabelerError(SlungError):
    """A labeler's configuration or data cannot be used.

    The message names the YAML key (such as `slung.labelers[0].path`), the value and the fix. It never
    quotes the names, patterns or texts that are being labeled.
    """


class RowError(LabelerError):
    """Rows of a batch that a labeler cannot label. All other rows of the batch can be labeled.

    An error about the batch as a whole (its order, a missing file) is a plain `LabelerError`.

    Args:
        key: the YAML key that the rows do not fit, such as `slung.labelers[0].field`.
        problems: for each such row, its index in the batch and what is wrong with it, without its text.
    """

    def __init__(self, key: str, problems: Mapping[int, str]):
        super().__init__(key, problems)  # both, because exceptions are pickled by their arguments
        self.key, self.problems = key, dict(sorted(problems.items()))

    def __str__(self):
        row = next(iter(self.problems))
        return self.told(row, f"row {row} of the batch")

    def told(self, row: int, place: str = "") -> str:
        """The message about one row: `key: place: what is wrong`."""
        return visible(": ".join(filter(None, (self.key, place, self.problems[row]))))

    def moved(self, rows: Sequence[int]) -> RowError:
        """The same error about a larger batch, of which the batch's rows are numbers `rows`.

        Raises:
            LabelerError: a row is not in the batch.
        """
        if any(not 0 <= row < len(rows) for row in self.problems):
            raise LabelerError(f"{self.key}: a RowError about row {max(self.problems)} of a batch of {len(rows)}")
        problems: dict[int, str] = {}
        for row, problem in self.problems.items():
            problems.setdefault(rows[row], problem)
        return RowError(self.key, problems)


class TextProblem(Exception):
    """What is wrong with one text, without the text. See `Labeler.each`."""


class Labeler(ABC):
    """Base class of labelers: one file, one class, lazy weights, batched.

    `datasets.map` pickles a labeler for its fingerprint and its worker processes. Keep the configuration in
    attributes. Load models in a property on first use. Name them in `lazy` to keep them out of the pickle.

    Args:
        key: the labeler's place in the YAML, such as `slung.labelers[0]`. Errors begin with it.

    Attributes:
        name: names its scores; the YAML's `name`, or by default the type.
    """

    scope: ClassVar[str] = "document"
    """What the scores depend on.

    `text`: only on the characters, wherever they are (names, patterns). A prompt may be labeled as a whole.
    `document`: on the document's text or row (sentence classifiers, span columns). Each field of a prompt is
    labeled separately.
    """

    reads_escapes: ClassVar[bool | None] = None
    r"""Whether escaped text (`\n`, `&eacute;`, see `escapes.py`) is labeled both as it is and as what it means.

    None: true for the scope `text`, except for labelers that read the row.
    """

    reads_row: ClassVar[bool] = False
    """Whether the spans come from another column of the row instead of from the text.

    Such a labeler has an attribute `text_field`: the column whose characters its spans count, or None.
    """

    lazy: ClassVar[tuple[str, ...]] = ()

    packages: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version can change the labels. Their versions are part of fingerprints and cache keys."""

    cached: ClassVar[bool] = False
    """Whether to cache its spans on disk (see `cache.py`): it reads only the text, and is slow."""

    most_processes: int | None = None
    """The most processes that can label at once, such as one per GPU. None: no limit."""

    name: str = "labeler"

    digest: str = ""
    """A digest of everything that determines the spans (`identity.digest`); set by `build`."""

    cache: Any = None
    """A `SpanCache`, or None; set by `build`."""

    scale: Any = None
    """The `scores.Scale` of a preset, or None for the scores as they are; set by `build`."""

    def __init__(self, key: str):
        self.key = key

    def check(self) -> None:  # noqa: B027 - optional
        """Open what the labeler needs. Raises `LabelerError` for anything that cannot work."""

    def files(self) -> list[Path]:
        """Every file whose content determines the labels, for the prepared dataset's fingerprint."""
        return []

    def listed(self) -> dict[int, str]:
        """The entries of the labeler's list by number, for reports of those that were never found; empty without a list."""
        return {}

    def take_found(self) -> set[int]:
        """The numbers of `listed` that were found since the last call. `~number`: only a part of the entry was found."""
        return set()

    def take_order(self) -> tuple[int, int] | None:
        """The first and last place, in the labeler's own files, of the rows of the last batch; then None.

        None if the order of rows does not matter.
        """
        return None

    def annotate(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """`label` through the cache, on the labeler's scale. Spans without a name get this labeler's name."""
        if self.cache is None:
            found = self._label(texts, rows)
        else:
            found = self.cache.fill(texts, lambda some: self._label([texts[i] for i in some], [rows[i] for i in some]))  # pyright: ignore[reportArgumentType] - set by `build`
        named = [[span if span.labeler else span._replace(labeler=self.name) for span in spans] for spans in found]
        return named if self.scale is None else [self.scale.put(spans) for spans in named]

    def _label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """`label` for the texts and, if escapes are read, also for what they mean."""
        reads = self.reads_escapes
        if reads is None:
            reads = self.scope == "text" and not self.reads_row
        views = [(index, view) for index, text in enumerate(texts) for view in unescaped(text)] if reads else []
        if not views:
            return self.label(texts, rows)
        whose = [*range(len(texts)), *(index for index, _ in views)]
        try:
            found = self.label([*texts, *(view.text for _, view in views)], [rows[index] for index in whose])
        except RowError as error:
            raise error.moved(whose) from None
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
            rows: for each text the mapping that it came from (the dataset row or the chat message), for
                labelers that read another column.

        Returns:
            For each text its spans, in order of `start`. Spans may overlap.

        Raises:
            RowError: some rows cannot be labeled.
            LabelerError: the batch as a whole cannot be labeled.
        """

    def each(self, texts: Sequence[str], label: Callable[[str], list[Span]]) -> list[list[Span]]:
        """The spans of each text, for a labeler that reads one text at a time.

        Raises:
            RowError: `label` failed for some texts. All texts are tried.
            SlungError: raised by `label`; it stops at once.
        """
        found, problems = [], {}
        for row, text in enumerate(texts):
            try:
                found.append(label(text))
            except TextProblem as problem:
                problems[row] = str(problem)
            except SlungError:
                raise
            except Exception as error:
                # another library's message could quote the text
                problems[row] = f"{type(error).__name__} on a text of {len(text)} characters; remove the text"
        if problems:
            raise RowError(self.key, problems) from None
        return found

    def __getstate__(self):
        return {k: None if k in self.lazy else v for k, v in self.__dict__.items()}
