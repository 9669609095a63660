"""Hidden states of a Hugging Face model: the features of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...errors import SlungError, first_line
from ..hidden_states import POOLINGS, pooled

LONGEST = 512
"""Tokens of a text that are read at most; the rest is left out."""

_BATCH = 32


class StateModel:
    """A model without its head, on the GPU if there is one.

    Args:
        said: where `model` comes from and its value; errors begin with it.
        model: a folder, or a name on the hub.

    Attributes:
        identity: a digest of the model's files, or its commit on the hub, and the version of Transformers.
        layers: the number of layers with the embeddings.

    Raises:
        SlungError: the model cannot be loaded.
    """

    def __init__(self, said: str, model: str):
        from ...labeling.hub import files_of
        from ...labeling.identity import file_digest

        try:
            from transformers import AutoModel, AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(model)
            self._model, report = AutoModel.from_pretrained(model, dtype="float32", output_loading_info=True)
        except Exception as error:  # each library that reads it has its own errors
            raise SlungError(
                f"{said}: cannot be used: {first_line(error)}; give a folder or a model of the Hugging Face hub"
            ) from error
        # the pooler of BERT comes after the last hidden state, and many models lack it
        if missing := [name for name in report["missing_keys"] if not name.startswith("pooler")]:
            raise SlungError(f"{said}: weights are missing, such as {min(missing)}; give a complete model")
        import torch

        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.eval().to(self._device)
        config = self._model.config.get_text_config()
        known = getattr(config, "max_position_embeddings", None) or LONGEST
        self._longest = min(LONGEST, known, self._tokenizer.model_max_length)
        self.layers = config.num_hidden_layers + 1
        folder = Path(model).expanduser()
        files = files_of(folder) if folder.is_dir() else []
        content = "sha256 " + _joined(map(file_digest, files)) if files else f"commit {self._model.config._commit_hash}"
        self.identity = f"{content}, transformers {version('transformers')}"

    def states(self, texts: Sequence[str], wanted: Sequence[tuple[int, str]], progress: bool = False) -> np.ndarray:
        """Hidden states, each of one layer and pooling.

        Args:
            texts: n texts.
            wanted: k layers with their poolings; layer 0 is the embeddings.
            progress: whether to show a bar.

        Returns:
            float32 `[k, n, width]`.
        """
        import torch
        from tqdm import tqdm

        ids = self._tokenizer(list(texts), truncation=True, max_length=self._longest, verbose=False)["input_ids"]
        filler = self._tokenizer.eos_token_id or self._tokenizer.pad_token_id or 0
        ids = [one or [filler] for one in ids]
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        found = None
        with tqdm(total=len(order), disable=not progress, desc="hidden states") as bar, torch.inference_mode():
            for first in range(0, len(order), _BATCH):
                places = order[first : first + _BATCH]
                batch = self._read([ids[place] for place in places], wanted)
                if found is None:
                    found = np.empty((len(wanted), len(ids), batch.shape[-1]), np.float32)
                found[:, places] = batch
                bar.update(len(places))
        return np.zeros((len(wanted), 0, 0), np.float32) if found is None else found

    def _read(self, ids: list[list[int]], wanted) -> np.ndarray:
        import torch

        # padding on the right, which the mask hides from models that read in both directions
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids], batch_first=True)
        mask = torch.tensor([[1] * len(row) + [0] * (padded.shape[1] - len(row)) for row in ids])
        found = self._model(
            input_ids=padded.to(self._device), attention_mask=mask.to(self._device), output_hidden_states=True
        ).hidden_states
        return torch.stack(
            [
                torch.stack([pooled(found[layer][row, : len(one)], pooling) for row, one in enumerate(ids)])
                for layer, pooling in wanted
            ]
        ).cpu().numpy()  # fmt: skip


def all_states(layers: int) -> list[tuple[int, str]]:
    """Every layer with every pooling."""
    return [(layer, pooling) for layer in range(layers) for pooling in POOLINGS]


def _joined(digests) -> str:
    import hashlib

    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:12]
