import hashlib
import http.server
import pickle
import subprocess
import sys
import threading

import fasttext
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_slung.errors import SlungError
from axolotl_slung.labeling import FastTextLabeler, LabelerError
from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.fasttext.labeler import ALIASES
from axolotl_slung.labeling.text.sentences import split
from axolotl_slung.storage import FileError, cache_path

KEY = "slung.labelers[0]"
SENTENCES = {
    "toxic": ["you are a stupid idiot", "shut up you moron", "what an ugly stupid fool", "idiot moron fool"],
    "clean": ["have a lovely day", "the weather is fine today", "thank you for the kind words", "see you at noon"],
    "spam": ["buy cheap pills now", "win money fast", "click here to win", "cheap watches for sale"],
}


def train(folder, *labels, loss="softmax"):
    """A little classifier that knows the sentences above; returns its file."""
    data = folder / "train.txt"
    data.write_text("".join(f"__label__{name} {line}\n" for name in labels for line in SENTENCES[name]) * 50)
    # fastText 0.9.2 initializes a tenth of its matrix a thread: with fewer than 11 threads some stays random
    model = fasttext.train_supervised(
        str(data), dim=10, epoch=20, lr=0.5, wordNgrams=2, bucket=1000, thread=11, verbose=0, loss=loss
    )
    path = folder / f"{'_'.join(labels)}_{loss}.bin"
    model.save_model(str(path))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fasttext")


@pytest.fixture(scope="module")
def binary(folder):
    return train(folder, "toxic", "clean")


@pytest.fixture(scope="module")
def labeler(binary):
    return FastTextLabeler(KEY, str(binary))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def check_literal(labeler):
    text = "Have a lovely day. You are a stupid\nidiot! The weather is fine today."
    labeler.check()
    assert labeler.files() == [labeler.path]
    (spans,) = labeler.label([text], [{}])
    assert [text[span.start : span.end] for span in spans] == [
        "Have a lovely day.",
        "You are a stupid\nidiot!",
        "The weather is fine today.",
    ]
    assert [span.score > 0.5 for span in spans] == [False, True, False]


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova"])
@pytest.mark.parametrize("labels", [("toxic", "clean"), ("clean", "spam", "toxic")])
def test_literal_texts(folder, labels, loss):
    check_literal(FastTextLabeler(KEY, str(train(folder, *labels, loss=loss))))


def test_scores_are_fasttexts_own_clipped_and_for_the_whole_batch(binary):
    labeler = FastTextLabeler(KEY, str(binary), label="__label__clean")
    texts = ["", "you moron", " \n", "the weather\r\nis fine", "\u2028", "idiot. " * 3]
    labeled = labeler.label(texts, [{}] * len(texts))
    assert [len(spans) for spans in labeled] == [0, 1, 0, 1, 0, 1]
    names, values = fasttext.load_model(str(binary)).predict("the weather\r is fine", k=-1)
    expected = min(dict(zip(names, values, strict=True))["__label__clean"], 1.0)
    assert labeled[3][0].score == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.text(st.characters()), max_size=3))
@example(["\ud800", "a\0b. \0", "\r\n", "👩\u200d👩\u200d👧! 漢字。e\u0301", "</s> you", "__label__toxic"])
def test_any_text(labeler, texts):
    for text, spans in zip(texts, labeler.label(texts, [{}] * len(texts)), strict=True):
        assert all(0 <= span.start < span.end <= len(text) and 0 <= span.score <= 1 for span in spans)


def test_the_weights_stay_out_of_the_pickle(binary):
    labeler = FastTextLabeler(KEY, str(binary))
    labeler.check()
    pickled = pickle.dumps(labeler)
    assert len(pickled) < 1000
    assert pickle.loads(pickled).label(["you moron"], [{}])[0][0].score > 0.5


def test_a_missing_label(folder, binary):
    clean_only = train(folder, "clean", "spam")
    says = r"slung\.labelers\[0\]\.label: '__label__toxic': is not in .*; choose one of __label__(clean|spam), "
    with pytest.raises(LabelerError, match=says):
        FastTextLabeler(KEY, str(clean_only)).check()
    with pytest.raises(LabelerError, match="label: 'toxic': is not in "):
        FastTextLabeler(KEY, str(binary), label="toxic").check()


@pytest.fixture(scope="module")
def quantized(folder, binary):
    model = fasttext.load_model(str(binary))
    model.quantize(input=str(folder / "train.txt"), retrain=False, qnorm=True, cutoff=300)
    path = folder / "small.ftz"
    model.save_model(str(path))
    return path


