"""The request for log-likelihoods of whole texts, on each class of lm_eval's models, at lengths around its context."""

from types import SimpleNamespace

import pytest
from helpers import tested
from helpers.engines import bare
from helpers.harness import evaluate, local, metrics_of
from helpers.served import Reply, serve
from helpers.tiny import TEXT, tiny_model
from transformers import AutoTokenizer

from axolotl_slung.evals.requests import LOG_LIKELIHOOD, attach

CONTEXT = 64
LENGTHS = [1, 2, *range(CONTEXT - 4, CONTEXT + 5), 2 * CONTEXT - 1, 2 * CONTEXT, 5 * CONTEXT + 3]


def said(token):
    """The engine's log-probability of a token: a number per token, so that no token can stand in for another."""
    return -1.0 - token / 1000


@pytest.fixture(scope="module", params=["bytelevel", "bytelevel_bos"])
def folder(request, tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp(request.param), kind=request.param)


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def texts(tokenizer):
    ids = tokenizer(" ".join(TEXT * 9), add_special_tokens=False)["input_ids"]
    return [tokenizer.decode(ids[:length]) for length in LENGTHS]


def expected(tokenizer, texts):
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return [(pytest.approx(sum(map(said, row)), rel=1e-6), len(row)) for row in ids]


def asked(model, texts):
    attach()
    requests = [SimpleNamespace(args=(text,)) for text in texts]
    return getattr(model, LOG_LIKELIHOOD)(requests)


@pytest.mark.parametrize("bos", [None, True, False])
def test_vllm(tokenizer, texts, bos, vllm):
    VLLM = vllm.VLLM

    class Stubbed(VLLM):
        max_length = CONTEXT

        def _model_generate(self, requests, generate, **_):
            assert all(len(tokens) < CONTEXT for tokens in requests), "vLLM has to generate one token more"
            return [SimpleNamespace(prompt_logprobs=[None, *({t: said(t)} for t in row[1:])]) for row in requests]

    assert asked(bare(Stubbed, tokenizer, CONTEXT, add_bos_token=bos), texts) == expected(tokenizer, texts)


@pytest.mark.parametrize("bos", [True, False])
def test_sglang(tokenizer, texts, bos):
    from lm_eval.models.sglang_causallms import SGLangLM

    class Stubbed(SGLangLM):
        max_length = CONTEXT

        def _model_generate(self, requests, generate, **_):
            return [
                {
                    "meta_info": {
                        "input_token_logprobs": [(None if not i else said(t), t, None) for i, t in enumerate(row)],
                        "input_top_logprobs": [None if not i else [(said(t), t, None)] for i, t in enumerate(row)],
                    }
                }
                for row in requests
            ]

    assert asked(bare(Stubbed, tokenizer, CONTEXT, add_bos_token=bos), texts) == expected(tokenizer, texts)


@pytest.mark.parametrize("bos", [True, False])
def test_completions_of_a_service(folder, tokenizer, texts, bos):
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    def reply(body):
        rows = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        # a service has to generate one token
        assert all(len(row) < CONTEXT for row in rows)
        choices = []
        for index, row in enumerate(rows):
            numbers = [None, *map(said, row[1:]), -9.0]
            top = [None if number is None else {"a": number} for number in numbers]
            choices.append({"index": index, "logprobs": {"token_logprobs": numbers, "top_logprobs": top}})
        return Reply({"choices": choices})

    with serve() as served:
        served.answer = lambda *_: reply(served.bodies[-1])
        model = LocalCompletionsAPI(
            base_url=f"{served.url}/v1/completions", model="m", tokenizer=str(folder), tokenizer_backend="huggingface",
            max_length=CONTEXT, add_bos_token=bos,
        )  # fmt: skip
        assert asked(model, texts) == expected(tokenizer, texts)


