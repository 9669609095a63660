"""A custom labeler: Qwen3Guard-Stream, which grades every token as safe, controversial or unsafe.

labelers:
  - type: custom
    class_path: example_configs/stream_guard.py:StreamGuard
    options: {model: Qwen/Qwen3Guard-Stream-0.6B}
    cuts: [0.25, 0.75]

The model brings code of its own, and slung runs no code that comes with a model. Its body is the Qwen3 of Transformers,
so this file only adds the head. A token's score is the sum of the probabilities times `factors`. With these cuts, tokens
that are surely controversial are doubtful, and tokens that are surely unsafe are risky.

The model reads from left to right. Its verdict on a token is about the text up to it, so what follows an unsafe passage
often stays unsafe.
"""

from __future__ import annotations

import numpy as np
import torch
from safetensors import safe_open
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from axolotl_slung.labeling import Labeler, LabelerError, Span
from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.hub import files_of, locate

MARK = "\ufdd0"
"""A character that no template has."""


class StreamGuard(Labeler):
    """The grades of a stream-guard's tokens, as one score.

    Args:
        key: the labeler's place in the YAML.
        model: a folder, or the name of a model on the hub.
        role: who wrote the texts: `assistant` or `user`. The model has a head for each.
        factors: what the probability of each grade counts for the score.
        window: the most tokens to read at once. Longer texts are read in windows that overlap by a quarter.
        floor: tokens with a lower score have no span.
    """

    cached = True
    lazy = ("_loaded",)
    packages = ("transformers", "tokenizers")

    def __init__(self, key, model, role="assistant", factors=None, window=4096, floor=0.01):
        super().__init__(key)
        self.source, self.role, self.window, self.floor = model, role, window, floor
        self.factors = factors or {"Safe": 0.0, "Controversial": 0.5, "Unsafe": 1.0}
        self.folder = self._loaded = None

    def check(self):
        self.folder = locate(self.key, self.source, None)
        if torch.cuda.is_available():
            self.most_processes = 1
        self.load()

    def files(self):
        return files_of(self.folder)

    def label(self, texts, rows):
        return self.each(texts, self._spans)

    def load(self):
        """The tokenizer, the ids before a text, the body, and the head's weights."""
        if self._loaded is None:
            self.folder = self.folder or locate(self.key, self.source, None)
            config = Qwen3Config.from_pretrained(self.folder)
            tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
            options = {"config": config, "dtype": torch.float32, "output_loading_info": True}
            body, report = Qwen3Model.from_pretrained(self.folder, **options)
            if report["missing_keys"]:
                raise LabelerError(f"{self.key}.options.model: {self.source}: has no {min(report['missing_keys'])}")
            query = {"assistant": "", "user": "query_"}[self.role]
            parts = ("category_pre", "category_layernorm", "head")
            head = self._weights([f"{query}risk_level_{part}.weight" for part in parts])
            # by name: the order differs between models
            grades = getattr(config, "query_risk_level_map" if query else "response_risk_level_map")
            factors = torch.tensor([self.factors[grades[place]] for place in sorted(grades, key=int)])
            turns = [{"role": "user", "content": "" if self.role == "assistant" else MARK}]
            turns += [{"role": "assistant", "content": MARK}] if self.role == "assistant" else []
            before = tokenizer.apply_chat_template(turns, tokenize=False, enable_thinking=False).split(MARK)[0]
            before = tokenizer(before, add_special_tokens=False)["input_ids"]
            self._loaded = tokenizer, before, body.eval(), head, factors
        return self._loaded

    def _weights(self, names):
        found = {}
        for path in self.folder.glob("*.safetensors"):
            with safe_open(path, "pt") as file:
                found.update({name: file.get_tensor(name).float() for name in set(names) & set(file.keys())})
        if missing := [name for name in names if name not in found]:
            raise LabelerError(f"{self.key}.options.model: {self.source}: has no {missing[0]}; use a stream-guard")
        return [found[name] for name in names]

    def _spans(self, text):
        tokenizer, before, *_ = self.load()
        # split_special_tokens: a text must not be able to end its own turn
        options = {"add_special_tokens": False, "return_offsets_mapping": True, "split_special_tokens": True}
        encoded = tokenizer(utf8_safe(text), **options)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        size, scores = self.window - len(before), []
        for first in range(0, len(ids), size - size // 4):
            if len(scores) < len(ids):
                # the earlier of two windows has more of what comes before a token
                scores += self._scores([*before, *ids[first : first + size]])[len(before) + len(scores) - first :]
        spans = (Span(start, end, score) for (start, end), score in zip(offsets, scores) if start < end)
        return [span for span in spans if span.score >= self.floor]

    @torch.inference_mode()
    def _scores(self, ids) -> list[float]:
        _, _, body, (pre, norm, head), factors = self.load()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        hidden = body.to(device)(torch.tensor([ids], device=device), use_cache=False).last_hidden_state[0].cpu()
        inner = torch.nn.functional.rms_norm(hidden @ pre.T, norm.shape, norm, body.config.rms_norm_eps)
        scores = ((inner @ head.T).softmax(-1) @ factors).double().numpy()
        if not np.isfinite(scores).all():
            raise LabelerError(f"{self.key}.options.model: {self.source}: gives scores that are not finite")
        return np.minimum(scores, 1.0).tolist()