def test_a_quantized_model(quantized):
    check_literal(FastTextLabeler(KEY, str(quantized)))


@pytest.mark.parametrize("kind", ["binary", "quantized"])
@pytest.mark.parametrize("keep", [0, 3, 4, 30, 100, 600, -2000, -1])
def test_a_file_that_is_cut_short(tmp_path, request, kind, keep):
    path = tmp_path / "cut.bin"
    path.write_bytes(request.getfixturevalue(kind).read_bytes()[:keep])
    with pytest.raises(
        LabelerError, match=r"slung\.labelers\[0\]\.model: .*cut\.bin: is not a valid fastText classifier"
    ):
        FastTextLabeler(KEY, str(path)).check()


def test_a_file_with_something_behind_it(tmp_path, binary):
    path = tmp_path / "long.bin"
    path.write_bytes(binary.read_bytes() + b"x")
    with pytest.raises(LabelerError, match=r"expected \d+ bytes, got \d+"):
        FastTextLabeler(KEY, str(path)).check()


def test_files_that_are_something_else(tmp_path, binary):
    path = tmp_path / "other.bin"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(
        LabelerError, match="is not a valid fastText classifier: it is not a fastText model; replace it"
    ):
        FastTextLabeler(KEY, str(path)).check()
    (tmp_path / "words.txt").write_text("a few words to learn from\n" * 100)
    words = fasttext.train_unsupervised(str(tmp_path / "words.txt"), dim=10, thread=11, verbose=0)
    words.save_model(str(path))
    with pytest.raises(LabelerError, match="is not a valid fastText classifier: .*supervised"):
        FastTextLabeler(KEY, str(path)).check()
    with pytest.raises(
        LabelerError, match=r"model: 'jigsaw': expected a file, .* or an alias \(jigsaw_hatespeech_sentence_v2\)"
    ):
        FastTextLabeler(KEY, "jigsaw").check()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_local_files_digest(binary):
    FastTextLabeler(KEY, str(binary), sha256=digest(binary).upper()).check()
    with pytest.raises(
        LabelerError, match=rf"slung\.labelers\[0\]\.sha256: .*: expected sha256 0+, got {digest(binary)}; "
    ):
        FastTextLabeler(KEY, str(binary), sha256="0" * 64).check()


@pytest.fixture(scope="module")
def server(binary):
    """A web server with /model.bin, and with /short.bin, which breaks off; anything else is a 404."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            if self.path not in ("/model.bin", "/short.bin"):
                self.send_error(404)
                return
            body = binary.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if self.path == "/model.bin" else body[:100])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}", requests
        web.shutdown()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_a_download_is_made_once_and_verified(server, cache, binary):
    url, requests = server
    requests.clear()
    labeler = FastTextLabeler(KEY, f"{url}/model.bin", sha256=digest(binary))
    assert requests == [], "the constructor must not reach for the network"
    check_literal(labeler)
    check_literal(FastTextLabeler(KEY, f"{url}/model.bin", sha256=digest(binary)))
    assert requests == ["/model.bin"]
    assert [path for path in cache.iterdir() if path.is_file()] == [labeler.path]
    labeler.path.write_bytes(b"damaged")
    with pytest.raises(LabelerError, match=r"\.sha256: .*: expected sha256 .*, got .*delete the file"):
        FastTextLabeler(KEY, f"{url}/model.bin", sha256=digest(binary)).check()


@pytest.mark.parametrize(
    ("path", "sha256", "says"),
    [
        ("/model.bin", "0" * 64, r"\.model: http://.*/model\.bin: expected sha256 000.*, got [0-9a-f]+; "),
        ("/none.bin", "0" * 64, r"\.model: cannot download http://.*/none\.bin: .*404.* put it at .*none\.bin"),
        ("/short.bin", "0" * 64, r"\.model: cannot download .*/short\.bin: .*received 100 bytes"),
        ("/model.bin", None, r"\.sha256: missing; set it to the sha256 of the model at the URL http://.*/model\.bin"),
    ],
)
def test_downloads_that_fail_leave_nothing_behind(server, cache, path, sha256, says):
    url, _ = server
    with pytest.raises(SlungError, match=rf"^slung\.labelers\[0\]{says}"):
        FastTextLabeler(KEY, url + path, sha256=sha256).check()
    assert not cache.exists() or list(cache.iterdir()) == []


def test_the_alias(server, cache, binary, monkeypatch):
    url, _ = server
    alias = "jigsaw_hatespeech_sentence_v2"
    assert ALIASES[alias].startswith("https://")
    # no network: the error says what to put where, and a file put there is enough
    monkeypatch.setitem(ALIASES, alias, "http://127.0.0.1:9/model.bin")
    path = cache_path("http://127.0.0.1:9/model.bin")
    with pytest.raises(FileError, match="cannot download http://127.0.0.1:9/model.bin: .* put it at ") as caught:
        FastTextLabeler(KEY, alias).check()
    assert str(caught.value).endswith(str(path))
    path.write_bytes(binary.read_bytes())
    check_literal(FastTextLabeler(KEY, alias))
    monkeypatch.setitem(ALIASES, alias, f"{url}/model.bin")
    check_literal(FastTextLabeler(KEY, alias))


def test_the_package_itself_imports_nothing_heavy():
    script = (
        "import sys, axolotl_slung.labeling as l; l.Labeler;"
        "print([m for m in ('fasttext', 'torch', 'livekit.blingfire', 'axolotl', 'yaml', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


MARKS = ".!?,'/()"
"""What fastText's tutorial puts spaces around."""


