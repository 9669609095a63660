"""Judges that run on this machine."""

from __future__ import annotations

import math
import sys
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from ...errors import SlungError, first_line
from ...labeling.hub import files_of
from .answers import AnswerCache, digest
from .judge import REPLY_TOKENS, THINKING_TOKENS, Judge
from .scorers import digest_of, short_name
from .verdicts import Read, is_mark, opens_thought, read


class LocalJudge(Judge):
    """A local causal language model: greedy, in its saved precision, on the GPU while it judges.

    With a chat template, the prompt is the user's message. Without one, the model continues the prompt. A prompt that
    does not fit the model's context gets no reply; its reason is "too long". Special tokens that a text spells out are
    read as ordinary characters, so no answer can end its own turn.

    Args:
        said: the option and its value.
        model: a folder, or a model of the hub.
        cache: see `open_judge`.
    """

    batch_size = 8

    def __init__(self, said: str, model: str, cache: AnswerCache):
        super().__init__(cache)
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(model)
            self._model, report = AutoModelForCausalLM.from_pretrained(model, dtype="auto", output_loading_info=True)
            self._lead, self._trail = self._around()
        except Exception as error:  # each library that reads it has its own errors
            raise SlungError(
                f"{said}: cannot be used: {first_line(error)}; give a folder or a causal model of the hub"
            ) from error
        if report["missing_keys"]:
            raise SlungError(
                f"{said}: weights are missing, such as {min(report['missing_keys'])}; give a complete causal model"
            )
        self._generate_greedily()
        folder = Path(model).expanduser()
        files = [*files_of(folder), *folder.glob("*.jinja")] if folder.is_dir() else []
        content = f"sha256 {digest_of(files)}" if files else f"commit {self._model.config._commit_hash}"
        self.name, self.version = f"hf:{short_name(model)}", f"{content}, transformers {version('transformers')}"

    def _around(self) -> tuple[list[int], list[int]]:
        """The tokens that the chat template, or else the tokenizer, adds before and after the user's message."""
        self._begun = ""
        if self._tokenizer.chat_template is None:
            read = self._tokenizer("a", return_special_tokens_mask=True)
            ids, special = read["input_ids"], read["special_tokens_mask"]
            return ids[: special.index(0)], ids[len(ids) - special[::-1].index(0) :]
        mark = "what the user says"
        # enable_thinking=False: templates that support it let the model answer directly
        text = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        before, found, behind = text.partition(mark)
        # some templates open a thought in the prompt, so that the reply begins within it
        self._begun = "<think>" if opens_thought(behind) else ""
        if not found:
            raise ValueError("its chat template leaves out the user's message")
        return tuple(self._tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, behind))

    def _generate_greedily(self) -> None:
        from transformers import GenerationConfig

        ends, padding = self._model.generation_config.eos_token_id, self._tokenizer.pad_token_id
        # replaces the model's own config, which may sample or penalize repetition; arguments would only add to it
        self._model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=self._tokenizer.eos_token_id if ends is None else ends,
            pad_token_id=padding or 0,
        )

    def _keys(self, asked: list[tuple[str, str]]) -> list[bytes]:
        return [digest(("verdict 3", self.name, self.version, str(REPLY_TOKENS), *one)) for one in asked]

    def _read(self, asked: list[tuple[str, str]]) -> list[Read | None]:
        import torch

        keys = self._keys(asked)
        found = {key: Read(str(word)) for key, word in self._cache.read(keys).items()}
        todo = {key: (*one, self._ids(one[1])) for key, one in zip(keys, asked) if key not in found}
        try:
            if todo:
                self._model.to("cuda" if torch.cuda.is_available() else "cpu")
            for tokens in (REPLY_TOKENS, THINKING_TOKENS):
                found |= self._generated(todo, tokens)
                todo = {key: one for key, one in todo.items() if key in found and found[key].kind == "only thoughts"}
        finally:
            self._model.to("cpu")
            torch.cuda.empty_cache()
        self.failures.update("too long" for key in keys if key not in found)
        return [found.get(key) for key in keys]

    def _generated(self, todo: dict[bytes, tuple[str, str, list[int]]], tokens: int) -> dict[bytes, Read]:
        """The replies of at most this many tokens, read, to all prompts that leave room for them."""
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or math.inf
        fitting = [key for key, (_, _, ids) in todo.items() if len(ids) + tokens <= room]
        fitting.sort(key=lambda key: len(todo[key][-1]))
        found = {}
        starts = range(0, len(fitting), self.batch_size)
        for first in tqdm(starts, desc=self.name, file=sys.stderr, disable=not fitting):
            some = fitting[first : first + self.batch_size]
            for key, reply in zip(some, self._replies([todo[key][-1] for key in some], tokens)):
                found[key] = read(reply, todo[key][0], prompt=todo[key][1])
                if found[key].word:
                    self._cache.write(key, found[key].word)
        return found

    def _ids(self, prompt: str) -> list[int]:
        ids = self._tokenizer(prompt, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        # some tokenizers find special tokens anyway
        special = set(self._tokenizer.all_special_ids) - {self._tokenizer.unk_token_id}
        return [*self._lead, *(i for i in ids if i not in special), *self._trail]

    def _replies(self, rows: list[list[int]], tokens: int) -> list[str]:
        import torch

        width = max(map(len, rows))
        ids = torch.tensor([[self._model.generation_config.pad_token_id] * (width - len(row)) + row for row in rows])
        attended = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.inference_mode():
            made = self._model.generate(
                ids.to(self._model.device), attention_mask=attended.to(self._model.device), max_new_tokens=tokens
            )
        # special tokens may mark thoughts
        added = self._tokenizer.added_tokens_decoder.items()
        dropped = {place for place, token in added if token.special and not is_mark(token.content)}
        spoken = [[place for place in row if place not in dropped] for row in made[:, width:].tolist()]
        return [self._begun + self._tokenizer.decode(row) for row in spoken]
