import hashlib
import json
import time

import fasttext
import numpy as np
import pytest
import torch
from helpers.tiny import TEXT, tiny_tokenizer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.fitted.scorer import BUNDLED
from axolotl_slung.evals.services.scorers import KINDS, open_scorer, split_specs
from axolotl_slung.labeling.profanity.model import probabilities

pytestmark = pytest.mark.usefixtures("quick")

LONGEST = 24
LINES = {
    "toxic": ["you are a stupid idiot", "shut up you moron", "what an ugly stupid fool", "idiot moron fool"],
    "clean": ["have a lovely day", "the weather is fine today", "thank you for the kind words", "see you at noon"],
}
SILENT = ["", " ", "\n\t", "\u2003\u00a0", "\x1f"]
AWKWARD = [
    "\ud800",
    "a\0b\0",
    "\udfff toxic \ud800",
    "👩\u200d👩\u200d👧",
    "\u200b",
    "[SEP] [CLS]",
    "</s>",
    "x" * 3000,
    "\r\nyou\r\n",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scorers")


def train(folder, **settings):
    lines = folder / "train.txt"
    lines.write_text("".join(f"__label__{name} {line}\n" for name, some in LINES.items() for line in some) * 50)
    model = fasttext.train_supervised(
        str(lines), dim=10, epoch=20, lr=0.5, wordNgrams=2, bucket=1000, thread=11, verbose=0, **settings
    )
    path = folder / f"model-{len(settings)}.bin"
    model.save_model(str(path))
    return path


@pytest.fixture(scope="module")
def binary(folder):
    return train(folder)


@pytest.fixture(scope="module")
def classifier(folder):
    """A tiny classifier with random weights, wide enough for scores that differ."""
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer(folder, "wordpiece"))
    labels = ["fine", "toxic", "insult"]
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LONGEST,
        initializer_range=0.5,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        problem_type="multi_label_classification",
    )
    path = folder / "tiny-toxic"
    AutoModelForSequenceClassification.from_config(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def check(scorer, texts):
    scores = scorer.score(texts)
    assert scores.shape == (len(texts),) and scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all() and not scorer.failures and scorer.served == ""
    assert [score for score, text in zip(scores, texts) if not text.strip()] == [0.0] * sum(
        not text.strip() for text in texts
    )
    return scores


# ---------------------------------------------------------------------------------------------------------------- local


def test_profanity_is_the_labelers_model():
    scorer = open_scorer("profanity")
    texts = [*TEXT, "You stupid idiot! " * 3]
    assert check(scorer, [*texts, *SILENT])[: len(texts)] == pytest.approx(probabilities(texts), abs=1e-12)
    assert scorer.score(["you fucking idiot", "have a lovely day"]).round() == pytest.approx([1, 0])
    assert scorer.name == "profanity"
    assert scorer.version.startswith("alt-profanity-check 1.") and ", scikit-learn 1." in scorer.version
    check(scorer, AWKWARD)


def test_two_thousand_texts_are_scored_in_no_time():
    scorer = open_scorer("profanity")
    texts = [" ".join(TEXT[i % 11 : i % 11 + 3]) + str(i) for i in range(2000)]
    start = time.process_time()  # other processes take none of it
    scores = check(scorer, texts)
    assert time.process_time() - start < 2 and len(set(scores)) > 10


@pytest.mark.parametrize("spec", ["profanity", "fitted"])
@given(texts=st.lists(st.text(st.characters()), max_size=4))
@example(texts=AWKWARD)
def test_any_unicode(spec, texts):
    check(open_scorer(spec), texts)


def test_the_default_comes_with_the_package():
    scorer = open_scorer("fitted")
    harmless = ["My aunt is gay and teaches math.", "Muslims and Jews came to the picnic.", "have a lovely day"]
    scores = check(scorer, ["you fucking idiot", "what a piece of shit", *harmless, *SILENT])
    assert (scores[:2] > 0.6).all() and (scores[2:] < 0.5).all()
    assert (
        scorer.name == "fitted" and scorer.version == f"sha256 {hashlib.sha256(BUNDLED.read_bytes()).hexdigest()[:12]}"
    )
    # one at a time, all at once, in another order: the same
    texts = [*TEXT, *harmless]
    assert [scorer.score([text])[0] for text in texts] == pytest.approx(scorer.score(texts), abs=1e-12)
    assert scorer.score(texts[::-1]) == pytest.approx(scorer.score(texts)[::-1], abs=1e-12)
    card = scorer.file.card
    assert card["data"]["rows"] == 4020 and [one["source"] for one in card["also"]] == [
        "harmless.jsonl",
        "jigsaw.jsonl",
        "reddit.jsonl",
    ]


def fasttexts_own(path, text, label="__label__toxic"):
    labels, values = fasttext.load_model(str(path)).predict(text, k=-1)
    return min(dict(zip(labels, values))[label], 1.0)


def test_fasttext_reads_whole_texts_as_one_line(binary):
    scorer = open_scorer(f"fasttext:{binary}")
    texts = ["have a lovely day", "you are a\nstupid idiot", "  the weather. Idiot!\r\nSee you at noon ", "unknownword"]
    lines = ["have a lovely day", "you are a stupid idiot", "the weather. Idiot! See you at noon", "unknownword"]
    scores = check(scorer, texts)
    assert scores == pytest.approx([fasttexts_own(binary, line) for line in lines], abs=2e-6)
    assert scores[1] > 0.9 and scores[0] < 0.1
    assert scorer.name == f"fasttext:{binary.name}#__label__toxic" and str(binary.parent) not in scorer.name
    assert scorer.version == f"sha256 {hashlib.sha256(binary.read_bytes()).hexdigest()[:12]}"
    # one at a time, all at once, in another order: the same
    assert [scorer.score([text])[0] for text in texts] == scores.tolist()
    assert scorer.score(texts[::-1]).tolist() == scores.tolist()[::-1]
    clean = open_scorer(f"fasttext:{binary}#__label__clean").score(texts)
    assert clean + scores == pytest.approx([1] * 4, abs=1e-4)
    assert scorer.score([]).shape == (0,)


def test_fasttext_reads_on_behind_its_own_end_of_line(binary):
    scorer = open_scorer(f"fasttext:{binary}")
    hidden, plain, glued = scorer.score(
        ["</s> </s>\0</s>\nyou are a stupid idiot", "you are a stupid idiot", "see</s>noon have a lovely day"]
    )
    assert hidden == pytest.approx(plain, abs=1e-6) and plain > 0.9
    assert glued == pytest.approx(fasttexts_own(binary, "see</s>noon have a lovely day"), abs=2e-6)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("#lowercase", {"lowercase": True}),
        ("#spaced_punctuation=.!,#", {"spaced_punctuation": ".!,#"}),
        ("#__label__clean#lowercase#spaced_punctuation=!", {"lowercase": True, "spaced_punctuation": "!"}),
    ],
)
def test_fasttext_reads_texts_as_its_labeler_prepares_them(binary, options, settings):
    from axolotl_slung.labeling.fasttext.labeler import FastTextLabeler

    scorer = open_scorer(f"fasttext:{binary}{options}")
    label = "__label__clean" if "clean" in options else "__label__toxic"
    texts = ["You STUPID Idiot!", "idiot!you, fool", "Have a lovely day."]
    labeler = FastTextLabeler("key", str(binary), label, **settings)
    labeler.check()
    scores = check(scorer, texts)
    assert scores == pytest.approx(labeler.score_texts(texts), abs=1e-6)
    assert not np.allclose(scores, open_scorer(f"fasttext:{binary}#{label}").score(texts), atol=1e-3)
    # the results tell it from the scorer without them
    assert scorer.name == f"fasttext:{binary.name}#{label}{options.removeprefix('#__label__clean')}"
    assert len(split_specs(f"fasttext:{binary}{options},profanity")) == 2


