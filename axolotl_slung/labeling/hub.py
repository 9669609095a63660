"""The files of a model: a folder on this machine, or a model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from ..errors import first_line
from .base import LabelerError

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
