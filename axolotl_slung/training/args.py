"""The `slung:` key that the plugin adds to Axolotl's config, checked against the config's other keys."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field, model_validator

from ..config import SlungConfig
from ..errors import SlungError, closest
from ..faults import checked
from .conflicts import conflicts_of


class SlungArgs(BaseModel):
    """The `slung:` key that the plugin adds to Axolotl's config."""

    slung: SlungConfig | None = Field(None, description="Selective loss; see axolotl-slung.")

    @model_validator(mode="before")
    @classmethod
    def _nothing_bypasses_the_loss(cls, data):
        if isinstance(data, dict) and data.get("slung") is not None:
            check_config(data)
        return data


def check_config(cfg: Mapping) -> None:
    """Check the `slung:` block and the config's other keys, as they are in the YAML.

    Raises:
        SlungError: something is wrong. The message has a line for each fault of the block and for each conflict.
    """
    errors, block = [], None
    try:
        block = checked(cfg["slung"].to_dict() if hasattr(cfg["slung"], "to_dict") else cfg["slung"])
    except SlungError as error:
        errors += error.args
    errors += [
        f"plugins: {plugin}: is not a plugin; did you mean axolotl_slung.SlungPlugin?"
        for plugin in _listed(cfg, "plugins")
        if str(plugin).startswith("axolotl_slung") and not str(plugin).endswith(".SlungPlugin")
    ]
    errors += conflicts_of(cfg, block)
    if block is not None:
        errors += _unknown_datasets(cfg, block)
        try:
            block.scale()
        except SlungError as error:
            errors += error.args
    if errors:
        raise SlungError(*errors)


def _listed(cfg: Mapping, key: str) -> list:
    """A list of the config. Axolotl reports any other kind of value."""
    return cfg[key] if isinstance(cfg.get(key), list) else []


def _path_of(entry) -> str | None:
    return entry.get("path") if isinstance(entry, Mapping) else getattr(entry, "path", None)


def _unknown_datasets(cfg: Mapping, block: SlungConfig) -> list[str]:
    """An error for each data set that a labeler names and that is not in the config."""
    streamed = cfg.get("pretraining_dataset") or []
    # Axolotl streams only the first of several
    streamed = streamed[:1] if isinstance(streamed, list) else [streamed]
    entries = [*streamed, *_listed(cfg, "datasets"), *_listed(cfg, "test_datasets")]
    paths = [entry if isinstance(entry, str) else _path_of(entry) for entry in entries]
    errors = []
    for index, labeler in enumerate(block.labelers):
        for name in labeler.datasets or []:
            if name not in paths:
                # often only the folder is missing
                ends = [path for path in paths if str(path).rpartition("/")[2] == name.rpartition("/")[2]]
                meant = ends[0] if len(ends) == 1 else closest(name, filter(None, paths))
                guess = f"did you mean {meant!r}?" if meant else "give one of them"
                errors.append(
                    f"slung.labelers[{index}].datasets: {name!r}: not a `path` under `datasets:`, which are {paths}; "
                    f"{guess}"
                )
    return errors
