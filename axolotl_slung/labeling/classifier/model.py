"""A Hugging Face classifier: pieces of text in, windows of tokens with scores out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from ...errors import first_line
from ..base import LabelerError
from .tags import Label, Unit, factors_of


class Window:
    """A run of a piece's tokens that the model can read at once.

    Attributes:
        ids: token ids, with special tokens around them.
        lead: the number of special tokens before.
        first: the index of its first token in the piece.
        offsets: int64 `[tokens, 2]`: the characters `[start, end)` in the piece of each token except special ones.
        scores: float32; `[kinds]`, or for a token classifier `[tokens, kinds]`.
    """

    def __init__(self, ids: list[int], lead: int, first: int, offsets: np.ndarray):
        self.ids, self.lead, self.first, self.offsets = ids, lead, first, offsets
        self.scores: np.ndarray


def joined(windows: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
    """The offsets and scores of all tokens of a piece, for a token classifier.

    A token that is in two windows has the score of the one that reads more text on both of its sides.

    Args:
        windows: of one piece, at least one.

    Returns:
        int64 `[tokens, 2]` and float32 `[tokens, kinds]`.
    """
    last = windows[-1].first + len(windows[-1].offsets)
    # each window takes the half of what it shares that is farther from its edge
    cuts = [(one.first + len(one.offsets) + other.first) // 2 for one, other in pairwise(windows)]
    mine = [
        slice(start - window.first, stop - window.first)
        for window, start, stop in zip(windows, [0, *cuts], [*cuts, last])
    ]
    offsets = [window.offsets[rows] for window, rows in zip(windows, mine)]
    scores = [window.scores[rows] for window, rows in zip(windows, mine)]
    return np.concatenate(offsets), np.concatenate(scores)


class ClassifierModel:
    """A classifier in memory. It is on the CPU while it is not in use.

    Args:
        key: the labeler's place in the YAML.
        folder: the folder of its files.
        label: see `factors_of`.
        unit: `token` for a token classifier.
        window: the most tokens to read at once, including special ones.

    Attributes:
        kinds: the names of the scores.
        longest: `window`, or the most tokens that the model can read at once if these are fewer.

    Raises:
        LabelerError: it is not a classifier of this kind, or does not have the labels.
    """

    def __init__(self, key: str, folder: Path, label: Label, unit: Unit, window: int):
        self.key, self.folder, self.unit = key, folder, unit
        if (folder / "adapter_config.json").exists():
            raise self._unusable("is an adapter; merge it into its model and use the merged model")
        try:
            from transformers import AutoConfig, AutoTokenizer

            local = {"local_files_only": True, "trust_remote_code": False}
            self.config = AutoConfig.from_pretrained(folder, **local)
            self._check_kind()
            tags = [tag for _, tag in sorted((self.config.id2label or {}).items())]
            self.kinds, self._factors = factors_of(key, folder, tags, label, unit)
            if self.kinds == [""] and self._is_binary():
                raise LabelerError(
                    f"{key}.label: expected one label or a list, got factors: the probabilities of this model's labels do "
                    "not exclude each other, so their sum has no meaning; list the labels"
                )
            self.tokenizer = AutoTokenizer.from_pretrained(folder, **local)
            self.model, report = self._kind().from_pretrained(
                folder, **local, config=self.config, dtype="float32", output_loading_info=True
            )
        except LabelerError:
            raise
        except Exception as error:  # each library that reads the model has its own errors
            raise self._unusable(f"cannot be loaded: {first_line(error)}") from error
        if report["missing_keys"]:
            raise self._unusable(f"has no weights for {min(report['missing_keys'])}; use a complete classifier")
        self.model.eval()
        self._check_tokenizer()
        self.longest = self._longest(window)

    def read(self, pieces: list[str], batch_tokens: int, device: str) -> list[list[Window]]:
        """For each piece its windows, with scores; none if it has no tokens.

        Args:
            pieces: texts, without lone surrogates.
            batch_tokens: the most tokens per batch, with padding. A longer window is a batch of its own.
            device: the model's device during this call.

        Raises:
            LabelerError: the model's outputs are not finite.
        """
        read = self.windows(pieces)
        self._fill([window for windows in read for window in windows], batch_tokens, device)
        return read

    def windows(self, pieces: list[str]) -> list[list[Window]]:
        """For each piece its windows, without scores."""
        read: list[list[Window]] = [[] for _ in pieces]
        if not pieces:
            return read
        # split_special_tokens: a text must not be able to end itself for the model
        encoded = self.tokenizer(
            pieces,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            split_special_tokens=True,
            verbose=False,
        )
        columns = encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"]
        for windows, ids, offsets, special in zip(read, *columns):
            if 0 in special:
                places = np.fromiter(chain.from_iterable(offsets), np.int64, 2 * len(offsets)).reshape(-1, 2)
                windows.extend(self._windows(ids, places, special.index(0), special[::-1].index(0)))
        return read

    def _windows(self, ids, offsets, lead: int, trail: int) -> Iterator[Window]:
        """Windows that overlap by a quarter. The truncation of `tokenizers` 0.23 loses most of the overflow.

        Args:
            ids: the whole piece's token ids, with special tokens.
            offsets: their characters, int64 `[ids, 2]`.
            lead: the number of special tokens before.
            trail: the number of special tokens after.
        """
        stop = len(ids) - trail
        size = self.longest - lead - trail
        if size < 1:
            raise self._unusable(f"reads {self.longest} tokens at once, which its special tokens fill; raise `window`")
        for first in range(lead, stop, size - size // 4):
            last = min(first + size, stop)
            yield Window([*ids[:lead], *ids[first:last], *ids[stop:]], lead, first - lead, offsets[first:last])
            if last == stop:
                return

    def _fill(self, windows: list[Window], batch_tokens: int, device: str) -> None:
        """Compute the windows' scores."""
        import torch

        try:
            self.model.to(device)
            factors = torch.from_numpy(self._factors).to(device)
            for batch in self.batches(windows, batch_tokens):
                with torch.inference_mode():
                    inputs = {name: value.to(device) for name, value in self.padded(batch).items()}
                    logits = self.model(**inputs).logits
                    # what stands at the padding is not read, and may be anything
                    read = logits[inputs["attention_mask"].bool()] if self.unit == "token" else logits
                    if not torch.isfinite(read).all():
                        raise self._unusable(
                            "gives logits that are not finite: its weights are damaged; use another copy"
                        )
                    probabilities = logits.sigmoid() if self._is_binary() else logits.softmax(-1)
                    scores = (probabilities @ factors).cpu().numpy()
                for window, found in zip(batch, scores):
                    tokens = slice(window.lead, window.lead + len(window.offsets))
                    window.scores = found[tokens] if self.unit == "token" else found
        finally:
            # training, which follows, needs the GPU's memory
            if device != "cpu":
                self.model.to("cpu")
                getattr(torch, device).empty_cache()

    def batches(self, windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
        """The windows in batches of like lengths, which need little padding."""
        batch: list[Window] = []
        # without padding a sequence classifier cannot tell where a row ends
        most = 1 if self.tokenizer.pad_token_id is None and self.unit != "token" else len(windows)
        for window in sorted(windows, key=lambda window: len(window.ids)):
            if batch and (len(batch) == most or (len(batch) + 1) * len(window.ids) > batch_tokens):
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch

    def padded(self, windows: Sequence[Window]) -> dict:
        """The model's inputs, int64 `[windows, longest window]`, padded on the right."""
        import torch

        rows = [window.ids for window in windows]
        width = max(map(len, rows))
        filler = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([row + [filler] * (width - len(row)) for row in rows])
        attended = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": attended}

    def _is_binary(self) -> bool:
        """Whether labels are independent of each other, not exclusive classes."""
        several = self.config.problem_type == "multi_label_classification" or self.config.num_labels == 1
        return several and self.unit != "token"

    def _kind(self):
        from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

        return AutoModelForTokenClassification if self.unit == "token" else AutoModelForSequenceClassification

    def _check_kind(self) -> None:
        ending = "ForTokenClassification" if self.unit == "token" else "ForSequenceClassification"
        kinds = self.config.architectures or []
        if kinds and not any(kind.endswith(ending) for kind in kinds):
            raise LabelerError(
                f"{self.key}.unit: {self.unit}: expected a model of the kind ...{ending}, got {', '.join(kinds)} in "
                f"{self.folder}; change `unit` or `model`"
            )
        if self.config.problem_type == "regression":
            raise self._unusable("is a regression, whose scores are not probabilities; use a classifier")

    def _check_tokenizer(self) -> None:
        if not self.tokenizer.is_fast:
            raise self._unusable("has a tokenizer without character offsets; save it with a fast tokenizer")
        if self.tokenizer.vocab_size <= len(self.tokenizer.all_special_ids):
            raise self._unusable("has no tokenizer files; add them")
        known = self.model.get_input_embeddings().num_embeddings
        if len(self.tokenizer) > known:
            raise self._unusable(
                f"has a tokenizer with {len(self.tokenizer)} tokens but weights for {known}; resize the embeddings"
            )
        text_config = self.config.get_text_config()
        if text_config.pad_token_id is None:
            text_config.pad_token_id = self.tokenizer.pad_token_id

    def _longest(self, window: int) -> int:
        limits = [
            window,
            self.tokenizer.model_max_length,
            getattr(self.config.get_text_config(), "max_position_embeddings", None),
        ]
        for name, module in self.model.named_modules():
            # RoBERTa and similar models count positions from the padding's index on
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                limits.append(module.num_embeddings - module.padding_idx - 1)
        return min(limit for limit in limits if limit and limit > 0)

    def _unusable(self, reason: str) -> LabelerError:
        return LabelerError(f"{self.key}.model: {self.folder}: {reason}")
