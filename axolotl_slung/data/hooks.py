"""Where Axolotl's data pipeline meets the labels: three functions of Axolotl that ask this module first.

Axolotl has no plugin hook between raw rows and token ids, and its prepared-data hash does not know of plugins.
Each of the three does exactly what it did before for a config without a `slung:` block.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar

from .pretokenised import label_pretokenised
from .setup import Setup
from .statistics import report
from .strategy import SlungDataError, SlungStrategy
from .tagging import TaggingTokenizer

_wrap: ContextVar = ContextVar("slung_wrap", default=None)
inspector: ContextVar = ContextVar("slung_inspector", default=None)
"""Where set, it makes the tokenizer and is called with each data set and its strategy (see `report/of_config.py`)."""


def install() -> None:
    """Put the three hooks in place, once a process.

    Raises:
        RuntimeError: this Axolotl has other seams.
    """
    from axolotl.utils.data import sft, wrappers

    for module, name, make in (
        (sft, "generate_dataset_hash_from_config", _hash_hook),
        (sft, "get_dataset_wrapper", _dataset_hook),
        (wrappers, "wrap_dataset_for_tokenized_prompt", _strategy_hook),
    ):
        original = getattr(module, name, None)
        if original is None:
            raise RuntimeError(
                f"slung: this version of Axolotl has no {module.__name__}.{name}; install one that the README lists"
            )
        if not hasattr(original, "__slung__"):
            hook = functools.wraps(original)(make(original))
            hook.__slung__ = True
            setattr(module, name, hook)


def _hash_hook(original):
    def generate_dataset_hash_from_config(cfg, cfg_datasets, tokenizer_name):
        plain = original(cfg, cfg_datasets, tokenizer_name)
        if not cfg.slung:
            return plain
        return f"{plain[:16]}{Setup(cfg).fingerprint(cfg_datasets)[:32]}"

    return generate_dataset_hash_from_config


def _strategy_hook(original):
    def wrap_dataset_for_tokenized_prompt(strategy, dataset, **kwargs):
        wrap = _wrap.get()
        return original(wrap(strategy) if wrap else strategy, dataset, **kwargs)

    return wrap_dataset_for_tokenized_prompt


def _dataset_hook(original):
    def get_dataset_wrapper(dataset_config, tokenizer, cfg, dataset_base_type, dataset, *args, **kwargs):
        if not cfg.slung:
            return original(dataset_config, tokenizer, cfg, dataset_base_type, dataset, *args, **kwargs)
        setup = Setup(cfg)
        where = _where(cfg, dataset_config)
        labelers = setup.labelers_of(dataset_config.get("path"))
        inspect = inspector.get()
        tagging = (inspect.tokenizer if inspect else TaggingTokenizer)(tokenizer, setup.buckets, setup.config.overlap, setup.code_masked)
        columns = set(getattr(dataset, "column_names", None) or [])
        if {"input_ids", "attention_mask", "labels"} <= columns:
            dataset = label_pretokenised(dataset, labelers, tagging, setup.buckets, where)
        wrapped = []

        def wrap(strategy):
            wrapped.append(strategy)
            ours = SlungStrategy(
                strategy,
                labelers=labelers,
                buckets=setup.buckets,
                where=where,
                text_field=_text_field(dataset_config, dataset_base_type),
                eos=setup.config.eos,
                mask_document_starts=setup.config.mask_document_starts,
                fingerprint=setup.fingerprint([dataset_config]),
            )
            if inspect:
                inspect(ours, dataset)
            return ours

        token = _wrap.set(wrap)
        try:
            result = original(dataset_config, tagging, cfg, dataset_base_type, dataset, *args, **kwargs)
        finally:
            _wrap.reset(token)
        if not wrapped and "labels" not in columns:
            raise SlungDataError(
                f"{where}.type: {dataset_config.get('type')} is not supported with `slung:`; supported are completion, "
                "the alpaca family, chat_template, input_output, types defined in the config, and tokenised data"
            )
        report(result[0], setup.buckets, where)
        return result

    return get_dataset_wrapper


def _where(cfg, dataset_config) -> str:
    for key in ("datasets", "test_datasets"):
        for index, entry in enumerate(cfg.get(key) or []):
            if entry.get("path") == dataset_config.get("path") and entry.get("type") == dataset_config.get("type"):
                return f"{key}[{index}]"
    return "datasets"


def _text_field(dataset_config, base_type) -> str | None:
    """The string of a row that carries its text, where the type has one."""
    if base_type == "completion":
        return dataset_config.get("field") or "text"
    if base_type == "chat_template":
        return (dataset_config.get("message_property_mappings") or {}).get("content") or "content"
    if base_type == "input_output":
        return "text"
    return None
