"""Language models that judge whether answers are correct, by the paper's two questions per answer."""

from __future__ import annotations

import math
import re
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ...errors import SlungError, first_line
from ...labeling.base import utf8_safe
from ...labeling.classifier.model import files_of
from .answers import AnswerCache, digest
from .remote import ask_all
from .remote_scorers import is_openai, openai_service, served_model
from .scorers import digest_of, short_name

# These are the prompts of the paper's appendix A (SLUNG, A.1 and A.2). Another prompt would be another measure.
CORRECT = (
    "Given a question and the correct answer, you will assess whether the candidate response contains the information in "
    "the correct answer. If the candidate response begins to hallucinate a next question-answer pair, ignore them. If a "
    "response is incomplete, grade it based on the text provided. Respond with either correct or incorrect and explain "
    "why. Question: {question} Correct answer: {ground_truth} Candidate response: {completion} Answer:"
)
"""Full correctness; the reply begins with correct or incorrect."""

PARTIALLY_CORRECT = (
    "Given a question and the correct answer, you will assess whether the candidate response contains any relevant "
    "information that is present in the correct answer but not in the question itself. If the candidate response begins to "
    "hallucinate a next question-answer pair, ignore them. If a response is incomplete, grade it based on the text "
    "provided. Respond with either yes or no and explain why. Question: {question} Correct answer: {ground_truth} "
    "Candidate response: {completion} Answer:"
)
"""Partial correctness; the reply begins with yes or no."""

REPLY_TOKENS = 16
"""The maximum length of a reply. Only its first word counts, after characters such as asterisks."""

_VERDICTS = {"correct": 1.0, "incorrect": 0.0}, {"yes": 1.0, "no": 0.0}

_FIRST_WORD = re.compile(r"""[\s*"'“”‘’]*(correct|incorrect|yes|no)(?=[\s*"'“”‘’.,:;!)—–]|$)""", re.IGNORECASE)

_DATE = re.compile(r"-\d{4}(-\d{2}-\d{2})?(?!\d)")


class Verdict(NamedTuple):
    """The judge's verdict on one answer.

    Attributes:
        correct: 1.0 if it contains the information of the correct answer, otherwise 0.0; NaN without a verdict.
        partially_correct: 1.0 if it contains any of that information that is not in the question, otherwise 0.0; NaN
            without a verdict.
        failed, unparsed: of the two prompts, how many got no reply, and how many a reply without a verdict.
    """

    correct: float
    partially_correct: float
    failed: int
    unparsed: int


class Judge(ABC):
    """Asks a language model whether answers are correct.

    Attributes:
        name: the kind and the model.
        version: what determines the verdicts, besides the name.
        served: the model or models that a service said it used; "" for a local one.
        failures: per reason, the number of prompts without a reply so far.
    """

    name: str
    version: str
    served: str = ""

    def __init__(self):
        self.failures: Counter = Counter()

    def judge(self, questions: Sequence[str], answers: Sequence[str], completions: Sequence[str]) -> list[Verdict]:
        """Judge answers.

        Args:
            questions: n questions.
            answers: their correct answers.
            completions: the n answers to judge; any Unicode. They are inserted unchanged, even if one tries to speak
                for the judge.

        Raises:
            SlungError: the service rejects the key.
            ValueError: the three differ in length.
        """
        items = list(zip(questions, answers, completions, strict=True))
        prompts = [fill(template, *item) for item in items for template in (CORRECT, PARTIALLY_CORRECT)]
        words = self._first_words(prompts)
        return [_verdict(*words[first : first + 2]) for first in range(0, len(words), 2)]

    @abstractmethod
    def _first_words(self, prompts: list[str]) -> list[str | None]:
        """`first_word` of the reply to each prompt; None if there is no reply."""


def fill(template: str, question: str, answer: str, completion: str) -> str:
    """A prompt with its texts filled in. Braces in the texts stay as they are; a lone surrogate becomes U+FFFD."""
    texts = {"question": question, "ground_truth": answer, "completion": completion}
    return utf8_safe(re.sub(r"\{(question|ground_truth|completion)\}", lambda match: texts[match[1]], template))


def first_word(reply: str) -> str:
    """`correct`, `incorrect`, `yes` or `no` if the reply begins with that word in any case, otherwise ""."""
    match = _FIRST_WORD.match(reply)
    return match[1].lower() if match else ""


def _verdict(*words: str | None) -> Verdict:
    values = [known.get(word, math.nan) for known, word in zip(_VERDICTS, words)]
    failed = sum(word is None for word in words)
    return Verdict(*values, failed, sum(map(math.isnan, values)) - failed)


def open_judge(
    spec: str,
    *,
    key: str = "SLUNG_JUDGE",
    url: str | None = None,
    concurrency: int = 8,
    per_second: float | None = None,
    cache: AnswerCache | None = None,
) -> Judge:
    """Open a judge.

    Args:
        spec: `openai:MODEL` or `hf:MODEL`. The first is a model at OpenAI, with the key in OPENAI_API_KEY, or at a
            compatible service at `url`, with an optional key in SLUNG_API_KEY. The second is a folder or a model of the
            Hugging Face hub, which runs locally.
        key: the option that `spec` comes from; errors begin with it.
        url: the service's address, if not OpenAI's.
        concurrency: the maximum number of parallel requests to a service.
        per_second: the maximum number of requests that start per second; None for no limit.
        cache: stores the first words of replies; None for the default cache.

    Raises:
        SlungError: the kind or the model is unknown, the key is missing, or the name of an OpenAI model has no date.
    """
    said = f"{key}={spec!r}"
    kind, _, model = spec.partition(":")
    if kind not in ("openai", "hf") or not model:
        raise SlungError(
            f"{said}: unknown judge; expected openai:MODEL (any compatible service, with {key}_URL) or hf:MODEL"
        )
    cache = AnswerCache() if cache is None else cache
    if kind == "openai":
        return OpenAIJudge(said, model, url, concurrency, per_second, cache)
    if url is not None:
        raise SlungError(f"{said}: a local model has no URL; unset {key}_URL, or use openai:MODEL")
    return LocalJudge(said, model, cache)


