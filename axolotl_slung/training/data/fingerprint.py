"""One digest of everything that decides a data set's labels. If any of it changes, the data set is prepared again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from axolotl.common.const import DEFAULT_DATASET_PREPARED_PATH
from axolotl.utils.chat_templates import get_chat_template_from_config
from datasets import config as datasets_config

from ... import __version__
from ...labeling.identity import digest_of, file_digest, sources, versions
from .local_files import local_files

_SOURCES = ("labeling", "labels", "training/data")
"""The source of this package that decides labels."""

_PACKAGES = ("axolotl", "transformers", "tokenizers", "jinja2")
"""The packages that turn rows into token ids. Labelers name the packages that they use."""

_KEYS = (
    *("eval_sequence_len", "excess_length_strategy", "min_sample_len"),
    *("seed", "curriculum_sampling", "shuffle_merged_datasets", "shuffle_before_merging_datasets"),
)
"""Keys that decide which tokens are kept, and the order of the rows, and that Axolotl's own hash leaves out."""


def fingerprint(cfg: Mapping, block: Mapping, labelers: Iterable, entries: Sequence[Mapping], tokenizer: Any) -> str:
    """A digest of everything that decides the labels of data sets.

    Files, templates and the tokenizer count by content.

    Args:
        cfg: Axolotl's config, validated.
        block: the resolved `slung:` block without its labelers, JSON-able.
        labelers: for each labeler its digest and its data sets, JSON-able.
        entries: the data sets, as in `datasets:`.
        tokenizer: the model's tokenizer, as Axolotl loaded it.

    Returns:
        64 hex digits.
    """
    outputs = [cfg.get("dataset_prepared_path") or DEFAULT_DATASET_PREPARED_PATH, datasets_config.HF_DATASETS_CACHE]
    outputs += filter(None, [cfg.get("output_dir")])
    parts = {
        "software": [__version__, sources(*_SOURCES), versions(_PACKAGES)],
        "block": block,
        "labelers": list(labelers),
        "keys": {key: cfg.get(key) for key in _KEYS},
        "tokenizer": tokenizer_digest(tokenizer),
        "entries": [
            [entry, _template(cfg, entry, tokenizer), _digests(local_files(entry, outputs))] for entry in entries
        ],
    }
    return digest_of(parts)


def _digests(files: Iterable[tuple[str, Path]]) -> list[tuple[str, str]]:
    return [(name, file_digest(path)) for name, path in files]


def _template(cfg, entry, tokenizer):
    """The text of the data set's chat template, from whichever file holds it. None if it has no template."""
    try:
        return get_chat_template_from_config(cfg=cfg, ds_cfg=entry, tokenizer=tokenizer)
    except ValueError:
        return None  # Axolotl raises an error for types that need a template


def tokenizer_digest(tokenizer: Any) -> str:
    """64 hex digits that stand for everything that decides a text's token ids.

    Args:
        tokenizer: a tokenizer of Transformers. Labeling needs a fast one; of a slow one, only a part counts.
    """
    state = None
    if getattr(tokenizer, "is_fast", False):
        written = tokenizer.backend_tokenizer.to_str()
        # truncation and padding come before it, and every call sets them
        written = written[max(0, written.find('"added_tokens"')) :]
        state = hashlib.sha256(written.encode()).hexdigest()
    parts = {
        "class": type(tokenizer).__name__,
        "state": state,
        "special": tokenizer.special_tokens_map,
        "template": getattr(tokenizer, "chat_template", None),
        # the tokens that a call adds to a text
        "call": dict(tokenizer("a")),
        "settings": {name: getattr(tokenizer, name, None) for name in ("split_special_tokens", "truncation_side")},
    }
    return digest_of(parts)
