"""The table of labelers: the one list of their types, modules and requirements."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from .base import Labeler, LabelerError


@dataclass(frozen=True)
class Entry:
    """A labeler that the `slung:` block names by its type.

    Attributes:
        module: the module of its class, in `axolotl_slung.labeling`.
        class_name: a subclass of `Labeler`. Its `__init__` takes the keys of the labeler's config block.
        requires: the packages that it needs, by their import names.
        extra: the extra of this package that installs them; None if the package itself does.
    """

    module: str
    class_name: str
    requires: tuple[str, ...] = ()
    extra: str | None = None

    def load(self) -> type[Labeler]:
        """The class. Its module is imported here: a run only imports the labelers that it uses."""
        return getattr(import_module(f".{self.module}", __package__), self.class_name)


_SENTENCES = ("livekit", "numba")
"""The packages that splitting texts into sentences requires."""

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
"""Keys are the `type` in the YAML. Each has a config block in `config.py`."""


def check_installed(kind: str, key: str) -> None:
    """Check that the packages that a labeler requires are installed, without importing them.

    Args:
        kind: a type of `LABELERS`.
        key: the beginning of errors, such as `slung.labelers[0]`.

    Raises:
        LabelerError: a package is missing. The message says how to install it.
    """
    entry = LABELERS[kind]
    missing = [name for name in entry.requires if find_spec(name) is None]
    if missing:
        package = "." if entry.extra is None else f"'.[{entry.extra}]'"
        raise LabelerError(
            f"{key}: {kind}: {', '.join(missing)} cannot be imported; pip install {package} in the clone of axolotl-slung"
        )
