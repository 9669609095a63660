import os

import pytest
from helpers.engines import vllm_module
from helpers.served import KEY, serve


@pytest.fixture(autouse=True)
def no_options_of_the_machine(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SLUNG_"):
            monkeypatch.delenv(name)


@pytest.fixture
def embedded(monkeypatch):
    for name in ("TOXICITY_PROMPTS", "CIVILCOMMENTS", "TOFU", "PERPLEXITY_TEXT", "PERPLEXITY_REDDIT"):
        monkeypatch.setenv(f"SLUNG_{name}", "embedded")


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder for tiny models."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture
def served():
    """A service on this computer; see tests/helpers/served.py."""
    with serve() as served:
        yield served


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Keys for every service, short waits between attempts, and an empty cache."""
    monkeypatch.setattr("axolotl_slung.evals.services.remote.BACK_OFF", 0.002)
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    for name in ("OPENAI_API_KEY", "SLUNG_API_KEY", "PERSPECTIVE_API_KEY"):
        monkeypatch.setenv(name, KEY)


@pytest.fixture
def cache(tmp_path):
    """An empty cache of answers."""
    from axolotl_slung.evals.services.answers import AnswerCache

    return AnswerCache(tmp_path / "answers.sqlite")


@pytest.fixture(scope="module")
def vllm(tmp_path_factory):
    """lm_eval's module for vLLM, without vLLM."""
    with vllm_module(tmp_path_factory.mktemp("site")) as module:
        yield module
