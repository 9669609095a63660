"""Streamed data sets: raw documents become windows of labeled tokens, one buffer at a time.

Axolotl streams in four ways. Each gets the same windows as in Axolotl. A document is labeled whole before it is cut.

| config | windows | made by |
|---|---|---|
| `pretraining_dataset:` | the start of a document, or the starts of several documents joined | `Unpacked` |
| `pretraining_dataset:`, packed | overlapping windows of a document, packed | `OverflowTokenizer`, `Packed` |
| `datasets:` and `streaming: true`, packed | those of the data set's type, packed | `Buffers`, `Packed` |
| `datasets:` and `streaming: true` | those of the data set's type | `SlungStrategy`, as without streaming |

Everything here is pickled for the workers of a data loader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tokenizers
import torch
from datasets import Dataset, concatenate_datasets
from torch.utils.data import get_worker_info

from ...errors import few
from ...labels.codec import IGNORE
from ..log import get_logger
from .policy import Policy
from .row_labels import SlungDataError
from .strategy import SlungStrategy
from .tagging import TaggingTokenizer

LOG = get_logger(__name__)

TOKENIZED_STREAM = (
    "{where}: it is already tokenized, and its labels cannot be checked in a stream; take `streaming: true` out of the "
    "config, or stream raw text"
)

_DOCUMENTS = 256
"""Documents labeled and tokenized at a time. As Python lists, a whole buffer would take many times its size."""


class Mapped:
    """An iterable data set whose `map` replaces the function it is given.

    `axolotl.utils.data.streaming.wrap_streaming_dataset` shuffles a data set and maps Axolotl's encoding over it.
    With this data set it does the same, but maps slung's encoding.

    Args:
        dataset: the raw documents.
        replace: makes slung's encoding from Axolotl's.
        options: more arguments for the data set's `map`.
    """

    def __init__(self, dataset, replace: Callable[[Callable], Callable], **options):
        self._dataset, self._replace, self._options = dataset, replace, options
        self.features = dataset.features

    def __iter__(self):
        return iter(self._dataset)

    def shuffle(self, **options) -> Mapped:
        return Mapped(self._dataset.shuffle(**options), self._replace, **self._options)

    def map(self, function: Callable, **options) -> Any:
        return self._dataset.map(self._replace(function), **options, **self._options)


# ------------------------------------------------------------------------------------------------------------- packed


class OverflowTokenizer(TaggingTokenizer):
    """Cuts whole documents into overlapping windows when the type `pretrain` asks for them."""

    def __call__(self, text=None, *args, **kwargs):
        if not isinstance(text, list) or not kwargs.get("return_overflowing_tokens"):
            return super().__call__(text, *args, **kwargs)
        if self.rendered is not None:
            self.rendered.extend(map(str, text))
            return {"input_ids": [[0] for _ in text], "attention_mask": [[1] for _ in text]}
        windows = [window for document in text for window in self._windows(document, **kwargs)]
        return {"input_ids": windows, "attention_mask": [[1] * len(ids) for ids in windows]}

    def _windows(self, text, stride, **kwargs):
        """The tokenizer's own windows of a document, recorded one by one."""
        options = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        encoding = self.offsets.untrimmed([text], stride=stride, **options, **kwargs)
        windows, offsets, special = (encoding[key] for key in ("input_ids", "offset_mapping", "special_tokens_mask"))
        if any(map(self.offsets.has_suspects, windows)):
            offsets = self._exact(text, windows, offsets, special, stride)
        return [self.note(text, ids, of_window) for ids, of_window in zip(windows, offsets)]

    def _exact(self, text, windows, offsets, special, stride):
        """The windows' offsets, as exact as `Offsets` makes the offsets of a whole text."""
        whole, of_whole = self.offsets(text, add_special_tokens=False)
        exact, position = [], 0
        for ids, of_window, is_special in zip(windows, offsets, special):
            inside = [index for index, flag in enumerate(is_special) if not flag]
            there = slice(position, position + len(inside))
            if whole["input_ids"][there] == [ids[index] for index in inside]:
                found = dict(zip(inside, of_whole[there]))
                of_window = [found.get(index, (0, 0)) for index in range(len(ids))]
            # else the offsets stay: they may cover too many characters, but never too few
            exact.append(of_window)
            position += len(inside) - stride
        return exact


