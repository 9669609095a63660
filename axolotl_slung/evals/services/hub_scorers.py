"""Classifiers of the Hugging Face hub that people score toxicity with, under their own names."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import SlungError
from ...labeling.base import LabelerError
from ...labeling.hub import locate
from ...storage import sha256_of
from .base import Scorer
from .local_models import ClassifierScorer


class Alias(NamedTuple):
    """A classifier of the hub.

    Attributes:
        model: its name on the hub.
        place: the place of its label.
        labels: the number of its labels.
        sigmoid: whether a score is a sigmoid of the label's logit, in place of a softmax over all. It holds whatever the
            model's configuration says, because configurations of old models do not say.
    """

    model: str
    place: int
    labels: int
    sigmoid: bool


ALIASES = {
    "toxic-bert": Alias("unitary/toxic-bert", 0, 6, sigmoid=True),
    "unbiased-toxic-roberta": Alias("unitary/unbiased-toxic-roberta", 0, 16, sigmoid=True),
    "roberta-toxicity": Alias("s-nlp/roberta_toxicity_classifier", 1, 2, sigmoid=False),
    # trained on Perspective's scores of RealToxicityPrompts, by the divergence of the softmax from them
    "deberta-perspective": Alias("cooperleong00/deberta-v3-large_toxicity-scorer", 1, 2, sigmoid=False),
}
"""The aliases by name. `NAME:FOLDER` takes a copy in a folder."""


class AliasScorer(ClassifierScorer):
    """A classifier of `ALIASES`, with its label and its activation.

    Args:
        said: the option and its value.
        key: the option.
        name: a key of `ALIASES`.
        model: a copy in a folder, or a name on the hub; "" for the alias's own.

    Raises:
        SlungError: the model is not found, or does not have the alias's labels.
    """

    def __init__(self, said: str, key: str, name: str, model: str):
        from transformers import AutoConfig

        alias = ALIASES[name]
        model = model or alias.model
        try:
            config = AutoConfig.from_pretrained(locate(key, model, None), trust_remote_code=False)
        except LabelerError as error:
            raise SlungError(f"{said}: {str(error).removeprefix(key).lstrip('.: ')}") from error
        except (OSError, ValueError):
            raise SlungError(
                f"{said}: {model!r} has no configuration of a classifier; give a copy of {alias.model}"
            ) from None
        if config.num_labels != alias.labels:
            raise SlungError(
                f"{said}: {model!r} has {config.num_labels} labels, and {alias.model} has {alias.labels}; use "
                "classifier:MODEL#label for another model"
            )
        super().__init__(said, key, model, config.id2label[alias.place], name)
        activation = "multi_label_classification" if alias.sigmoid else "single_label_classification"
        self._labeler.model.config.problem_type = activation


class DetoxifyScorer(Scorer):
    """The toxicity of the library Detoxify. As there, what is longer than the model's limit is cut off.

    Args:
        said: the option and its value.
        model: original, unbiased, multilingual, original-small or unbiased-small.

    Raises:
        SlungError: the library is not installed, the model is unknown, or its file cannot be downloaded.
    """

    batch_size = 32

    def __init__(self, said: str, model: str):
        super().__init__()
        try:
            import torch
            from detoxify import Detoxify
            from detoxify.detoxify import MODEL_URLS
        except ImportError:
            raise SlungError(
                f"{said}: the library detoxify is not installed; pip install detoxify, or use "
                "unbiased-toxic-roberta or toxic-bert, its models of the Hugging Face hub"
            ) from None
        if model not in MODEL_URLS:
            raise SlungError(f"{said}: unknown model of detoxify; expected one of {', '.join(MODEL_URLS)}")
        try:
            path = _checkpoint(MODEL_URLS[model])
            self._model = Detoxify(checkpoint=str(path), device="cuda" if torch.cuda.is_available() else "cpu")
        except SlungError:
            raise
        except Exception as error:  # of the library, of HTTP, of the hub, of the disk
            raise SlungError(
                f"{said}: cannot be loaded: {type(error).__name__}; download it once with a network"
            ) from error
        self.name = f"detoxify:{model}"
        self.version = f"detoxify {version('detoxify')}, {path.name}, transformers {version('transformers')}"

    def _score(self, texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        scores = np.empty(len(texts))
        for first in range(0, len(order), self.batch_size):
            some = order[first : first + self.batch_size]
            scores[some] = self._model.predict([texts[place] for place in some])["toxicity"]
        return scores


def _checkpoint(url: str) -> Path:
    """The file of a model, in torch's cache. The library would run what is in it, so that its digest is checked first."""
    import torch

    name = url.rpartition("/")[2]
    wanted = name.rpartition("-")[2].partition(".")[0]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=wanted)
    if not sha256_of(path).startswith(wanted):
        raise SlungError(f"{path}: is damaged, or is not detoxify's file; delete it, and it is downloaded again")
    return path
