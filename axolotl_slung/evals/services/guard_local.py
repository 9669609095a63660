"""Generative guards that run on this machine."""

from __future__ import annotations

import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...errors import SlungError, first_line
from ...labeling.hub import files_of
from .answers import AnswerCache, digest
from .base import Scorer
from .guards import FORMAT, GUARDS, REPLY_TOKENS, Step, filled, plain, read
from .local_models import digest_of, short_name

_MARK = "what the user says"


class LocalGuard(Scorer):
    """A guard in this process: greedy, in its saved precision, on the GPU while it scores.

    The prompt is that of its own chat template, or the plain text of its model card. A prompt that does not fit the
    model's context gets no score; its reason is "too long".

    Args:
        said: the option and its value.
        kind: a key of `GUARDS`.
        model: a folder, or a model of the hub.
        cache: stores the scores.

    Raises:
        SlungError: the model cannot be loaded, or has no chat template where the guard needs one.
    """

    batch_size = 8

    def __init__(self, said: str, kind: str, model: str, cache: AnswerCache):
        super().__init__()
        self._guard, self._cache = GUARDS[kind], cache
        try:
            from transformers import AutoConfig, AutoTokenizer

            local = {"trust_remote_code": False}
            config = AutoConfig.from_pretrained(model, **local)
            self._tokenizer = AutoTokenizer.from_pretrained(model, **local)
            self._model, report = _class_of(config).from_pretrained(
                model, config=config, dtype="auto", output_loading_info=True, **local
            )
            self._as_parts = False
            rendered = self._prompt(_MARK, self._guard.policies[0])
            if _MARK not in rendered:
                # some templates read a message's text from a list of parts
                self._as_parts = True
                rendered = self._prompt(_MARK, self._guard.policies[0])
        except Exception as error:  # each library that reads it has its own errors
            raise SlungError(
                f"{said}: cannot be used: {first_line(error)}; give the folder or hub name of a {kind} model, with its "
                "chat template"
            ) from error
        if report["missing_keys"]:
            raise SlungError(
                f"{said}: weights are missing, such as {min(report['missing_keys'])}; give a complete causal model"
            )
        if _MARK not in rendered:
            raise SlungError(f"{said}: its chat template leaves out the user's message; give a {kind} model")
        self._special = [str(token) for token in self._tokenizer.all_special_tokens]
        self._special += [token.content for token in self._tokenizer.added_tokens_decoder.values() if token.special]
        self._generate_greedily()
        # the tokens with which a verdict can begin: the others' probabilities do not matter
        number = min(len(self._tokenizer), self._model.config.get_text_config().vocab_size)
        texts = self._tokenizer.batch_decode([[token] for token in range(number)])
        starts = {word[:end] for word in self._guard.words for end in range(1, len(word) + 1)}
        self._begin = {token: text for token, text in enumerate(texts) if text.strip().lower() in starts}
        folder = Path(model).expanduser()
        files = [*files_of(folder), *folder.glob("*.jinja")] if folder.is_dir() else []
        content = f"sha256 {digest_of(files)}" if files else f"commit {self._model.config._commit_hash}"
        self.name = f"guard:{kind}:{short_name(model)}"
        self.version = f"{content}, transformers {version('transformers')}"

    def _prompt(self, text: str, policy: str) -> str:
        if self._guard.prompt:
            return filled(self._guard, text, policy)
        if self._tokenizer.chat_template is None:
            raise ValueError("it has no chat template")
        # enable_thinking: for templates of models that think unless told not to
        how = {"add_generation_prompt": True, "enable_thinking": False, **self._guard.options}
        content = [{"type": "text", "text": text}] if self._as_parts else text
        return self._tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, **how)

    def _generate_greedily(self) -> None:
        from transformers import GenerationConfig

        ends, padding = self._model.generation_config.eos_token_id, self._tokenizer.pad_token_id
        ends = self._tokenizer.eos_token_id if ends is None else ends
        self._ends = set(ends if isinstance(ends, list) else [ends])
        # replaces the model's own config, which may sample or penalize repetition
        self._model.generation_config = GenerationConfig(do_sample=False, eos_token_id=ends, pad_token_id=padding or 0)

    def _score(self, texts: list[str]) -> np.ndarray:
        import torch

        asked = [(policy, plain(text, self._special)) for text in texts for policy in self._guard.policies]
        keys = [digest((FORMAT, self.name, self.version, *one)) for one in asked]
        found = {key: float(score) for key, score in self._cache.read(keys).items()}
        todo = {key: one for key, one in zip(keys, asked) if key not in found}
        try:
            if todo:
                self._model.to("cuda" if torch.cuda.is_available() else "cpu")
                found |= self._asked(todo)
        finally:
            self._model.to("cpu")
            torch.cuda.empty_cache()
        scores = np.array([found.get(key, np.nan) for key in keys], np.float64)
        # numpy's maximum of a missing score is a missing score
        return scores.reshape(len(texts), len(self._guard.policies)).max(axis=1)

    def _asked(self, todo: dict[bytes, tuple[str, str]]) -> dict[bytes, float]:
        ids = {key: self._ids(self._prompt(text, policy)) for key, (policy, text) in todo.items()}
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or math.inf
        fitting = sorted((key for key in ids if len(ids[key]) + REPLY_TOKENS <= room), key=lambda key: len(ids[key]))
        self.failures.update("too long" for key in ids if len(ids[key]) + REPLY_TOKENS > room)
        found = {}
        for first in tqdm(range(0, len(fitting), self.batch_size), desc=self.name, file=sys.stderr):
            some = fitting[first : first + self.batch_size]
            for key, steps in zip(some, self._replies([ids[key] for key in some])):
                reading = read(self._guard, steps, len(steps) == REPLY_TOKENS)
                if reading.score is None:
                    self.failures[f"replies without a verdict ({reading.kind})"] += 1
                else:
                    found[key] = reading.score
                    self._cache.write(key, reading.score)
        return found

    def _ids(self, prompt: str) -> list[int]:
        # a chat template writes the first token itself
        begins = bool(self._guard.prompt)
        return self._tokenizer(prompt, add_special_tokens=begins, verbose=False)["input_ids"]

    def _replies(self, rows: list[list[int]]) -> list[list[Step]]:
        import torch

        width = max(map(len, rows))
        ids = torch.tensor([[self._model.generation_config.pad_token_id] * (width - len(row)) + row for row in rows])
        attended = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        device = self._model.device
        with torch.inference_mode():
            made = self._model.generate(
                ids.to(device),
                attention_mask=attended.to(device),
                max_new_tokens=REPLY_TOKENS,
                return_dict_in_generate=True,
                output_logits=True,
            )
        begin = torch.tensor(list(self._begin), device=device)
        likely = torch.stack([step.float().log_softmax(-1)[:, begin] for step in made.logits], 1).tolist()
        return [self._steps(*row) for row in zip(made.sequences[:, width:].tolist(), likely)]

    def _steps(self, tokens: list[int], likely: list[list[float]]) -> list[Step]:
        steps, before = [], ""
        for place, token in enumerate(tokens):
            if token in self._ends:
                break
            now = self._tokenizer.decode(tokens[: place + 1], skip_special_tokens=True)
            steps.append(Step(now[len(before) :], list(zip(self._begin.values(), likely[place]))))
            before = now
        return steps


def _class_of(config):
    """The class that generates text with a model of this configuration; Llama Guard 4 also reads pictures."""
    import transformers

    if type(config) in transformers.AutoModelForCausalLM._model_mapping:
        return transformers.AutoModelForCausalLM
    return transformers.AutoModelForImageTextToText