def check_overflow(tokenizer: Any, where: str) -> None:
    """Warn if this version of tokenizers loses most of a long document (0.23.1 and 0.23.2 do, its issue 2091)."""
    text = "a " * 100
    windows = tokenizer(text, truncation=True, max_length=20, stride=0, return_overflowing_tokens=True)["input_ids"]
    if len(windows) < len(tokenizer(text)["input_ids"]) // 20:
        LOG.warning(
            "slung: %s: tokenizers %s loses everything after a document's first window, with and without slung; "
            "install version 0.23.3, which Axolotl 0.21 brings",
            where,
            tokenizers.__version__,
        )


class NothingLeft(Exception):
    """A buffer of documents has no window left to pack."""


class Buffers:
    """Tokenizes and labels one buffer of documents. Replaces Axolotl's `get_dataset_wrapper`.

    Args:
        strategy: tokenizes and labels.
        length: the maximum number of tokens in a window.
    """

    def __init__(self, strategy: SlungStrategy, length: int):
        self.strategy, self.length = strategy, length

    def __call__(self, dataset: Dataset):
        """The windows of raw documents as a data set, and None.

        Raises:
            NothingLeft: no window has 2 to `length` tokens. Axolotl packs no others.
            SlungDataError: the documents are already token ids.
        """
        if {"input_ids", "attention_mask", "labels"} <= set(dataset.column_names):
            raise SlungDataError(TOKENIZED_STREAM.format(where=self.strategy.policy.where))
        if isinstance(self.strategy.tokenizer, OverflowTokenizer):
            _check_column(dataset.column_names, self.strategy)
        if self.strategy.filter_rows:
            dataset = dataset.filter(self.strategy.filter_rows)
        parts = []
        for start in range(0, len(dataset), _DOCUMENTS):
            windows = self.strategy.tokenize_prompt(dataset[start : start + _DOCUMENTS])
            if windows["input_ids"]:
                parts.append(Dataset.from_dict(windows))
        if not any(2 <= len(ids) <= self.length for part in parts for ids in part["input_ids"]):
            raise NothingLeft
        return concatenate_datasets(parts), None


class Packed:
    """Packs the windows of each buffer, in the same order in every pass over the stream.

    Axolotl draws the order from torch's global generator. A model with dropout draws from it too, and a resumed run
    starts with another state of it. This class keeps a generator state of its own. Its order is the one that Axolotl
    draws in a run where nothing else draws numbers.

    Args:
        encode: Axolotl's packing of one buffer of documents.
        seed: the run's seed.
    """

    def __init__(self, encode: Callable[[Mapping], Mapping], seed: int):
        self.encode, self.seed = encode, seed
        self._state: torch.Tensor | None = None

    def __call__(self, documents: Mapping[str, list], indices: list[int]) -> Mapping[str, list]:
        """The packed rows of one buffer.

        Args:
            documents: the buffer's columns.
            indices: for each document, how many documents came before it in this pass.
        """
        outside = torch.get_rng_state()
        torch.set_rng_state(_first_state(self.seed) if indices[0] == 0 or self._state is None else self._state)
        try:
            return self.encode(documents)
        except NothingLeft:
            return {}
        finally:
            self._state = torch.get_rng_state()
            torch.set_rng_state(outside)


