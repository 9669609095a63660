"""The group's tasks on lm_eval's other models: a service that serves the same tiny model, and vLLM's class on it."""

from types import SimpleNamespace

import pytest
from helpers.engines import Engine, bare
from helpers.harness import evaluate, metrics_of
from helpers.served import serve
from helpers.tiny import TEXT, tiny_model, write_jsonl

from axolotl_slung.evals.documents import embedded as rows_of

OTHERS = ["slung_toxicity", "slung_tofu", "slung_perplexity", "slung_perplexity_reddit"]
"""The group without slung_civilcomments, which needs hidden states."""
ONLY_HF = ("name_rank", "name_rank_chance")


@pytest.fixture(scope="module")
def folder(models):
    return tiny_model(models)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """A few documents for each task; one text is longer than the model's context of 512 tokens."""
    questions = [
        {**row, "paraphrased_answer": f"So: {row['answer']}", "perturbed_answer": [f"So: {row['question']}"]}
        for row in rows_of("SLUNG_TOFU")[:24:3]
    ]
    rows = {
        "tofu": questions,
        "toxicity_prompts": rows_of("SLUNG_TOXICITY_PROMPTS")[:4],
        "perplexity_text": [{"text": text} for text in (TEXT[0], " ".join(TEXT))],
        "perplexity_reddit": [{"text": text} for text in TEXT[1:4]],
    }
    cwd = tmp_path_factory.mktemp("few")
    files = {f"slung_{name}": str(write_jsonl(cwd / f"{name}.jsonl", its)) for name, its in rows.items()}
    return files | {"slung_civilcomments": "embedded"}


@pytest.fixture(scope="module")
def measured(options):
    """Results of tasks on a model, with short answers."""
    return lambda tasks, model, **more: evaluate(
        tasks, model, options | more.pop("off", {}), gen_kwargs="max_gen_toks=12", **more
    )


@pytest.fixture(scope="module")
def of_hf(folder, measured):
    return measured(OTHERS, folder)


@pytest.fixture
def service(engine):
    with serve() as served:
        served.answer = lambda *_: engine.reply(served.bodies[-1])
        yield served


def assert_equal(found, expected, tasks, absent=()):
    """All metrics of the tasks are equal to float tolerance; those in `absent` are NaN."""
    for task in tasks:
        mine, theirs = metrics_of(found, task), metrics_of(expected, task)
        assert mine.keys() == theirs.keys()
        for name, value in theirs.items():
            if name in absent:
                assert value >= 1 and mine[name] != mine[name]
            elif not isinstance(value, str):
                assert mine[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), (task, name)


def test_completions_of_a_service_measure_as_hf(folder, service, measured, of_hf):
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    model = LocalCompletionsAPI(
        # a window of 512 tokens, and the one before them
        base_url=f"{service.url}/v1/completions", model="m", tokenizer=str(folder), tokenizer_backend="huggingface",
        max_length=513,
    )  # fmt: skip
    with pytest.raises(
        NotImplementedError, match="slung_civilcomments: .*LocalCompletionsAPI returns none; use --model hf"
    ):
        measured("slung", model)
    assert not service.bodies
    assert_equal(measured(OTHERS, model), of_hf, OTHERS, absent=ONLY_HF)


def test_vllm_measures_as_hf(engine, measured, of_hf, vllm, monkeypatch):
    monkeypatch.setattr(vllm, "SamplingParams", SimpleNamespace, raising=False)

    class Stubbed(vllm.VLLM):
        max_length = 514

        def _model_generate(self, requests, generate, sampling_params=None, **_):
            return engine.outputs(requests, sampling_params if generate else None)

    attributes = {
        "add_bos_token": None,
        "enable_thinking": None,
        "chat_template_args": {},
        "think_end_token": None,
        "truncation_side": "left",
        "_max_gen_toks": 256,
    }
    model = bare(Stubbed, engine.tokenizer, 514, **attributes)
    with pytest.raises(NotImplementedError, match="slung_civilcomments: .*Stubbed returns none; use --model hf"):
        measured("slung", model)
    assert_equal(measured(OTHERS, model), of_hf, OTHERS, absent=ONLY_HF)


def test_chats_of_a_service_measure_as_hf(folder, service, measured):
    from lm_eval.models.openai_completions import LocalChatCompletion

    tasks, off = ["slung_toxicity", "slung_tofu"], {"slung_tofu_wrong_answers": 0, "slung_tofu_probabilities": False}
    model = LocalChatCompletion(base_url=f"{service.url}/v1/chat/completions", model="m")
    with pytest.raises(
        NotImplementedError, match="slung_civilcomments: .*LocalChatCompletion returns none; use --model hf"
    ):
        measured("slung", model, off=off, apply_chat_template=True)
    with pytest.raises(NotImplementedError, match="slung_perplexity: .*LocalChatCompletion"):
        measured("slung_perplexity", model, apply_chat_template=True)
    assert not service.bodies
    found, expected = (measured(tasks, one, off=off, apply_chat_template=True) for one in (model, folder))
    assert_equal(found, expected, tasks)
    assert {path.rpartition("/v1")[2] for path in service.paths} == {"/chat/completions"}