@pytest.fixture(scope="module", params=["softmax", "ova"])
def prepared(request, tmp_path_factory):
    """A model of lower-cased text with punctuation as words, with and without the collapsed table."""
    path = tmp_path_factory.mktemp("prepared") / "train.txt"
    toxic = ["you are an idiot ! ( a moron )", "shut up , fool .", "don ' t be stupid !"]
    clean = ["you are an angel .", "see you , dear ( maybe )", "don ' t be late ?", "a lovely day / night ."]
    lines = [f"__label__{name} {line}\n" for name, lines in [("toxic", toxic), ("clean", clean)] for line in lines]
    path.write_text("".join(lines * 50))
    options = {"dim": 8, "epoch": 5, "wordNgrams": 2, "bucket": 200, "thread": 11, "verbose": 0}
    model = fasttext.train_supervised(str(path), loss=request.param, **options)
    model.save_model(str(path.with_suffix(".bin")))
    return path.with_suffix(".bin"), model


CHOICES = [{"lowercase": True}, {"spaced_punctuation": MARKS}, {"lowercase": True, "spaced_punctuation": MARKS}]


def expected(model, labeler, texts):
    """One sentence at a time, as one would prepare it by hand."""
    found = []
    for text, spans in zip(texts, split([utf8_safe(text) for text in texts]), strict=True):
        of_text = []
        for start, end in spans:
            line = utf8_safe(text)[start:end].replace("\n", " ").strip()
            if not line:
                continue
            line = line.lower() if labeler.lowercase else line
            line = "".join(f" {sign} " if sign in labeler.spaced_punctuation else sign for sign in line)
            scores = dict(zip(*model.predict(line, k=-1), strict=True))
            of_text.append((start, end, pytest.approx(min(scores.get("__label__toxic", 0), 1), abs=1e-6)))
        found.append(of_text)
    return found


signs = st.sampled_from([*"iIİßẞΣσςÉ 𝐀Ǆ\n\u2028\0\ud800", "IDIOT", "Fool", "you", *MARKS, *";:-", "</s>", "DON'T"])


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(st.one_of(st.lists(signs).map("".join), st.lists(signs).map(" ".join)), max_size=4))
@example(texts=["YOU are an IDIOT!(A moron)", "Don't\nbe stupid! ΣΑΣ.ΑΣ", "", "İdiot'İ", "FOOL</s>fool </s> fool"])
@pytest.mark.parametrize("options", CHOICES)
def test_sentences_are_prepared_and_spans_stay(prepared, options, texts):
    path, model = prepared
    labeler = FastTextLabeler(KEY, str(path), **options)
    labels = labeler.label(texts, [{}] * len(texts))
    assert [[span[:3] for span in spans] for spans in labels] == expected(model, labeler, texts)
    whole = labeler.score_texts([text.replace("</s>", "") for text in texts])
    assert whole.shape == (len(texts),)


def test_capitals_and_punctuation_count_only_where_they_are_not_prepared(prepared):
    path, _ = prepared
    text = "SHUT UP,FOOL."
    plain = FastTextLabeler(KEY, str(path))
    both = FastTextLabeler(KEY, str(path), lowercase=True, spaced_punctuation=MARKS)
    (same,) = plain.score_texts(["shut up , fool ."])
    assert plain.score_texts([text])[0] != pytest.approx(same, abs=0.01)
    assert both.score_texts([text])[0] == pytest.approx(same, abs=1e-6)
    assert both.label([text], [{}]) == [[(0, 13, pytest.approx(same, abs=1e-6), "labeler", "")]]
    assert both.label([], []) == [] and both.score_texts([]).shape == (0,)