def _first_state(seed: int) -> torch.Tensor:
    """The state of torch's generator when a data loader asks for its first row, if nothing drew numbers before it."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.empty((), dtype=torch.int64).random_(generator=generator).item()
    worker = get_worker_info()
    if worker is not None:
        generator.manual_seed(base + worker.id)
    return generator.get_state()


# ----------------------------------------------------------------------------------------------------------- unpacked


class Unpacked:
    """Cuts each document to the length of a window.

    A row is one document, or with `pretraining_sample_concatenation` as many as fit.

    Args:
        tokenizer: the data set's tokenizer.
        policy: how the documents are labeled.
        max_tokens, text_column, concatenate: as in Axolotl's `encode_streaming`.
    """

    def __init__(
        self, tokenizer: TaggingTokenizer, policy: Policy, *, max_tokens: int, text_column: str, concatenate: bool
    ):
        beginning = _Beginning(tokenizer, text_column, max_tokens - 2, ends=concatenate)
        self.strategy = SlungStrategy(beginning, policy)
        self.max_tokens, self.concatenate = max_tokens, concatenate
        self.pad_id = tokenizer.pad_token_id

    def __call__(self, documents: Mapping[str, list]) -> dict[str, list]:
        """The rows of one buffer: `input_ids`, `labels` and `attention_mask`, int64 `[tokens]` each."""
        _check_column(documents, self.strategy)
        rows = self._rows(documents)
        windows = list(_concatenated(rows, self.max_tokens, self.pad_id) if self.concatenate else rows)
        return dict(zip(("input_ids", "labels", "attention_mask"), map(list, zip(*windows)))) if windows else {}

    def _rows(self, documents) -> Iterator[np.ndarray]:
        """int64 `[3, tokens]` for each document: token ids, labels, attention mask."""
        for start in range(0, len(next(iter(documents.values()))), _DOCUMENTS):
            some = {name: values[start : start + _DOCUMENTS] for name, values in documents.items()}
            out = self.strategy.tokenize_prompt(some)
            for row in zip(out["input_ids"], out["labels"], out["attention_mask"]):
                yield np.array(row, dtype=np.int64)


class _Beginning:
    """A strategy that tokenizes a document as Axolotl does in an unpacked stream.

    Args:
        tokenizer: tokenizes the documents.
        text_column: the column of the text.
        max_length: the maximum number of tokens, without the one that `ends` adds.
        ends: whether to add an end-of-sequence token to each document.
    """

    def __init__(self, tokenizer, text_column: str, max_length: int, ends: bool):
        self.tokenizer, self.text_column, self.max_length, self.ends = tokenizer, text_column, max_length, ends

    def tokenize_prompt(self, row):
        encoding = self.tokenizer(
            row[self.text_column], truncation=True, max_length=self.max_length, add_special_tokens=True
        )
        end = [self.tokenizer.eos_token_id] if self.ends else []
        return {"input_ids": encoding["input_ids"] + end, "attention_mask": encoding["attention_mask"] + [1] * len(end)}


def _concatenated(rows: Iterator[np.ndarray], length: int, pad_id: int) -> Iterator[np.ndarray]:
    """Rows of `length` tokens, int64 `[3, length]`. Each holds as many documents as fit, with padding after each one.

    Args:
        rows: the documents, int64 `[3, tokens]` with fewer than `length` tokens: token ids, labels, attention mask.
        length: the number of tokens in each row that comes out.
        pad_id: the token id of padding. The label of padding is -100, its attention mask is 0.
    """
    window, used = None, 0
    for row in rows:
        needed = row.shape[1] + 1
        if window is not None and used + needed > length:
            yield window
            window = None
        if window is None:
            window, used = np.tile(np.array([[pad_id], [IGNORE], [0]], dtype=np.int64), length), 0
        window[:, used : used + needed - 1] = row
        used += needed
    if window is not None:
        yield window


def _check_column(columns, strategy: SlungStrategy) -> None:
    """Raise `SlungDataError` if the documents have no text column."""
    if strategy.policy.text_field not in columns:
        raise SlungDataError(
            f"{strategy.policy.where}.text_column: the stream has no column {strategy.policy.text_field!r}; it has "
            f"{few(sorted(columns))}"
        )
