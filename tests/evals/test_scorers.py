import datetime
import hashlib
import json
import logging
import math
import time
import traceback

import fasttext
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from served import KEY, Reply, moderation, perspective, serve
from tiny import TEXT, tiny_tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from axolotl_slung.errors import SlungError
from axolotl_slung.evals import remote, remote_scorers
from axolotl_slung.evals.answers import AnswerCache
from axolotl_slung.evals.scorers import KINDS, open_scorer

LONGEST = 24
LINES = {
    "toxic": ["you are a stupid idiot", "shut up you moron", "what an ugly stupid fool", "idiot moron fool"],
    "clean": ["have a lovely day", "the weather is fine today", "thank you for the kind words", "see you at noon"],
}
SILENT = ["", " ", "\n\t", "\u2003\u00a0", "\x1f"]
AWKWARD = ["\ud800", "a\0b\0", "\udfff toxic \ud800", "👩\u200d👩\u200d👧", "\u200b", "[SEP] [CLS]", "</s>", "x" * 3000, "\r\nyou\r\n"]


@pytest.fixture
def served():
    with serve() as served:
        yield served


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "BACK_OFF", 0.002)
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("SLUNG_API_KEY", KEY)
    monkeypatch.setenv("PERSPECTIVE_API_KEY", KEY)


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


def test_profanity_is_the_packages_own():
    from profanity_check import predict_prob

    scorer = open_scorer("profanity")
    texts = [*TEXT, "You stupid idiot! " * 3]
    assert check(scorer, [*texts, *SILENT])[: len(texts)] == pytest.approx(predict_prob(texts), abs=1e-12)
    assert scorer.score(["you fucking idiot", "have a lovely day"]).round() == pytest.approx([1, 0])
    assert scorer.name == "profanity"
    assert scorer.version.startswith("alt-profanity-check 1.") and ", scikit-learn 1." in scorer.version
    check(scorer, AWKWARD)


def test_two_thousand_texts_are_scored_in_no_time():
    scorer = open_scorer("profanity")
    texts = [" ".join(TEXT[i % 11 : i % 11 + 3]) + str(i) for i in range(2000)]
    start = time.monotonic()
    scores = check(scorer, texts)
    assert time.monotonic() - start < 2 and len(set(scores)) > 10


@given(st.lists(st.text(st.characters()), max_size=4))
@example(AWKWARD)
def test_profanity_of_any_unicode(texts):
    check(open_scorer("profanity"), texts)


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


# --------------------------------------------------------------------------------------------------------------- remote


def test_moderation(served):
    scorer = open_scorer("moderation", url=served.url + "/v1/")
    served.answer = lambda text, nth: moderation(len(text) / 10, model="served-b" if text == "bb" else "served-a")
    texts = ["a", "", "bb", " \n", "\ud800\n{x}", "a"]
    assert scorer.score(texts).tolist() == [0.1, 0.0, 0.2, 0.0, 0.5, 0.1]
    # what says nothing is not sent, and what is said twice is sent once
    assert served.asked == {"a": 1, "bb": 1, "\ufffd\n{x}": 1}
    assert set(served.paths) == {"/v1/moderations"}
    assert all(body.keys() == {"model", "input"} for body in served.bodies)
    assert {body["model"] for body in served.bodies} == {"omni-moderation-2024-09-26"}
    assert served.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert scorer.name == "moderation:omni-moderation-2024-09-26" and scorer.served == "served-a, served-b"
    assert scorer.version == served.url + "/v1" and KEY not in str(vars(scorer))
    # another one, from the usual cache: nothing is asked, and it is known who answered
    again = open_scorer("moderation", url=served.url + "/v1")
    assert again.score(texts).tolist() == [0.1, 0.0, 0.2, 0.0, 0.5, 0.1] and again.served == scorer.served
    assert served.asked.total() == 3
    # another model's, and another address's, are other scores
    open_scorer("moderation:other", url=served.url + "/v1").score(["a"])
    open_scorer("moderation", url=served.url + "/v2").score(["a"])
    assert served.asked["a"] == 3 and served.bodies[3]["model"] == "other"


