"""The table of labelers: the one place that says which there are, where they are and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from .base import Labeler, LabelerError


@dataclass(frozen=True)
class Entry:
    """A labeler that the `slung:` block knows by its type.

    Attributes:
        module: where its class is, in `axolotl_slung.labeling`.
        class_name: a subclass of `Labeler`; its `__init__` takes the keys of the labeler's config block.
        requires: packages that it cannot work without, by the names that `import` takes.
        extra: the extra of this package that installs those; None where the package itself does.
    """

    module: str
    class_name: str
    requires: tuple[str, ...] = ()
    extra: str | None = None

    def load(self) -> type[Labeler]:
        """The class. Its module is imported here, so that a run pays only for the labelers that it uses."""
        return getattr(import_module(f".{self.module}", __package__), self.class_name)


_SENTENCES = ("livekit", "numba")
"""What cutting texts into sentences requires."""

LABELERS = {
    "fasttext": Entry("fasttext", "FastTextLabeler", requires=("fasttext", *_SENTENCES)),
    "entities": Entry("entities", "EntitiesLabeler", requires=("ahocorasick_rs", "regex")),
    "patterns": Entry("patterns", "PatternsLabeler", requires=("regex",)),
    "spans": Entry("spans", "SpansLabeler"),
    "dolma": Entry("dolma", "DolmaLabeler", requires=("zstandard",)),
    "classifier": Entry("classifier", "ClassifierLabeler", requires=("torch", "transformers", *_SENTENCES)),
    "presidio": Entry("presidio", "PresidioLabeler", requires=("presidio_analyzer", "spacy"), extra="presidio"),
    "profanity": Entry("profanity", "ProfanityLabeler", requires=_SENTENCES),
    "custom": Entry("custom", "CustomLabeler"),
}
"""By the `type` of the YAML; each has a config block in `config.py`."""


def check_installed(kind: str, key: str) -> None:
    """See that what a labeler imports is installed, without importing it.

    Args:
        kind: a type of `LABELERS`.
        key: what errors begin with, such as `slung.labelers[0]`.

    Raises:
        LabelerError: a package is missing; the message says how to install it.
    """
    entry = LABELERS[kind]
    missing = [name for name in entry.requires if find_spec(name) is None]
    if missing:
        package = "axolotl-slung" if entry.extra is None else f"'axolotl-slung[{entry.extra}]'"
        raise LabelerError(f"{key}: {kind}: {', '.join(missing)} cannot be imported; pip install {package}")
