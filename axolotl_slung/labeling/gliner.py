"""Finds what is named in words, with a GLiNER model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import first_line
from .base import LabelerError, Span, utf8_safe
from .hub import HubLabeler

_LEAST = 16
"""The fewest tokens of text that a window must have room for beside the labels."""


class _Window(NamedTuple):
    index: int
    start: int
    end: int
    tokens: int


class GlinerLabeler(HubLabeler):
    """Spans of a GLiNER model (https://arxiv.org/abs/2311.08526) for labels that are given in words.

    Each span has the model's probability as its score, and the label as its kind. Every span is kept that reaches the
    floor, also if it overlaps another or has several labels, so cuts decide. GLiNER's own search would drop some.

    Texts longer than the model's limits, in words and in tokens beside the labels, are cut into windows of words that
    overlap by a quarter. A span in two windows has the higher score.

    Args:
        key: the labeler's place in the YAML.
        model: a folder, or the name of a model on the Hugging Face hub.
        labels: what to find, in words, such as `person name`.
        floor: spans with a lower score are left out.
        batch_tokens: the most tokens per batch, with labels and padding.
        revision: commit, tag or branch of a model on the hub.
        thresholds: the scores at which buckets begin. None may be below `floor`.
    """

    scope = "document"
    packages = ("gliner", "transformers", "tokenizers")

    def __init__(
        self,
        key: str,
        model: str,
        labels: list[str],
        floor: float = 0.01,
        batch_tokens: int = 4096,
        revision: str | None = None,
        thresholds: Sequence[float] = (),
    ):
        super().__init__(key, model, revision, floor, thresholds)
        self.labels = list(labels)
        self.batch_tokens = batch_tokens

    def _load(self, folder: Path) -> Any:
        try:
            from gliner import GLiNER  # pyright: ignore[reportAttributeAccessIssue, reportMissingImports]

            model = GLiNER.from_pretrained(str(folder), local_files_only=True)
            stored = _stored(folder)
        except Exception as error:  # each library that reads the model has its own errors
            raise self._unusable(
                f"cannot be loaded: {first_line(error)}; if it lacks its encoder's files, load it once with gliner, and "
                "use the folder that save_pretrained writes"
            ) from error
        if missing := [name for name, _ in model.model.named_parameters() if name not in stored]:
            raise self._unusable(f"has no weights for {min(missing)}; use a complete model")
        self._room(model)
        # without its search for the best spans, which leaves out whatever overlaps a better one, below any cut
        model.decoder.greedy_search = lambda spans, *_, **__: spans
        return model.eval()

    def label(self, texts: Sequence[str], rows: Sequence[Mapping]) -> list[list[Span]]:
        """One span per find; see `Labeler.label`."""
        texts = [utf8_safe(text) for text in texts]
        model = self.model
        windows = [window for index, text in enumerate(texts) for window in self._windows(index, text)]
        found: list[dict[tuple[int, int, str], float]] = [{} for _ in texts]
        try:
            model.to(self.device)
            for batch in _batches(windows, self.batch_tokens):
                pieces = [texts[window.index][window.start : window.end] for window in batch]
                for window, finds in zip(batch, self._read(model, pieces), strict=True):
                    of_text = found[window.index]
                    for find in finds:
                        place = find["start"] + window.start, find["end"] + window.start, find["label"]
                        of_text[place] = max(float(find["score"]), of_text.get(place, 0.0))
        finally:
            # training, which follows, needs the GPU's memory
            if self.device != "cpu":
                import torch

                model.to("cpu")
                getattr(torch, self.device).empty_cache()
        return [
            sorted(
                Span(start, end, min(score, 1.0), kind=label)
                for (start, end, label), score in of_text.items()
                if start < end and score >= self.floor
            )
            for of_text in found
        ]

    def _read(self, model, pieces: list[str]) -> list[list[dict]]:
        options = {"flat_ner": False, "multi_label": True, "threshold": self.floor, "batch_size": len(pieces)}
        try:
            with warnings.catch_warnings():
                # what is cut off would have no labels, and nobody would know
                warnings.filterwarnings("error", "Sentence of length")
                found = model.inference(pieces, self.labels, **options)
        except Exception as error:
            # from None: the message could quote a text
            raise LabelerError(
                f"{self.key}: gliner failed: {type(error).__name__} on {len(pieces)} texts of up to "
                f"{max(map(len, pieces))} characters; remove them, or use another model"
            ) from None
        if not isinstance(found, list):
            raise self._unusable("also finds relations; use a model that only finds entities")
        return found

    def _windows(self, index: int, text: str) -> Iterator[_Window]:
        """Windows of a text: as many words as the model reads at once. A longer word is a window of its own."""
        model = self.model
        words = [(start, end) for _, start, end in model.data_processor.words_splitter(text)]
        if not words:
            return
        tokenizer = model.data_processor.transformer_tokenizer
        pieces = [text[start:end] for start, end in words]
        tokens = [len(ids) for ids in tokenizer(pieces, add_special_tokens=False, verbose=False)["input_ids"]]
        taken, room = self._room(model)
        first = 0
        while True:
            last, used = first, 0
            while last < len(words) and last - first < model.config.max_len:
                if last > first and room is not None and used + tokens[last] > room:
                    break
                used += tokens[last]
                last += 1
            yield _Window(index, words[first][0], words[last - 1][1], used + taken)
            if last == len(words):
                return
            first = max(first + 1, last - (last - first) // 4)

    def _room(self, model) -> tuple[int, int | None]:
        """How many tokens the labels take, and how many are left for text; None without a limit."""
        tokenizer = model.data_processor.transformer_tokenizer
        labels = tokenizer(self.labels, add_special_tokens=False)["input_ids"]
        # each label has a marker, and another one stands before the text
        taken = sum(len(ids) + 1 for ids in labels) + 1 + tokenizer.num_special_tokens_to_add()
        limits = [tokenizer.model_max_length, getattr(model.config.encoder_config, "max_position_embeddings", None)]
        limit = min((one for one in limits if one and 0 < one < 10**9), default=None)
        if limit is None:
            return taken, None
        if limit - taken < _LEAST:
            raise LabelerError(
                f"{self.key}.labels: {len(self.labels)} labels take {taken} of the {limit} tokens that the model reads at "
                "once; list fewer, and give the others to a second labeler"
            )
        return taken, limit - taken

    def _unusable(self, reason: str) -> LabelerError:
        return LabelerError(f"{self.key}.model: {self.folder}: {reason}")


def _batches(windows: Sequence[_Window], batch_tokens: int) -> Iterator[list[_Window]]:
    """The windows in batches of like lengths, which need little padding."""
    batch: list[_Window] = []
    for window in sorted(windows, key=lambda window: window.tokens):
        if batch and (len(batch) + 1) * window.tokens > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _stored(folder: Path) -> set[str]:
    """The names of the weights in a model's file."""
    import torch
    from safetensors import safe_open

    if (folder / "model.safetensors").exists():
        with safe_open(folder / "model.safetensors", "pt") as file:
            return {*file.keys(), *(file.metadata() or {})}
    return set(torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True, mmap=True))
