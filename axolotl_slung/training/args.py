"""The `slung:` key that the plugin adds to Axolotl's config, checked against the config's other keys."""

from __future__ import annotations

from pydantic import BaseModel, Field, ValidationError, model_validator

from ..config import SlungConfig
from .conflicts import check_conflicts


class SlungArgs(BaseModel):
    """The `slung:` key that the plugin adds to Axolotl's config."""

    slung: SlungConfig | None = Field(None, description="Selective loss; see axolotl-slung.")

    @model_validator(mode="before")
    @classmethod
    def _nothing_bypasses_the_loss(cls, data):
        block = data.get("slung") if isinstance(data, dict) else None
        if block is not None:
            try:
                block = SlungConfig.model_validate(block)
            except ValidationError:
                return data  # the field's own validation reports what is wrong, and where
            check_conflicts(data, block)
            block.scale()
            _check_dataset_names(data, block)
        return data


def _check_dataset_names(cfg: dict, block: SlungConfig) -> None:
    """Raise `ValueError` if a labeler names a data set that is not in the config."""
    streamed = cfg.get("pretraining_dataset") or []
    # Axolotl streams only the first of several
    streamed = streamed[:1] if isinstance(streamed, list) else [streamed]
    entries = [*streamed, *(cfg.get("datasets") or []), *(cfg.get("test_datasets") or [])]
    paths = [entry if isinstance(entry, str) else dict(entry).get("path") for entry in entries]
    for index, labeler in enumerate(block.labelers):
        for name in labeler.datasets or []:
            if name not in paths:
                raise ValueError(
                    f"slung.labelers[{index}].datasets: {name!r}: not a `path` under `datasets:`, "
                    f"expected one of {paths}"
                )
