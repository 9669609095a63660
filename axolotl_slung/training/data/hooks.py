"""Hooks in Axolotl's data pipeline: six functions of Axolotl are wrapped by this module.

Axolotl has no plugin hook between raw rows and token ids. Its hash of prepared data ignores plugins.
For a config without a `slung:` block, each of the six functions works exactly as before.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from datasets import Dataset, IterableDataset

from ..stream_source import open_stream
from . import inexact, outcomes
from .counts import check_trained, report
from .holdout import Rows, selected
from .policy import Policy
from .pretokenized import label_pretokenized
from .row_labels import SlungDataError
from .setup import Setup
from .strategy import SlungStrategy
from .streaming import TOKENIZED_STREAM, Buffers, Mapped, OverflowTokenizer, Packed, Unpacked, check_overflow
from .tagging import TaggingTokenizer

_wrap: ContextVar = ContextVar("slung_wrap", default=None)
_run: ContextVar = ContextVar("slung_run", default=None)
_most_rows: ContextVar[int | None] = ContextVar("slung_most_rows", default=None)
_only_looking: ContextVar[bool] = ContextVar("slung_only_looking", default=False)
_rows: ContextVar[Rows | None] = ContextVar("slung_rows", default=None)
_NO_ROWS = Dataset.from_dict({})
"""Stands for a data set where only its strategy is wanted. A packed stream labels one buffer at a time."""


def install() -> None:
    """Install the hooks, once per process.

    Raises:
        RuntimeError: this version of Axolotl lacks one of the functions.
    """
    from axolotl.utils.data import sft, wrappers

    for module, name, make in (
        (sft, "_load_and_prepare_datasets", _run_hook),
        (sft, "generate_dataset_hash_from_config", _hash_hook),
        (sft, "merge_datasets", _merge_hook),
        (sft, "get_dataset_wrapper", _dataset_hook),
        (sft, "wrap_streaming_dataset", _stream_hook),
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


@contextmanager
def at_most(rows: int | None) -> Iterator[None]:
    """Let Axolotl label at most this many rows of each data set; None for all."""
    with _as(_most_rows, rows):
        yield


def opened(
    entry: Mapping, cfg: Mapping, tokenizer: Any, split: str = "train", rows: Rows = "trained"
) -> tuple[SlungStrategy | None, Dataset | IterableDataset]:
    """The strategy that labels a data set, and its rows before they are tokenized.

    The strategy is None if the rows are token ids.

    Args:
        entry: an entry of `datasets:` or `test_datasets:`.
        cfg: Axolotl's config, validated.
        tokenizer: the model's tokenizer.
        split: `train`, or `test` for an entry of `test_datasets:`, from which no rows are held out.
        rows: which rows, by `holdout_share`.
    """
    from axolotl.utils.data import sft

    # Private, but no public function of Axolotl 0.19 or 0.21 handles the split, the shards and the weight of an entry.
    # It returns the result of get_dataset_wrapper, which is slung's.
    with _as(_only_looking, True), _as(_rows, rows if split == "train" else None):
        return sft._load_and_process_single_dataset(
            entry, cfg, tokenizer, split=split, seed=cfg.get("seed") or 42, streaming=bool(cfg.get("streaming"))
        )


def opened_stream(
    entry: Mapping, cfg: Mapping, tokenizer: Any, which: Rows = "trained"
) -> tuple[SlungStrategy | None, IterableDataset]:
    """As `opened`, for the entry that `stream_source.stream_key` names. Documents are labeled whole; training cuts them."""
    from axolotl.utils.data import sft
    from axolotl.utils.dict import DictDefault

    rows, kind = selected(open_stream(entry), cfg["slung"].holdout_share or 0, which), entry.get("type") or "pretrain"
    if kind == "pretrain":
        kind, entry = "completion", {**entry, "type": "completion", "field": entry.get("text_column") or "text"}
    with _as(_only_looking, True):
        # as in `sft._load_streaming_dataset`: the type is not split at its dot
        strategy, _ = sft.get_dataset_wrapper(DictDefault(entry), tokenizer, cfg, kind, _NO_ROWS)
    return strategy, rows


@contextmanager
def _as(variable: ContextVar, value) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@dataclass
class _Run:
    """The data sets that Axolotl is preparing: those of `datasets:` (split "train") or of `test_datasets:`.

    `labeled` is true once one of them was labeled here, and not loaded as an earlier run prepared it.
    """

    tokenizer: object
    split: str
    fingerprint: str | None = None
    labeled: bool = False


def _run_hook(original: Callable) -> Callable:
    def _load_and_prepare_datasets(tokenizer, cfg, split="train", *args, **kwargs):
        if not cfg.slung:
            return original(tokenizer, cfg, split, *args, **kwargs)
        run = _Run(tokenizer, split)
        with _as(_run, run), _as(_rows, "trained" if split == "train" else None):
            train, evaluate, prompters = original(tokenizer, cfg, split, *args, **kwargs)
        if isinstance(train, Dataset):
            outcomes.warn([] if run.labeled else outcomes.kept(train))
            check_trained(train, Setup(cfg).buckets)  # again, for data that was prepared earlier, split or sharded
        return train, evaluate, prompters

    return _load_and_prepare_datasets


def _hash_hook(original: Callable) -> Callable:
    def generate_dataset_hash_from_config(cfg, cfg_datasets, tokenizer_name):
        plain = original(cfg, cfg_datasets, tokenizer_name)
        if not cfg.slung:
            return plain
        run = _run.get()
        if run.fingerprint is None:
            # a stream is never prepared, and its files may be too large to read only for a digest
            streamed = cfg.streaming and cfg_datasets is cfg.datasets
            run.fingerprint = Setup(cfg).fingerprint([] if streamed else cfg_datasets, run.tokenizer)
        return f"{plain[:16]}{run.fingerprint[:32]}"

    return generate_dataset_hash_from_config


def _merge_hook(original: Callable) -> Callable:
    def merge_datasets(datasets, cfg):
        merged = original(datasets, cfg)
        run = _run.get()
        if run and run.split == "train" and isinstance(merged, Dataset):
            check_trained(merged, Setup(cfg).buckets)  # before Axolotl drops rows without labels or saves anything
        return merged

    return merge_datasets


def _strategy_hook(original: Callable) -> Callable:
    def wrap_dataset_for_tokenized_prompt(strategy, dataset, **kwargs):
        wrap = _wrap.get()
        if wrap is None:
            return original(strategy, dataset, **kwargs)
        ours = wrap(strategy)
        if dataset is _NO_ROWS or _only_looking.get():
            return ours
        if any(labeler.most_processes is not None for labeler in ours.policy.labelers):
            kwargs["process_count"] = None  # such as one per GPU: label in this one
        return original(ours, dataset, **kwargs)

    return wrap_dataset_for_tokenized_prompt


def _labeling(
    cfg: Mapping, dataset_config: Mapping, tokenizer, text_field: str | None, prepared: bool
) -> tuple[Policy, TaggingTokenizer]:
    """The policy of one data set, and the tokenizer for its strategy."""
    setup = Setup(cfg)
    labelers = tuple(setup.labelers_of(dataset_config.get("path")))
    policy = Policy(
        labelers=labelers,
        buckets=setup.buckets,
        where=_where(cfg, dataset_config),
        text_field=text_field,
        eos=setup.config.eos,
        mask_document_starts=setup.config.mask_document_starts,
        # a stream's labels are never kept, so they need no fingerprint
        fingerprint=setup.fingerprint([dataset_config], tokenizer) if prepared else "",
        finders=tuple(sorted(setup.finders)),
        noise=setup.config.noise() if labelers else None,
    )
    overflows = str(dataset_config.get("type")).partition(".")[0] == "pretrain"
    kind = OverflowTokenizer if overflows else TaggingTokenizer
    tagging = kind(
        tokenizer, setup.buckets, setup.config.overlap, setup.code_masked, random_control=setup.config.random_control
    )
    return policy, tagging


def _dataset_hook(original: Callable) -> Callable:
    def get_dataset_wrapper(dataset_config, tokenizer, cfg, dataset_base_type, dataset, *args, **kwargs):
        if not cfg.slung:
            return original(dataset_config, tokenizer, cfg, dataset_base_type, dataset, *args, **kwargs)
        if _rows.get() is not None and dataset is not _NO_ROWS:
            dataset = selected(dataset, cfg.slung.holdout_share or 0, _rows.get())
        prepared = isinstance(dataset, Dataset) and dataset is not _NO_ROWS
        text_field = _text_field(cfg, dataset_config, dataset_base_type)
        policy, tagging = _labeling(cfg, dataset_config, tokenizer, text_field, prepared)
        if _most_rows.get() is not None and isinstance(dataset, Dataset):
            dataset = dataset.select(range(min(len(dataset), _most_rows.get())))
        columns = set(getattr(dataset, "column_names", None) or [])
        if {"input_ids", "attention_mask", "labels"} <= columns:
            if not prepared:
                raise SlungDataError(TOKENIZED_STREAM.format(where=policy.where))
            dataset = label_pretokenized(dataset, policy, tagging)
        wrapped = []

        def wrap(strategy) -> SlungStrategy:
            wrapped.append(SlungStrategy(strategy, policy))
            return wrapped[-1]

        with _as(_wrap, wrap):
            result = original(dataset_config, tagging, cfg, dataset_base_type, dataset, *args, **kwargs)
        if not wrapped and "labels" not in columns:
            raise SlungDataError(
                f"{policy.where}.type: {dataset_config.get('type')}: not supported with `slung:`; use completion, "
                "the alpaca family, chat_template, input_output, a type defined in the config, or tokenized data"
            )
        if _only_looking.get():
            return (wrapped[-1] if wrapped else None), dataset
        if prepared:
            labeled = outcomes.take(inexact.take(result[0], policy.where), policy)
            result = (labeled, *result[1:])
            report(labeled, policy.buckets, policy.where)
            if _run.get() is not None:
                _run.get().labeled = True
        return result

    return get_dataset_wrapper


def _stream_hook(original: Callable) -> Callable:
    def wrap_streaming_dataset(dataset, tokenizer, cfg, ds_wrapper_fn):
        if not cfg.slung:
            return original(dataset, tokenizer, cfg, ds_wrapper_fn)
        dataset = selected(dataset, cfg.slung.holdout_share or 0)
        if cfg.sample_packing:
            strategy, _ = ds_wrapper_fn(dataset=_NO_ROWS)
            if isinstance(strategy.tokenizer, OverflowTokenizer):
                check_overflow(tokenizer, strategy.policy.where)
            dataset = Mapped(dataset, functools.partial(Packed, seed=cfg.seed), with_indices=True)
            return original(dataset, tokenizer, cfg, Buffers(strategy, cfg.sequence_len))
        entry = cfg.pretraining_dataset[0]
        policy, tagging = _labeling(cfg, entry, tokenizer, _text_field(cfg, entry, "pretrain"), prepared=False)

        def unpacked(encode):
            options = {name: encode.keywords[name] for name in ("max_tokens", "text_column", "concatenate")}
            return Unpacked(tagging, policy, **options)

        return original(Mapped(dataset, unpacked), tokenizer, cfg, ds_wrapper_fn)

    return wrap_streaming_dataset


def _where(cfg, dataset_config) -> str:
    for key in ("pretraining_dataset", "datasets", "test_datasets"):
        for index, entry in enumerate(cfg.get(key) or []):
            # a stream has one entry, and its type may be left out
            same = key == "pretraining_dataset" or entry.get("type") == dataset_config.get("type")
            if same and entry.get("path") == dataset_config.get("path"):
                return f"{key}[{index}]"
    return "datasets"


def _text_field(cfg, dataset_config, base_type) -> str | None:
    """The name of the string that holds a row's text, or None if the type has several."""
    if base_type == "pretrain":
        return cfg.pretraining_dataset[0].get("text_column") or "text"
    if base_type == "completion":
        return dataset_config.get("field") or "text"
    if base_type == "chat_template":
        return (dataset_config.get("message_property_mappings") or {}).get("content") or "content"
    if base_type == "input_output":
        return "text"
    return None
