"""Models on this machine that score or judge: their names and digests, and classifiers of the Hugging Face hub."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...errors import SlungError
from .base import Scorer


class ClassifierScorer(Scorer):
    """A Hugging Face sequence classifier on whole texts. A text of several windows gets the highest score."""

    def __init__(self, said: str, key: str, model: str, label: str, name: str | None = None):
        super().__init__()
        from ...labeling.classifier.labeler import ClassifierLabeler

        self._labeler = ClassifierLabeler(key, model, label, unit="document")
        check_labeler(said, key, self._labeler)
        self.name = name or f"classifier:{short_name(model)}#{label}"
        self.version = f"sha256 {digest_of(self._labeler.files())}, transformers {version('transformers')}"

    def _score(self, texts: list[str]) -> np.ndarray:
        # a text without tokens has no span: there is nothing that the model could read
        found = self._labeler.label(texts, [{}] * len(texts))
        return np.array([spans[0].score if spans else 0.0 for spans in found], np.float64).clip(0, 1)


def check_labeler(said: str, key: str, labeler) -> None:
    """Open a labeler. Its errors begin with the option's value instead of a YAML key."""
    try:
        labeler.check()
    except SlungError as error:
        raise SlungError(f"{said}: {str(error).removeprefix(key).lstrip('.: ')}") from error


def short_name(model: str) -> str:
    """A model's name, without the path of a local file or folder."""
    path = Path(model).expanduser()
    return path.resolve().name if path.exists() else model


def digest_of(files: Sequence[Path]) -> str:
    """12 hex digits of a single file's sha256, or of a sha256 over the digests of several files."""
    from ...labeling.identity import file_digest

    digests = [file_digest(path) for path in files]
    if len(digests) == 1:
        return digests[0][:12]
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:12]