def test_perspective(served, caplog):
    scorer = open_scorer("perspective:INSULT", url=served.url, per_second=1000)
    served.answer = lambda text, nth: perspective(len(text) / 10, "INSULT")
    assert scorer.score(["ab", " ", "\udc00"]).tolist() == [0.2, 0.0, 0.1]
    assert set(served.paths) == {"/v1alpha1/comments:analyze"}
    body = next(body for body in served.bodies if body["comment"]["text"] == "ab")
    assert body == {
        "comment": {"text": "ab"},
        "languages": ["en"],
        "requestedAttributes": {"INSULT": {}},
        "doNotStore": True,
    }
    assert served.headers[0]["X-Goog-Api-Key"] == KEY and "Authorization" not in served.headers[0]
    assert scorer.name == "perspective:INSULT" and scorer.served == "" and not caplog.records
    toxicity = open_scorer("perspective", url=served.url, per_second=1000)
    served.answer = lambda text, nth: perspective(0.75)
    assert toxicity.name == "perspective:TOXICITY" and toxicity.score(["ab"]) == [0.75]


def test_perspective_has_one_request_a_second(served):
    served.answer = lambda text, nth: perspective(0.5)
    scorer = open_scorer("perspective", url=served.url)
    scorer.score(["a", "b"])
    scorer.score(["c"])
    assert len(served.times) == 3 and served.fullest_second() <= 2
    assert served.times[2] - served.times[0] > 1.8


@pytest.fixture
def googles(served, monkeypatch):
    """Perspective's usual address leads here."""
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE", served.url)
    return served


def test_the_end_of_perspective_is_told_once(googles, caplog):
    googles.answer = lambda text, nth: perspective(0.5)
    scorer = open_scorer("perspective", per_second=1000)
    scorer.score(["a"])
    scorer.score(["b"])
    assert [("ends on 2026-12-31" in text, KEY in text) for text in caplog.messages] == [(True, False)]


@pytest.mark.parametrize("status", [404, 410, 403, None])
def test_after_its_end_perspective_says_so(googles, monkeypatch, status):
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE_ENDS", datetime.date(2001, 2, 3))
    googles.answer = lambda text, nth: Reply(None) if status is None else Reply({}, status)
    scorer = open_scorer("perspective", per_second=1000)
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='perspective': .*was to end on 2001-02-03: use detoxify") as error:
        scorer.score(["a text that nobody may see"])
    assert "nobody may see" not in "".join(traceback.format_exception_only(error.value))
    # what was scored before can still be had, and it may have been granted more time
    googles.answer = lambda text, nth: perspective(0.5)
    assert scorer.score(["a"]) == [0.5]
    googles.answer = lambda text, nth: Reply({}, 410)
    assert open_scorer("perspective", per_second=1000).score(["a"]) == [0.5]


def test_a_single_mishap_after_its_end_is_no_end(googles, monkeypatch):
    monkeypatch.setattr(remote_scorers, "PERSPECTIVE_ENDS", datetime.date(2001, 2, 3))
    googles.answer = lambda text, nth: Reply({}, 400) if text == "b" else Reply({}, 503) if nth == 1 else perspective(0.5)
    scorer = open_scorer("perspective", per_second=1000)
    assert scorer.score(["a", "b"]) == pytest.approx([0.5, math.nan], nan_ok=True)
    assert scorer.failures == {"http 400": 1}


BAD = [-0.1, 1.0001, 1e400, "0.5", None, True, [0.5], {}, 10**400]


@pytest.mark.parametrize("bad", [*BAD, b'{"results": [{"category_scores": {"a": NaN}}]}'])
def test_what_is_no_score_is_garbage(served, bad):
    served.answer = lambda text, nth: moderation(0.5) if text == "fine" else moderation(bad)
    if isinstance(bad, bytes):
        served.answer = lambda text, nth: moderation(0.5) if text == "fine" else Reply(bad)
    scorer = open_scorer("moderation", url=served.url)
    assert scorer.score(["fine", "other", ""]) == pytest.approx([0.5, math.nan, 0.0], nan_ok=True)
    assert scorer.failures == {"garbage": 1} and served.asked["other"] == remote.ATTEMPTS


@pytest.mark.parametrize("reply", [perspective(1.5), perspective("x"), perspective(0.5, "INSULT"), moderation(0.5), Reply(3)])
def test_what_perspective_does_not_say_is_garbage(served, reply):
    served.answer = lambda text, nth: reply
    scorer = open_scorer("perspective", url=served.url, per_second=1000)
    assert np.isnan(scorer.score(["a"])).all() and scorer.failures == {"garbage": 1}


