"""A Hugging Face classifier: pieces of text in, windows of tokens with probabilities out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from ...errors import first_line, meant
from ..base import LabelerError

_OLD_WEIGHTS = "pytorch_model*.bin"
# everything that determines the labels, and nothing that would be run
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
_TAG = re.compile(r"([BIMELSU])-(.+)")


class Window:
    """A run of a piece's tokens that the model can read at once.

    Attributes:
        ids: token ids, with special tokens around them.
        lead: the number of special tokens before.
        first: the index of its first token in the piece.
        offsets: for each token except special ones, its characters `[start, end)` in the piece.
        probabilities: float32; `[tags]`, or for a token classifier `[offsets, tags]`.
    """

    def __init__(self, ids: list[int], lead: int, first: int, offsets: list[tuple[int, int]]):
        self.ids, self.lead, self.first, self.offsets = ids, lead, first, offsets
        self.probabilities: np.ndarray


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


class ClassifierModel:
    """A classifier in memory. It is on the CPU while it is not in use.

    Args:
        key: the labeler's place in the YAML.
        folder: the folder of its files.
        label: the label whose probability is the score.
        unit: `token` for a token classifier.

    Attributes:
        tags: maps the indices of the label's tags to their prefixes (B, I, ...; "" for none).
        longest: the most tokens that it can read at once, including special ones; None for no limit.

    Raises:
        LabelerError: it is not a classifier of this kind, or does not have the label.
    """

    def __init__(self, key: str, folder: Path, label: str, unit: Literal["sentence", "document", "token"]):
        self.key, self.folder, self.unit = key, folder, unit
        if (folder / "adapter_config.json").exists():
            raise self._unusable("is an adapter; merge it into its model and use the merged model")
        try:
            from transformers import AutoConfig, AutoTokenizer

            local = {"local_files_only": True, "trust_remote_code": False}
            self.config = AutoConfig.from_pretrained(folder, **local)
            self.tags = self._find_tags(label)
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
        self.longest = self._longest()

    def read(self, pieces: list[str], batch_size: int, device: str) -> list[list[Window]]:
        """For each piece its windows; none if it has no tokens.

        Args:
            pieces: texts, without lone surrogates.
            batch_size: windows per batch.
            device: the model's device during this call.

        Raises:
            LabelerError: the model's outputs are not finite.
        """
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
                windows.extend(self._windows(ids, offsets, special.index(0), special[::-1].index(0)))
        self._fill([window for windows in read for window in windows], batch_size, device)
        return read

    def _windows(self, ids, offsets, lead: int, trail: int) -> Iterator[Window]:
        """Windows that overlap by a quarter. The truncation of `tokenizers` 0.23 loses most of the overflow.

        Args:
            ids: the whole piece's token ids, with special tokens.
            offsets: their characters.
            lead: the number of special tokens before.
            trail: the number of special tokens after.
        """
        stop = len(ids) - trail
        size = stop - lead if self.longest is None else self.longest - lead - trail
        for first in range(lead, stop, size - size // 4):
            last = min(first + size, stop)
            yield Window([*ids[:lead], *ids[first:last], *ids[stop:]], lead, first - lead, offsets[first:last])
            if last == stop:
                return

    def _fill(self, windows: list[Window], batch_size: int, device: str) -> None:
        """Compute the windows' probabilities."""
        import torch

        # sort by length to reduce padding
        windows = sorted(windows, key=lambda window: len(window.ids))
        size = 1 if self.tokenizer.pad_token_id is None else batch_size
        try:
            self.model.to(device)
            for first in range(0, len(windows), size):
                batch = windows[first : first + size]
                with torch.inference_mode():
                    inputs = self._padded([window.ids for window in batch])
                    logits = self.model(**{name: value.to(device) for name, value in inputs.items()}).logits
                if not torch.isfinite(logits).all():
                    raise self._unusable("gives logits that are not finite: its weights are damaged; use another copy")
                probabilities = (logits.sigmoid() if self._is_binary() else logits.softmax(-1)).cpu().numpy()
                for window, found in zip(batch, probabilities):
                    tokens = slice(window.lead, window.lead + len(window.offsets))
                    window.probabilities = found[tokens] if self.unit == "token" else found
        finally:
            # training, which follows, needs the GPU's memory
            if device != "cpu":
                self.model.to("cpu")
                getattr(torch, device).empty_cache()

    def _padded(self, rows: list[list[int]]) -> dict:
        """The model's inputs, int64 `[rows, longest row]`, padded on the right."""
        import torch

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

    def _find_tags(self, label: str) -> dict[int, str]:
        ending = "ForTokenClassification" if self.unit == "token" else "ForSequenceClassification"
        kinds = self.config.architectures or []
        if kinds and not any(kind.endswith(ending) for kind in kinds):
            raise LabelerError(
                f"{self.key}.unit: {self.unit}: expected a model of the kind ...{ending}, got {', '.join(kinds)} in "
                f"{self.folder}; change `unit` or `model`"
            )
        if self.config.problem_type == "regression":
            raise self._unusable("is a regression, whose scores are not probabilities; use a classifier")
        tags, names = {}, {}
        for index, tag in self.config.id2label.items():
            match = _TAG.fullmatch(tag) if self.unit == "token" and tag != label else None
            prefix, name = match.groups() if match else ("", tag)
            names[name] = None
            if name == label:
                tags[int(index)] = prefix
        if not tags:
            raise LabelerError(
                f"{self.key}.label: {label!r}: is not in {self.folder}; choose one of {', '.join(names)}"
                f"{meant(label, names)}"
            )
        return tags

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

    def _longest(self) -> int | None:
        limits = [
            self.tokenizer.model_max_length,
            getattr(self.config.get_text_config(), "max_position_embeddings", None),
        ]
        for name, module in self.model.named_modules():
            # RoBERTa and similar models count positions from the padding's index on
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                limits.append(module.num_embeddings - module.padding_idx - 1)
        return min((limit for limit in limits if limit and 0 < limit < 10**9), default=None)

    def _unusable(self, reason: str) -> LabelerError:
        return LabelerError(f"{self.key}.model: {self.folder}: {reason}")