def test_fasttext_that_does_not_report_the_label(folder):
    hierarchical = train(folder, loss="hs")
    scores = check(open_scorer(f"fasttext:{hierarchical}"), ["have a lovely day", "you are a stupid idiot", "zz"])
    assert scores[1] > 0.9 and scores[0] < 0.1


def test_fasttext_of_any_unicode(binary):
    scorer = open_scorer(f"fasttext:{binary}")

    @given(st.lists(st.text(st.characters()), max_size=4))
    @example(AWKWARD)
    @example(SILENT)
    def any_text(texts):
        check(scorer, texts)

    any_text()


def highest_window(path, text):
    """A slow reference: every window alone."""
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForSequenceClassification.from_pretrained(path)
    cls, *ids, sep = tokenizer(text)["input_ids"]
    size, scores = LONGEST - 2, []
    for first in range(0, len(ids), size - size // 4):
        window = torch.tensor([[cls, *ids[first : first + size], sep]])
        scores.append(model(input_ids=window).logits.sigmoid()[0, 1].item())
        if first + size >= len(ids):
            break
    return max(scores)


def test_a_classifier_gives_the_worst_of_its_windows(classifier):
    scorer = open_scorer(f"classifier:{classifier}")
    texts = [TEXT[0], TEXT[3], " ".join(TEXT[:4]), TEXT[9]]
    scores = check(scorer, [*texts, *SILENT])[:4]
    with torch.no_grad():
        assert scores == pytest.approx([highest_window(classifier, text) for text in texts], abs=1e-5)
    assert len(set(scores)) > 2  # a window of the third text may be the whole of the first
    assert scorer.name == "classifier:tiny-toxic#toxic"
    assert "sha256 " in scorer.version and "transformers " in scorer.version
    other = open_scorer(f"classifier:{classifier}#insult")
    assert other.version == scorer.version and not np.allclose(other.score(texts), scores)


def test_a_classifiers_version_is_that_of_its_files(classifier, folder):
    import shutil

    copy = shutil.copytree(classifier, folder / "copy")
    version = open_scorer(f"classifier:{classifier}").version
    assert open_scorer(f"classifier:{copy}").version == version
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-3}))
    assert open_scorer(f"classifier:{copy}").version != version


