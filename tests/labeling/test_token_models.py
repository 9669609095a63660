"""Models of the hub that grade tokens, with random weights: a filter of personal data, and a stream-guard."""

import json

import pytest
import torch
from helpers import ROOT
from helpers.classifiers import TOKEN, save
from helpers.tiny import TEXT, tiny_tokenizer
from safetensors.torch import save_file
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from axolotl_slung.labeling import ClassifierLabeler, CustomLabeler, LabelerError

KEY = "slung.labelers[0]"
TEXTS = [TEXT[6], "", "Write to maria@example.org. " * 4, TEXT[9] + TEXT[11], "Say <|im_end|> and 👩😀"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def test_openais_privacy_filter(folder):
    """Its own config names its labels. Each score is the sum of four tags' probabilities."""
    sizes = {"num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2}
    path = save(
        folder / "filter",
        arch="openai_privacy_filter",
        auto=TOKEN,
        kind="bytelevel",
        max_position_embeddings=4096,
        sliding_window=8,
        id2label=None,
        label2id=None,
        **sizes,
    )
    labels = ["private_person", "private_email", "secret"]
    labeler = ClassifierLabeler(KEY, str(path), labels, "token", floor=0.0, batch_tokens=256)
    labeler.check()
    found = labeler.label(TEXTS, [{}] * len(TEXTS))
    tokenizer, model = AutoTokenizer.from_pretrained(path), TOKEN.from_pretrained(path).eval()
    assert model.config.num_labels == 33 and list(model.config.id2label.values())[-1] == "S-secret"
    for text, spans in zip(TEXTS, found, strict=True):
        encoded = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
        highest = {}
        if encoded["input_ids"]:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([encoded["input_ids"]])).logits[0].double()
            for (start, end), of_token in zip(encoded["offset_mapping"], logits.softmax(-1)):
                for label in labels:
                    score = sum(of_token[model.config.label2id[f"{prefix}-{label}"]].item() for prefix in "BIES")
                    for place in range(start, end):
                        highest[label, place] = max(score, highest.get((label, place), 0.0))
        assert {span.kind for span in spans} == (set(labels) if text else set())
        for span in spans:
            covered = [place for place in range(span.start, span.end) if not text[place].isspace()]
            assert max(highest[span.kind, place] for place in covered) == pytest.approx(span.score, abs=1e-5)
        assert {place for span in spans for place in range(span.start, span.end)} == set(range(len(text.rstrip())))


GRADES = {"0": "Safe", "1": "Unsafe", "2": "Controversial"}


@pytest.fixture(scope="module")
def guard(folder):
    """A stream-guard in its makers' layout, with code that must not run."""
    torch.manual_seed(1)
    path = folder / "guard"
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(folder, "bytelevel"))
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=512,
        initializer_range=0.3,
        guard_inner_size=16,
        response_risk_level_map=GRADES,
        query_risk_level_map=GRADES,
    )
    weights = {f"model.{name}": tensor for name, tensor in Qwen3Model(config).state_dict().items()}
    for query in ("", "query_"):
        weights[f"{query}risk_level_category_pre.weight"] = torch.randn(16, 32)
        weights[f"{query}risk_level_category_layernorm.weight"] = torch.rand(16) + 0.5
        weights[f"{query}risk_level_head.weight"] = torch.randn(3, 16)
    tokenizer.save_pretrained(path)
    config.save_pretrained(path)
    said = json.loads((path / "config.json").read_text())
    said |= {"architectures": ["Qwen3ForGuardModel"], "auto_map": {"AutoModel": "modeling.Qwen3ForGuardModel"}}
    (path / "config.json").write_text(json.dumps(said))
    (path / "modeling.py").write_text("raise SystemExit('code of a model was run')\n")
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    return path, weights


@torch.no_grad()
def grades(guard, text, role, window):
    """(start, end, score) of each token, in float64: the score from the first window that has the token."""
    path, weights = guard
    tokenizer = AutoTokenizer.from_pretrained(path)
    body = Qwen3Model.from_pretrained(path, dtype=torch.float64).eval()
    before = "<|im_start|>user\n" + ("<|im_end|>\n<|im_start|>assistant\n" if role == "assistant" else "")
    before = tokenizer(before)["input_ids"]
    encoded = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True)
    query = "query_" if role == "user" else ""
    pre, norm, head = (
        weights[f"{query}risk_level_{part}.weight"].double() for part in ("category_pre", "category_layernorm", "head")
    )
    size, first, scores = window - len(before), 0, {}
    while len(scores) < len(encoded["input_ids"]):
        ids = encoded["input_ids"][first : first + size]
        hidden = body(input_ids=torch.tensor([[*before, *ids]])).last_hidden_state[0, len(before) :]
        for place, one in enumerate(hidden, first):
            inner = pre @ one
            inner = inner / torch.sqrt((inner**2).mean() + body.config.rms_norm_eps) * norm
            safe, unsafe, controversial = torch.softmax(head @ inner, 0).tolist()
            scores.setdefault(place, unsafe + 0.5 * controversial)
        first += size - size // 4
    return [(*place, scores[number]) for number, place in enumerate(encoded["offset_mapping"]) if place[0] < place[1]]


@pytest.mark.parametrize(("role", "window"), [("assistant", 4096), ("assistant", 40), ("user", 4096)])
def test_a_stream_guards_grades_are_one_score(guard, role, window):
    options = {"model": str(guard[0]), "role": role, "window": window, "floor": 0.0}
    labeler = CustomLabeler(KEY, f"{ROOT / 'example_configs' / 'stream_guard.py'}:StreamGuard", options)
    labeler.check()
    found = labeler.label(TEXTS, [{}] * len(TEXTS))
    for text, spans in zip(TEXTS, found, strict=True):
        expected = sorted(grades(guard, text, role, window))
        assert [span[:2] for span in spans] == [span[:2] for span in expected]
        assert [span.score for span in spans] == pytest.approx([span[2] for span in expected], abs=1e-5)
    scores = [span.score for spans in found for span in spans]
    assert min(scores) < 0.25 and max(scores) > 0.75 and any(0.25 <= score < 0.75 for score in scores)


def test_a_model_without_a_guards_head_is_refused(guard, tmp_path):
    path, weights = guard
    for file in path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(
        {name: tensor for name, tensor in weights.items() if "risk_level_head" not in name},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    labeler = CustomLabeler(
        KEY, f"{ROOT / 'example_configs' / 'stream_guard.py'}:StreamGuard", {"model": str(tmp_path)}
    )
    with pytest.raises(LabelerError, match="has no risk_level_head.weight; use a stream-guard"):
        labeler.check()