def test_failures_add_up_and_everything_else_is_scored(served):
    failing = {3: Reply({}, 500), 7: Reply({}, 400), 11: Reply(None), 13: Reply(b"")}
    served.answer = lambda text, nth: failing.get(int(text) % 20, moderation(0.5))
    scorer = open_scorer("moderation", url=served.url)
    scores = scorer.score([str(i) for i in range(100)])
    lost = [i % 20 in failing for i in range(100)]
    assert np.isnan(scores).tolist() == lost and (scores[~np.array(lost)] == 0.5).all()
    assert scorer.failures == {"http 500": 5, "http 400": 5, "connection": 5, "garbage": 5}
    scorer.score(["3", "100"])
    assert scorer.failures["http 500"] == 6


def test_a_model_that_is_no_name_is_not_told(served):
    served.answer = lambda text, nth: moderation(0.5, model=[1, 2] if text == "a" else "x" * 10_000)
    scorer = open_scorer("moderation", url=served.url)
    assert (scorer.score(["a", "b"]) == 0.5).all() and scorer.served == "x" * 100


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "no such scorer; there are profanity, fasttext:MODEL"),
        ("nonsense", "no such scorer"),
        ("Profanity", "no such scorer"),
        ("profanity:en", "takes nothing behind a colon"),
        ("detoxify:small", "takes nothing behind a colon"),
        ("fasttext", "says no model"),
        ("fasttext:", "says no model"),
        ("fasttext:#label", "says no model"),
        ("fasttext:model.bin#", "no label behind the #"),
        ("fasttext:/nowhere/model.bin", "model: '/nowhere/model.bin' is no file here"),
        ("fasttext:https://example.com/model.bin", "a URL will not do; download the model"),
        ("classifier", "says no model"),
        ("classifier:/nowhere/model", "model: '/nowhere/model' is no folder here"),
        ("perspective:toxicity", "is no attribute; they are spelled like TOXICITY"),
    ],
)
def test_specs(spec, says):
    with pytest.raises(SlungError) as error:
        open_scorer(spec, key="--metadata slung_scorer")
    assert str(error.value).startswith(f"--metadata slung_scorer={spec!r}: ") and says in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_kinds_that_are_told_of_exist(kind):
    word = kind.partition(":")[0].partition("[")[0]
    with pytest.raises(SlungError, match="runs on this computer|says no model|no http"):
        open_scorer(f"{word}:" if ":MODEL[#" in kind else word, url="nowhere")


def test_labels_that_a_model_does_not_know(binary, classifier):
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='fasttext:.*': label: .* has no label '__label__spam'; it has"):
        open_scorer(f"fasttext:{binary}#__label__spam")
    with pytest.raises(SlungError, match=r"^SLUNG_SCORER='classifier:.*': label: .* has no label 'spam'; it has fine"):
        open_scorer(f"classifier:{classifier}#spam")


@pytest.mark.parametrize("spec", ["profanity", "detoxify", "fasttext:x", "classifier:x"])
def test_a_url_for_what_runs_here(spec):
    with pytest.raises(SlungError, match="has no url; take SLUNG_SCORER_URL out"):
        open_scorer(spec, url="http://localhost:8000")


@pytest.mark.parametrize(
    ("spec", "variable", "url"),
    [
        ("perspective", "PERSPECTIVE_API_KEY", None),
        ("perspective", "PERSPECTIVE_API_KEY", "http://localhost:1"),
        ("moderation", "OPENAI_API_KEY", None),
        ("moderation", "OPENAI_API_KEY", "https://API.openai.com/v1"),
    ],
)
def test_a_missing_key_is_an_error_at_once(monkeypatch, spec, variable, url):
    monkeypatch.delenv(variable)
    with pytest.raises(SlungError, match=f"^SLUNG_SCORER='{spec}': needs a key in the environment variable {variable}"):
        open_scorer(spec, url=url)


def test_other_moderation_services_need_no_key_and_do_not_get_openais(monkeypatch, served):
    monkeypatch.delenv("SLUNG_API_KEY")
    assert open_scorer("moderation", url=served.url).score(["a"]) == [0.25]
    assert "Authorization" not in served.headers[0]


def test_a_cache_of_ones_own(served, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    cache = AnswerCache(tmp_path / "mine.sqlite")
    open_scorer("moderation", url=served.url, cache=cache).score(["a"])
    assert cache.path.exists() and not (tmp_path / "cache").exists() and not caplog.records