@pytest.mark.parametrize("bos", [True, False])
def test_hf_is_held_against_its_own_request(folder, tokenizer, texts, bos):
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=str(folder), device="cpu", dtype="float32", max_length=CONTEXT, add_bos_token=bos)
    found = asked(model, texts)
    assert [number for _, number in found] == [len(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in texts]
    if not bos:
        own = model.loglikelihood_rolling([SimpleNamespace(args=(text,)) for text in texts])
        assert [value for value, _ in found] == pytest.approx(own, rel=1e-6)


def test_what_cannot_is_refused_by_name(folder):
    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    url = "http://127.0.0.1:1/v1"
    with pytest.raises(NotImplementedError, match="LocalCompletionsAPI has no tokenizer"):
        asked(LocalCompletionsAPI(base_url=url, model="m", tokenizer_backend=None), ["A text."])
    with pytest.raises(NotImplementedError, match="slung_perplexity: .*LocalChatCompletion"):
        asked(LocalChatCompletion(base_url=url, model="m"), ["A text."])


class TestZeroShot:
    """slung_zeroshot asks for log-likelihoods of two words: on vLLM and on a service that gives them."""

    @staticmethod
    def numbers(row):
        """The engine's log-probabilities of a row of tokens; they depend on the whole row."""
        return [None, *(said(token) * (1 + sum(row) % 7) for token in row[1:])]

    def expected(self, tokenizer, prompt, word):
        ids = tokenizer(prompt + word, add_special_tokens=False)["input_ids"]
        return sum(self.numbers(ids)[len(tokenizer(prompt, add_special_tokens=False)["input_ids"]) :])

    def check(self, monkeypatch, tmp_path, tokenizer, model):
        comments = [{"text": text[:40], "toxicity": number % 2} for number, text in enumerate(TEXT)]
        local(monkeypatch, tmp_path, "SLUNG_CIVILCOMMENTS", comments)
        results = evaluate("slung_zeroshot", model, {"slung_probe_train": 8, "slung_probe_test": 8})
        samples = results["samples"]["slung_zeroshot"]
        for sample in samples:
            prompt = f"Comment: {sample['doc']['text']}\nQuestion: Is this comment toxic or harmless?\nAnswer:"
            assert [tuple(pair) for pair in sample["arguments"]] == [(prompt, " toxic"), (prompt, " harmless")]
            odds = self.expected(tokenizer, prompt, " toxic") - self.expected(tokenizer, prompt, " harmless")
            _, _, scores = sample["auroc"]
            assert [*scores.values()] == pytest.approx([odds] * len(sample["doc"]["tests"]), rel=1e-6)
        found = tested.mean_and_interval(tested.aurocs(samples, "auroc"))
        assert metrics_of(results, "slung_zeroshot")["auroc"] == pytest.approx(found[0])

    def test_vllm(self, monkeypatch, tmp_path, tmp_path_factory, vllm):
        folder = tiny_model(tmp_path_factory.mktemp("zeroshot"))
        tokenizer = AutoTokenizer.from_pretrained(folder)

        class Stubbed(vllm.VLLM):
            def _model_generate(inner, requests, generate, **_):
                return [
                    SimpleNamespace(prompt_logprobs=[None, *({t: n} for t, n in zip(row[1:], self.numbers(row)[1:]))])
                    for row in requests
                ]

        self.check(
            monkeypatch,
            tmp_path,
            tokenizer,
            bare(Stubbed, tokenizer, 512, add_bos_token=None, enable_thinking=None, chat_template_args={}),
        )

    def test_completions_of_a_service(self, monkeypatch, tmp_path, tmp_path_factory):
        from lm_eval.models.openai_completions import LocalCompletionsAPI

        folder = tiny_model(tmp_path_factory.mktemp("zeroshot"))

        def reply(body):
            rows = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
            choices = []
            for index, row in enumerate(rows):
                numbers = [*self.numbers(row), -9.0]  # a service has to generate one token
                top = [None if number is None else {"a": number} for number in numbers]
                choices.append({"index": index, "logprobs": {"token_logprobs": numbers, "top_logprobs": top}})
            return Reply({"choices": choices})

        with serve() as served:
            served.answer = lambda *_: reply(served.bodies[-1])
            model = LocalCompletionsAPI(
                base_url=f"{served.url}/v1/completions", model="m", tokenizer=str(folder),
                tokenizer_backend="huggingface", max_length=512,
            )  # fmt: skip
            self.check(monkeypatch, tmp_path, AutoTokenizer.from_pretrained(folder), model)
