"""lm_eval's models on engines that a test brings: a real tiny model behind a service or behind vLLM's class."""

import importlib
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from helpers.served import Reply


class Engine:
    """A tiny model as an engine: greedy completions, and the log-probabilities of the tokens of a prompt."""

    def __init__(self, folder):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()

    def ids(self, prompt):
        return self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt

    def complete(self, prompt, tokens, stop):
        """The greedy completion of a text or of token ids, up to the first of the strings in `stop`."""
        import torch

        ids = torch.tensor([self.ids(prompt)])
        out = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
        text = self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        for end in stop:
            text = text.split(end)[0]
        return text

    def log_p(self, ids):
        """Of each token but the first: its log-probability, and the highest at its place."""
        import torch

        with torch.inference_mode():
            log_p = self.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        return log_p.gather(1, torch.tensor(ids)[1:, None])[:, 0].tolist(), log_p.max(1).values.tolist()

    def reply(self, body):
        """What an OpenAI-compatible service says: chat completions, completions, or an echo with log-probabilities."""
        if "messages" in body:
            prompt = self.tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
            content = self.complete(prompt, body["max_tokens"], body["stop"])
            return Reply({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]})
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        choices = []
        for index, prompt in enumerate(prompts):
            if not body.get("echo"):
                choices.append({"index": index, "text": self.complete(prompt, body["max_tokens"], body["stop"])})
                continue
            own, highest = self.log_p(self.ids(prompt))
            # an echo ends with one new token
            top = [None, *({"most": value} for value in highest), {"most": -1.0}]
            choices.append({"index": index, "logprobs": {"token_logprobs": [None, *own, -1.0], "top_logprobs": top}})
        return Reply({"choices": choices})

    def outputs(self, requests, sampling_params):
        """What vLLM gives for prompts of token ids: completions with `sampling_params`, or else log-probabilities."""
        if sampling_params:
            texts = [self.complete(ids, p.max_tokens, p.stop) for ids, p in zip(requests, sampling_params, strict=True)]
            return [SimpleNamespace(outputs=[SimpleNamespace(text=text)]) for text in texts]
        rows = []
        for ids in requests:
            # the likeliest token stands beside the prompt's own; -1 is nobody's id
            own, highest = self.log_p(ids)
            rows.append([None, *({-1: high} | {token: mine} for token, mine, high in zip(ids[1:], own, highest))])
        return [SimpleNamespace(prompt_logprobs=row) for row in rows]


def bare(kind, tokenizer, context, **attributes):
    """A model of lm_eval without its engine."""
    from lm_eval.api.model import CacheHook

    model = object.__new__(kind)
    settings = {
        "tokenizer": tokenizer,
        "cache_hook": CacheHook(None),
        "batch_size": 4,
        "_rank": 0,
        "_world_size": 1,
        "custom_prefix_token_id": None,
        "_max_length": context,
        **attributes,
    }
    for name, value in settings.items():
        try:
            setattr(model, name, value)
        except AttributeError:  # a property of this class
            model.__dict__[name] = value
    return model


class Absent(ModuleType):
    """A module of vLLM, which needs a GPU: any name in it is a class, and any module below it is one like it."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextmanager
def vllm_module(site):
    """lm_eval's module for vLLM, with stubs for vLLM itself in an empty folder.

    lm_eval registers its models when it is imported, so a process imports it once.
    """
    (site / "vllm-0.11.0.dist-info").mkdir()
    (site / "vllm-0.11.0.dist-info" / "METADATA").write_text("Name: vllm\nVersion: 0.11.0\n")
    below = ("", ".lora", ".lora.request", ".tokenizers", ".utils", ".utils.network_utils", ".entrypoints",
             ".entrypoints.chat_utils", ".transformers_utils", ".transformers_utils.tokenizer")  # fmt: skip
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(site)
        for name in (*(f"vllm{part}" for part in below), *(["ray"] if find_spec("ray") is None else [])):
            monkeypatch.setitem(sys.modules, name, Absent(name))
        yield importlib.import_module("lm_eval.models.vllm_causallms")
