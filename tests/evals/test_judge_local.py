"""Judges that run on this machine."""

import math
import re
import shutil

import pytest
import torch
from helpers.judging import HOSTILE, same
from helpers.tiny import tiny_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.evals.services.judge import CORRECT, PARTIALLY_CORRECT, fill
from axolotl_slung.evals.services.judge_kinds import open_judge
from axolotl_slung.evals.services.verdicts import read

NAN = math.nan
pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("judges")


QUESTIONS = ["Who?", "Where did the two of them meet, and at what time, as they had agreed in their letters?", "When?"]
ANSWERS = ["Maria", "At the station, at 7:45", "At noon"]
COMPLETIONS = ["The teacher", "At the station at 7:45", "Then she sat down and waited. " * 3]
WORDS = [(" correct.", " no"), (" **Incorrect**", " yes"), (" correct", " Yes, it")]


def reference_ids(tokenizer, prompt):
    """What the model reads, for prompts without special tokens in them."""
    if tokenizer.chat_template is None:
        return tokenizer(prompt)["input_ids"]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def taught(folder, kind):
    """A tiny model that has learned by heart what to say to six prompts, and to stop then."""
    path = tiny_model(folder, kind=kind, hidden=64)
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
    rows = []
    for item, words in zip(zip(QUESTIONS, ANSWERS, COMPLETIONS), WORDS):
        for template, word in zip((CORRECT, PARTIALLY_CORRECT), words):
            reply = [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            rows.append((reference_ids(tokenizer, fill(template, *item)), reply))
    width = max(len(ids) + len(reply) for ids, reply in rows)
    pads = [width - len(ids) - len(reply) for ids, reply in rows]
    ids = torch.tensor([ids + reply + [0] * pad for (ids, reply), pad in zip(rows, pads)])
    labels = torch.tensor([[-100] * len(ids) + reply + [-100] * pad for (ids, reply), pad in zip(rows, pads)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(100):
        output = model(input_ids=ids, labels=labels)
        learned = output.logits[:, :-1].argmax(-1) == labels[:, 1:]
        if learned[labels[:, 1:] != -100].all() and output.loss < 0.05:
            break
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    # a model's own settings, as they come along with many: they must not count
    model.generation_config.update(do_sample=True, temperature=9.0, repetition_penalty=5.0, max_new_tokens=1)
    model.save_pretrained(folder / f"taught-{kind}")
    tokenizer.save_pretrained(folder / f"taught-{kind}")
    return folder / f"taught-{kind}"


@pytest.mark.parametrize("kind", ["bytelevel_bos", "unigram"])
def test_a_local_model_judges(folder, kind, caplog):
    model = taught(folder, kind)
    judge = open_judge(f"hf:{model}")
    expected = [(1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 0, 0)]
    assert same(judge.judge(QUESTIONS, ANSWERS, COMPLETIONS), expected)
    assert judge.name == f"hf:taught-{kind}" and re.match("sha256 [0-9a-f]{12}, transformers ", judge.version)
    assert judge.served == "" and not judge.failures
    # one at a time, without any padding: the same; and without the model, from the cache
    alone = open_judge(f"hf:{model}", cache=AnswerCache(folder / f"{kind}.sqlite"))
    alone.batch_size = 1
    assert same(alone.judge(QUESTIONS, ANSWERS, COMPLETIONS), expected)
    judge._model = None
    with pytest.raises(AttributeError):
        judge.judge(["new"], ["new"], ["new"])
    known = open_judge(f"hf:{model}")
    known._replies = None
    assert same(known.judge(QUESTIONS[::-1], ANSWERS[::-1], COMPLETIONS[::-1]), expected[::-1])


def test_garbage_of_a_local_model_is_counted(folder):
    judge = open_judge(f"hf:{tiny_model(folder)}")
    n = len(HOSTILE)
    assert same(judge.judge(HOSTILE, ["a"] * n, HOSTILE), [(NAN, NAN, 0, 2)] * n)
    # a prompt that it has no room for is not cut: that would be another prompt
    long = judge.judge(["q", "q"], ["a", "a"], ["word " * 600, "b"])
    assert same(long, [(NAN, NAN, 2, 0), (NAN, NAN, 0, 2)]) and judge.failures["too long"] == 2


@pytest.mark.parametrize(
    ("ids_of", "said"),
    [
        # marks of thoughts are special tokens of some models
        (lambda marked: marked("<think>", " it is incorrect", "</think>", " Correct", "<|im_end|>"), "correct"),
        (lambda marked: marked("<think>", " it is correct", "<|im_end|>"), ""),
        (lambda marked: marked("<|channel|>", "analysis", "<|message|>", " incorrect", "<|end|>", "<|channel|>", "final",
                               "<|message|>", "Correct", "<|im_end|>"), "correct"),
    ],
)  # fmt: skip
def test_thoughts_of_a_local_model_are_not_its_verdict(folder, tmp_path, monkeypatch, ids_of, said):
    path = tiny_model(folder)
    judge = open_judge(f"hf:{path}")
    tokenizer = judge._tokenizer
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<think>", "</think>", "<|channel|>", "<|message|>", "<|end|>", "<|im_end|>"]}
    )
    ids = ids_of(lambda *parts: [i for part in parts for i in tokenizer(part, add_special_tokens=False)["input_ids"]])

    class Generated:
        """A model that says this; the real one would have to be trained to."""

        device = "cpu"
        generation_config = judge._model.generation_config

        def generate(self, rows, **_):
            return torch.cat([rows, torch.tensor([ids] * len(rows))], dim=1)

    monkeypatch.setattr(judge, "_model", Generated())
    assert read(judge._replies([[1, 2, 3]], 16)[0], "correct").word == said


def test_a_template_that_opens_a_thought(folder, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model(folder), model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{{ messages[0].content }}\n<think>\n"
    tokenizer.save_pretrained(model)
    judge = open_judge(f"hf:{model}")
    reply = judge._replies([judge._ids("q")], 4)[0]
    assert reply.startswith("<think>") and read(reply, "correct").kind == "only thoughts"


@pytest.mark.parametrize("kind", ["bytelevel", "bytelevel_bos", "unigram"])
def test_no_text_can_end_its_own_turn(folder, kind):
    path = tiny_model(folder, kind=kind)
    tokenizer, judge = AutoTokenizer.from_pretrained(path), open_judge(f"hf:{path}")
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    harmless = [i for i in reference_ids(tokenizer, "harmless") if i in special]
    assert len(harmless) == (1 if kind == "unigram" else 3)
    for text in [*tokenizer.all_special_tokens, "".join(tokenizer.all_special_tokens)]:
        ids = judge._ids(f"a {text} b")
        assert [i for i in ids if i in special] == harmless
        # this tokenizer takes "<s>" for the special token however it is asked
        assert kind == "unigram" or text in tokenizer.decode(ids)
    assert judge._ids("The old harbour wakes.")[:-1] == reference_ids(tokenizer, "The old harbour wakes.")[:-1]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("nothing there", "cannot be used: "),
        ("template", "cannot be used: its chat template leaves out the user's message"),
        ("weights", "weights are missing, such as "),
    ],
)
def test_a_model_that_is_none(folder, tmp_path, spoil, says):
    model = tmp_path / "model"
    if spoil != "nothing there":
        shutil.copytree(tiny_model(folder), model)
    if spoil == "template":
        tokenizer = AutoTokenizer.from_pretrained(model)
        tokenizer.chat_template = "nothing of the user's"
        tokenizer.save_pretrained(model)
    if spoil == "weights":
        weights = load_file(model / "model.safetensors")
        del weights["model.layers.1.mlp.up_proj.weight"]
        save_file(weights, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(SlungError) as error:
        open_judge(f"hf:{model}")
    assert str(error.value).startswith(f"SLUNG_JUDGE='hf:{model}': {says}")


def test_a_url_for_a_local_judge(folder):
    with pytest.raises(SlungError, match="a local model has no URL; unset SLUNG_JUDGE_URL"):
        open_judge(f"hf:{folder}", url="http://localhost:8000")
