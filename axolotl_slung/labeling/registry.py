"""The table of labelers: the one list of their types, modules and requirements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import count

from .base import Labeler, LabelerError
from .scores import ANY, Cuts


@dataclass(frozen=True)
class Entry:
    """A labeler that the `slung:` block names by its type.

    Attributes:
        module: the module of its class, in `axolotl_slung.labeling`.
        class_name: a subclass of `Labeler`. Its `__init__` takes the keys of the labeler's config block.
        requires: the packages that it needs, by their import names.
        extra: the extra of this package that installs them; None if the package itself does.
        scores: what its scores mean, as docs/labelers.md says it.
        cuts: the cuts that were made for its scores. None: they depend on its model or its data, so the config says.
    """

    module: str
    class_name: str
    scores: str
    cuts: Cuts | None = None
    requires: tuple[str, ...] = ()
    extra: str | None = None

    def load(self) -> type[Labeler]:
        """The class. Its module is imported here: a run only imports the labelers that it uses."""
        return getattr(import_module(f".{self.module}", __package__), self.class_name)


_SENTENCES = ("livekit", "numba")
"""The packages that splitting texts into sentences requires."""

_PROBABILITY, _CONFIDENCE, _FIND = "a model's probability", "a fixed confidence per rule", "always 1: a find"
_GIVEN = "whatever was given"

LABELERS = {
    # the cuts of its alias are in `blocks.py`
    "fasttext": Entry("fasttext", "FastTextLabeler", _PROBABILITY, requires=("fasttext", *_SENTENCES)),
    "entities": Entry("entities", "EntitiesLabeler", _FIND, ANY, requires=("ahocorasick_rs", "numba", "regex")),
    "patterns": Entry("patterns", "PatternsLabeler", _CONFIDENCE, ANY, requires=("phonenumbers", "re2", "regex")),
    "spans": Entry("spans", "SpansLabeler", _GIVEN),
    "dolma": Entry("dolma", "DolmaLabeler", _GIVEN, requires=("zstandard",)),
    "classifier": Entry(
        "classifier", "ClassifierLabeler", _PROBABILITY, requires=("torch", "transformers", *_SENTENCES)
    ),
    "gliner": Entry(
        "gliner", "GlinerLabeler", _PROBABILITY, requires=("gliner", "torch", "transformers"), extra="gliner"
    ),
    "presidio": Entry(
        "presidio", "PresidioLabeler", _CONFIDENCE, ANY, requires=("presidio_analyzer", "spacy"), extra="presidio"
    ),
    # docs/labelers.md says what was measured
    "profanity": Entry("profanity", "ProfanityLabeler", _PROBABILITY, (0.2, 0.9), requires=_SENTENCES),
    # the cuts of a student are in its file
    "student": Entry("student", "StudentLabeler", _PROBABILITY, requires=("numba",)),
    "toxic_spans": Entry("student", "ToxicSpansLabeler", _PROBABILITY, (0.22, 0.52), requires=("numba",)),
    "custom": Entry("custom", "CustomLabeler", _GIVEN),
}
"""Keys are the `type` in the YAML. Each has a config block in `blocks.py`."""


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


def names_of(configs: Sequence) -> list[str]:
    """The name for each labeler's scores: its `name`, or its type, with a number if the type is already used."""
    names = [config.name for config in configs]
    for index, config in enumerate(configs):
        if names[index] is None:
            tries = (config.type if n == 1 else f"{config.type}_{n}" for n in count(1))
            names[index] = next(name for name in tries if name not in names)
    return names