def test_a_classifier_of_any_unicode(classifier):
    scorer = open_scorer(f"classifier:{classifier}")

    @settings(max_examples=20)
    @given(st.lists(st.text(st.characters()), max_size=3))
    @example(AWKWARD)
    def any_text(texts):
        check(scorer, texts)

    any_text()


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "unknown scorer; expected one of fitted[:FILE], profanity, fasttext:MODEL"),
        ("nonsense", "unknown scorer"),
        ("Profanity", "unknown scorer"),
        ("profanity:en", "takes no argument"),
        ("toxic-bert:/nowhere/model", "is not a folder here"),
        ("fasttext", "no model, or no label"),
        ("fasttext:", "no model, or no label"),
        ("fasttext:#label", "no model, or no label"),
        ("fasttext:model.bin#", "no label after #"),
        ("fasttext:/nowhere/model.bin", "model: '/nowhere/model.bin': expected a file, "),
        ("fasttext:https://example.com/model.bin", "expected a file, got a URL; download the model"),
        ("classifier", "no model, or no label"),
        ("classifier:/nowhere/model", "model: '/nowhere/model': is not a folder here"),
        ("perspective:toxicity", "is not an attribute; expected a name such as TOXICITY"),
    ],
)
def test_specs(spec, says):
    with pytest.raises(SlungError) as error:
        open_scorer(spec, key="--metadata slung_scorer")
    assert str(error.value).startswith(f"--metadata slung_scorer={spec!r}: ") and says in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_that_are_told_of_exist(kind):
    word = kind.partition(":")[0].partition("[")[0]
    word = kind.replace("NAME", "llama-guard") if word == "guard" else word
    with pytest.raises(
        SlungError, match=r"a local model has no URL|no model, or no label|expected an http\(s\) address"
    ):
        open_scorer(f"{word}:" if ":MODEL[#" in kind else word, url="nowhere")


def test_labels_that_a_model_does_not_know(binary, classifier):
    with pytest.raises(
        SlungError, match=r"^SLUNG_SCORER='fasttext:.*': label: '__label__spam': is not in .*; choose one of"
    ):
        open_scorer(f"fasttext:{binary}#__label__spam")
    with pytest.raises(
        SlungError, match=r"^SLUNG_SCORER='classifier:.*': label: 'spam': is not in .*; choose one of fine"
    ):
        open_scorer(f"classifier:{classifier}#spam")


@pytest.mark.parametrize("spec", ["fitted", "fitted:x", "profanity", "detoxify", "fasttext:x", "classifier:x"])
def test_a_url_for_what_runs_here(spec):
    with pytest.raises(SlungError, match="a local model has no URL; unset SLUNG_SCORER_URL"):
        open_scorer(spec, url="http://localhost:8000")
