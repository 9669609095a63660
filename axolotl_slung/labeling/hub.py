"""Models of the Hugging Face hub: their files, and labelers that run one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import first_line
from .base import Labeler, LabelerError

_OLD_WEIGHTS = "pytorch_model*.bin"
# everything that determines the labels, and nothing that would be run
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")


def locate(key: str, source: str, revision: str | None) -> Path:
    """The folder of a model's files, downloaded into the hub's cache if necessary.

    Args:
        key: the labeler's place in the YAML.
        source: a folder, or the name of a model on the hub.
        revision: commit, tag or branch on the hub.

    Raises:
        LabelerError: the model is not found.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise LabelerError(
                f"{key}.revision: {revision!r}: {source} is a folder without revisions; remove `revision`"
            )
        return folder
    from huggingface_hub import snapshot_download

    what = {"revision": revision, "ignore_patterns": ["*/*"]}
    try:
        folder = Path(snapshot_download(source, allow_patterns=list(_FILES), **what))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(source, allow_patterns=[*_FILES, _OLD_WEIGHTS], **what))
    except Exception as error:  # from the hub, from HTTP, from the disk
        # use the cached files; if some are missing, loading them fails
        if (folder := _cached(source, revision)) is None:
            raise LabelerError(
                f"{key}.model: {source!r}: is not a folder here, and cannot be downloaded from the Hugging Face hub: "
                f"{first_line(error)}"
            ) from error
    return folder


def _cached(source: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        config = try_to_load_from_cache(source, "config.json", revision=revision)
    except ValueError:  # not a model's name
        return None
    return Path(config).parent if isinstance(config, str) else None


def files_of(folder: Path) -> list[Path]:
    """A model's weights, configuration and tokenizer."""
    return sorted({path.resolve() for name in (*_FILES, _OLD_WEIGHTS) for path in folder.glob(name)})


class HubLabeler(Labeler):
    """A labeler that runs a model from a folder or the hub. The model is on the GPU, if any, only while it labels.

    Args:
        key: the labeler's place in the YAML.
        model: a folder, or the name of a model on the Hugging Face hub (stored in the hub's own cache).
        revision: commit, tag or branch of a model on the hub.
        floor: the lowest score that gets a span; 0 for all.
        thresholds: the scores at which buckets begin. None may be below `floor`.

    Attributes:
        device: where the model runs.
    """

    cached = True
    lazy = ("_model",)

    def __init__(self, key: str, model: str, revision: str | None, floor: float, thresholds: Sequence[float]):
        super().__init__(key)
        self.source = model
        self.revision = revision
        self.floor = floor
        self.thresholds = tuple(thresholds)
        self.folder: Path | None = None
        self.device = "cpu"
        self._model: Any = None
        self._in_worker = False

    def __setstate__(self, state):
        vars(self).update(state, _in_worker=True)

    def check(self) -> None:
        """Download the model if necessary, load it and check that it has the labels. The GPU is not used yet."""
        import torch

        lowest = min(self.thresholds, default=1.0)
        if 0 < lowest < self.floor:
            raise LabelerError(
                f"{self.key}.floor: {self.floor:g}: is above {lowest:g}, where a bucket begins: what lies between the two "
                f"would have no span; set `floor: {lowest:g}` or lower, or raise the bucket's bound"
            )
        self.folder = locate(self.key, self.source, self.revision)
        self.model  # noqa: B018
        if torch.cuda.is_available() or torch.backends.mps.is_available():
            self.device = "cuda" if torch.cuda.is_available() else "mps"
            # a process per GPU: each further one would put its own copy of the model on the same GPU
            self.most_processes = max(1, torch.cuda.device_count())

    def files(self) -> list[Path]:
        """The model's weights, configuration and tokenizer. They exist after `check`."""
        return [] if self.folder is None else files_of(self.folder)

    @property
    def model(self) -> Any:
        """The model, loaded on first use."""
        if self._model is None:
            self.folder = self.folder or locate(self.key, self.source, self.revision)
            if self._in_worker:
                self._prepare_worker()
            self._model = self._load(self.folder)
        return self._model

    @abstractmethod
    def _load(self, folder: Path) -> Any:
        """The model in memory, on the CPU. Raises `LabelerError`."""

    def _prepare_worker(self) -> None:
        import torch

        if self.device != "cpu":
            raise LabelerError(
                f"{self.key}: worker processes cannot share the GPU; use one process (`slung label -j 1`), or set "
                'CUDA_VISIBLE_DEVICES="" to label on the CPU'
            )
        # each core already has a process, and after a fork torch would wait for threads that do not exist
        torch.set_num_threads(1)