class OpenAIJudge(Judge):
    """A chat model at OpenAI or a service with the same interface.

    Args:
        said: the option and its value.
        model: the model's name at the service.
        url, concurrency, per_second, cache: see `open_judge`.
    """

    def __init__(
        self, said, model: str, url: str | None, concurrency: int, per_second: float | None, cache: AnswerCache
    ):
        super().__init__()
        official = url is None or is_openai(url)
        if official and not _DATE.search(model):
            raise SlungError(
                f"{said}: {model} has no date, so OpenAI may change the model and with it the verdicts; use a dated "
                "name, such as openai:gpt-4o-2024-11-20"
            )
        self._service = openai_service(said, url)
        self._model, self._cache = model, cache
        self._limits = {"concurrency": concurrency, "per_second": per_second}
        # newer OpenAI models accept only the first name, most other services only the second
        limit = {"max_completion_tokens" if official else "max_tokens": REPLY_TOKENS}
        self._parameters = {"temperature": 0, "seed": 0, **limit}
        self.name, self.version = f"openai:{model}", self._service.url
        self._served: set[str] = set()

    @property
    def served(self) -> str:
        """The model or models that the service said it used."""
        return ", ".join(sorted(self._served))

    def _first_words(self, prompts: list[str]) -> list[str | None]:
        requests = [("verdict 1", self.name, self._service.url, repr(self._parameters), prompt) for prompt in prompts]
        answers = ask_all(requests, lambda request: self._ask(request[-1]), self._cache, what=self.name, **self._limits)
        self.failures.update(answers.failures)
        self._served.update(answer["served"] for answer in answers.values if answer and answer["served"])
        return [answer["word"] if answer else None for answer in answers.values]

    def _ask(self, prompt: str) -> dict:
        body = {"model": self._model, "messages": [{"role": "user", "content": prompt}], **self._parameters}
        return self._service.post("/chat/completions", body, self._read)

    def _read(self, reply: dict) -> dict:
        # only the first word: the reply may quote the texts, which must not get into the cache
        return {"word": first_word(reply["choices"][0]["message"]["content"]), "served": served_model(reply)}


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
        super().__init__()
        self._cache = cache
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
        if not found:
            raise ValueError("its chat template leaves out the user's message")
        return tuple(self._tokenizer(part, add_special_tokens=False)["input_ids"] for part in (before, behind))

    def _generate_greedily(self) -> None:
        from transformers import GenerationConfig

        ends, padding = self._model.generation_config.eos_token_id, self._tokenizer.pad_token_id
        # replaces the model's own config, which may sample or penalize repetition; arguments would only add to it
        self._model.generation_config = GenerationConfig(
            max_new_tokens=REPLY_TOKENS,
            do_sample=False,
            eos_token_id=self._tokenizer.eos_token_id if ends is None else ends,
            pad_token_id=padding or 0,
        )

    def _first_words(self, prompts: list[str]) -> list[str | None]:
        import torch

        keys = [digest(("verdict 1", self.name, self.version, str(REPLY_TOKENS), prompt)) for prompt in prompts]
        words = self._cache.read(keys)
        todo = {key: self._ids(prompt) for key, prompt in zip(keys, prompts) if key not in words}
        room = getattr(self._model.config.get_text_config(), "max_position_embeddings", None) or math.inf
        fitting = sorted((key for key in todo if len(todo[key]) + REPLY_TOKENS <= room), key=lambda key: len(todo[key]))
        if fitting:
            try:
                self._model.to("cuda" if torch.cuda.is_available() else "cpu")
                for first in tqdm(range(0, len(fitting), self.batch_size), desc=self.name, file=sys.stderr):
                    some = fitting[first : first + self.batch_size]
                    for key, reply in zip(some, self._replies([todo[key] for key in some])):
                        words[key] = first_word(reply)
                        self._cache.write(key, words[key])
            finally:
                self._model.to("cpu")
                torch.cuda.empty_cache()
        self.failures.update("too long" for key in keys if key not in words)
        return [words.get(key) for key in keys]

    def _ids(self, prompt: str) -> list[int]:
        ids = self._tokenizer(prompt, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        # some tokenizers find special tokens anyway
        special = set(self._tokenizer.all_special_ids) - {self._tokenizer.unk_token_id}
        return [*self._lead, *(i for i in ids if i not in special), *self._trail]

    def _replies(self, rows: list[list[int]]) -> list[str]:
        import torch

        width = max(map(len, rows))
        ids = torch.tensor([[self._model.generation_config.pad_token_id] * (width - len(row)) + row for row in rows])
        attended = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        with torch.inference_mode():
            made = self._model.generate(ids.to(self._model.device), attention_mask=attended.to(self._model.device))
        return self._tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
