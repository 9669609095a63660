"""Scores words with a student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..base import Labeler, Span
from .file import Student, read
from .model import scores_of, spans_of
from .words import words_of

BUNDLED = Path(__file__).with_name("toxic_spans.npz")
"""The student for toxic words that comes with the package; docs/students.md has its card."""


class StudentLabeler(Labeler):
    """The probability of each word that a student of `slung distill` gives, from the word and the 50 words on each side.

    White space between two words that have spans has the lower of their scores, so words that are risky together are one
    stretch at any threshold. Words below the file's `floor` have no span.

    Args:
        key: the labeler's place in the YAML.
        model: the student's file.
    """

    scope = "document"
    lazy = ("_student",)

    def __init__(self, key: str, model: str):
        super().__init__(key)
        self.path = Path(model).expanduser()
        self._said = f"{key}.model"
        self._student: Student | None = None

    def check(self) -> None:
        """Read and check the file."""
        self._student = read(self._said, self.path)

    def files(self) -> list[Path]:
        """The student's file."""
        return [self.path]

    @property
    def student(self) -> Student:
        """What the file holds, read on first use."""
        if self._student is None:
            self.check()
        assert self._student is not None
        return self._student

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """A span per word at or above the floor, and per stretch of white space between two; see `Labeler.label`."""
        words = words_of(texts)
        return spans_of(words, scores_of(words, self.student), self.student.card["floor"])


class ToxicSpansLabeler(StudentLabeler):
    """Toxic English words, by the student that comes with the package: offline, without a GPU.

    Args:
        key: the labeler's place in the YAML.
    """

    def __init__(self, key: str):
        super().__init__(key, str(BUNDLED))
        self._said = key


def cuts_of(said: str, path: str) -> tuple[float, float]:
    """The cuts that a student's file was made with.

    Raises:
        SlungError: the file cannot be used.
    """
    low, high = read(said, Path(path).expanduser()).card["cuts"]
    return low, high
