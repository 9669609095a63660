import itertools
import logging
import os
import pickle
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import spacy
import yaml
from helpers import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.language import Language

from axolotl_slung.labeling import LabelerError, PresidioLabeler, RowError
from axolotl_slung.storage import FileError

KEY = "slung.labelers[0]"
TEXT = "Maria Hernandez wrote from maria@example.org; call her mobile 212-555-5555. Card: 4111 1111 1111 1111."


@pytest.fixture(scope="module")
def labeler():
    return PresidioLabeler(KEY)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A spaCy model that knows two names, saved as any other is."""
    nlp = spacy.blank("en")
    patterns = [{"label": "PERSON", "pattern": "Maria Hernandez"}, {"label": "GPE", "pattern": "Zürich"}]
    nlp.add_pipe("entity_ruler").add_patterns([*patterns, {"label": "MONEY", "pattern": "20 €"}])
    path = tmp_path_factory.mktemp("spacy") / "model"
    nlp.to_disk(path)
    return path


@pytest.fixture
def engine(tmp_path):
    """Writes Presidio's NLP configuration, and gives its path."""

    def write(**changes):
        path = tmp_path / "engine.yml"
        path.write_text(yaml.safe_dump({"nlp_engine_name": "spacy", **changes}))
        return str(path)

    return write


def found(labeler, text):
    return [(text[span.start : span.end], round(span.score, 2)) for span in labeler.label([text], [{}])[0]]


def test_escaped_texts_are_read_as_what_they_mean(labeler):
    text = r'{"to": "\u003cmaria\u0040example.org\u003e", "card": "No.\n4111&#32;1111&#32;1111&#32;1111"}'
    spans = {(text[span.start : span.end], span.score) for span in labeler.annotate([text], [{}])[0]}
    assert {(r"maria\u0040example.org", 1.0), ("4111&#32;1111&#32;1111&#32;1111", 1.0)} <= spans


def test_patterns_need_no_model(labeler):
    labeler.check()
    assert labeler.files() == []
    assert dict(found(labeler, TEXT)) == {
        "maria@example.org": 1.0,
        "example.org": 0.5,
        # "mobile" before it raises the score
        "212-555-5555": 0.75,
        "4111 1111 1111 1111": 1.0,
    }


def test_the_entity_is_the_kind(labeler):
    kinds = {TEXT[span.start : span.end]: span.kind for span in labeler.annotate([TEXT], [{}])[0]}
    assert kinds["maria@example.org"] == "EMAIL_ADDRESS" and kinds["4111 1111 1111 1111"] == "CREDIT_CARD"


def test_only_the_entities_asked_for():
    labeler = PresidioLabeler(KEY, ["EMAIL_ADDRESS", "CREDIT_CARD"])
    labeler.check()
    assert found(labeler, TEXT) == [("maria@example.org", 1.0), ("4111 1111 1111 1111", 1.0)]
    assert labeler.label(["", " ", "nothing"], [{}] * 3) == [[], [], []]


def test_other_languages():
    labeler = PresidioLabeler(KEY, ["EMAIL_ADDRESS"], language="de")
    labeler.check()
    assert found(labeler, "Schreib an maria@example.org!") == [("maria@example.org", 1.0)]
    with pytest.raises(LabelerError, match=r"^slung\.labelers\[0\]\.language: .* import language zz"):
        PresidioLabeler(KEY, language="zz").check()


def test_entities_that_cannot_be_found():
    says = r"^slung\.labelers\[0\]\.entities: 'PERSON': is not available; install a spaCy model for language 'en'.* "
    with pytest.raises(
        LabelerError, match=says + r"python -m spacy download en_core_web_lg\) or choose from CREDIT_CARD, "
    ):
        PresidioLabeler(KEY, ["EMAIL_ADDRESS", "PERSON"]).check()
    with pytest.raises(
        LabelerError, match=r"\.entities: 'EMAIL': is not available; choose from CREDIT_CARD, .*EMAIL_ADDR"
    ):
        PresidioLabeler(KEY, ["EMAIL"]).check()


def test_without_a_model_it_says_that_names_are_not_found(caplog):
    PresidioLabeler(KEY).check()
    assert "slung.labelers[0]: no spaCy model for language 'en' is installed" in caplog.text
    caplog.clear()
    PresidioLabeler(KEY, ["URL"]).check()
    assert caplog.text == ""


def test_a_configured_model(model, engine):
    path = engine(models=[{"lang_code": "de", "model_name": "x"}, {"lang_code": "en", "model_name": str(model)}])
    labeler = PresidioLabeler(KEY, nlp_engine=path)
    labeler.check()
    assert found(labeler, "Maria Hernandez went to Zürich for 20 €.") == [("Maria Hernandez", 0.85), ("Zürich", 0.85)]
    assert {"engine.yml", "meta.json", "patterns.jsonl"} <= {file.name for file in labeler.files()}
    assert all(file.is_file() for file in labeler.files())
    names = PresidioLabeler(KEY, ["PERSON"], nlp_engine=path)
    assert found(names, "Maria Hernandez went to Zürich for 20 €.") == [("Maria Hernandez", 0.85)]
    # this model has no organizations, whatever Presidio's own configuration says of its like
    with pytest.raises(
        LabelerError, match=r"\.entities: 'ORGANIZATION': is not available; choose from .*LOCATION.*PERSON"
    ):
        PresidioLabeler(KEY, ["ORGANIZATION"], nlp_engine=path).check()


def test_a_configured_meaning_of_the_models_labels(model, engine):
    meaning = {"model_to_presidio_entity_mapping": {"MONEY": "SUM"}, "labels_to_ignore": ["GPE"], "default_score": 0.5}
    models = [{"lang_code": "en", "model_name": str(model)}]
    labeler = PresidioLabeler(KEY, nlp_engine=engine(models=models, ner_model_configuration=meaning))
    assert found(labeler, "Maria Hernandez went to Zürich for 20 €.") == [("Maria Hernandez", 0.5), ("20 €", 0.5)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"nlp_engine_name": "stanza"},
            r"expected nlp_engine_name: spacy, got 'stanza'; for a Hugging Face model",
        ),
        ({"models": []}, r"expected exactly one model for 'en' under `models`"),
        (
            {"models": [{"lang_code": "en", "model_name": "en_no_such"}]},
            r"'en_no_such': is not an installed spaCy model; run python -m spacy",
        ),
        ({"models": [{"lang_code": "en", "model_name": "."}]}, r"Could not read config|\[E053\]"),
    ],
)
def test_configurations_that_cannot_be_used(engine, changes, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[0\]\.nlp_engine: .*{says}"):
        PresidioLabeler(KEY, nlp_engine=engine(**changes)).check()


def test_configurations_that_are_no_yaml(tmp_path):
    path = tmp_path / "engine.yml"
    with pytest.raises(FileError, match=r"^slung\.labelers\[0\]\.nlp_engine: cannot read .*engine\.yml"):
        PresidioLabeler(KEY, nlp_engine=str(path)).check()
    path.write_text("a: [b")
    with pytest.raises(LabelerError, match=r"^slung\.labelers\[0\]\.nlp_engine: .* not valid YAML: "):
        PresidioLabeler(KEY, nlp_engine=str(path)).check()


INSTALLED = """
import json, socket, sys
attempts = []
def refuse(*arguments, **options):
    attempts.append(1)
    raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = refuse

from axolotl_slung.labeling import PresidioLabeler
labeler = PresidioLabeler("slung.labelers[0]")
labeler.check()
text = sys.argv[1]
spans = [text[span.start : span.end] for span in labeler.label([text], [{}])[0]]
print(json.dumps([spans, len(attempts), sorted({file.name for file in labeler.files()})]))
"""


def test_an_installed_model_is_used_and_nothing_downloaded(model, tmp_path):
    package = tmp_path / "en_tiny_sm"
    package.mkdir()
    nlp = spacy.load(model)
    nlp.meta.update(name="tiny_sm", version="0.0.1")
    nlp.to_disk(package / "en_tiny_sm-0.0.1")
    (package / "meta.json").write_bytes((package / "en_tiny_sm-0.0.1" / "meta.json").read_bytes())
    (package / "__init__.py").write_text(
        "from spacy.util import load_model_from_init_py\n\n"
        "def load(**overrides):\n    return load_model_from_init_py(__file__, **overrides)\n"
    )
    information = tmp_path / "en_tiny_sm-0.0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: en_tiny_sm\nVersion: 0.0.1\n")
    (information / "entry_points.txt").write_text("[spacy_models]\nen_tiny_sm = en_tiny_sm\n")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    # an empty cache: tldextract would fill it from the network
    environment = {**os.environ, "PYTHONPATH": paths, "TLDEXTRACT_CACHE": str(tmp_path / "cache")}
    run = subprocess.run(
        [sys.executable, "-c", INSTALLED, TEXT], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    spans, attempts, files = yaml.safe_load(run.stdout)
    assert spans[:2] == ["Maria Hernandez", "maria@example.org"]
    assert attempts == 0
    assert "patterns.jsonl" in files


@given(st.lists(st.text(st.characters()), max_size=3))
@example(
    [
        "\ud800@example.org",
        "a\0b. \0",
        "\r\n ",
        "👩\u200d👩\u200d👧! 漢字。e\u0301",
        "a@b.co.uk \u2028",
        "1/2/2024\n\n ",
    ]
)
@settings(max_examples=50, deadline=None)
def test_any_text(labeler, texts):
    for text, spans in zip(texts, labeler.label(texts, [{}] * len(texts)), strict=True):
        assert all(0 <= span.start < span.end <= len(text) and 0 <= span.score <= 1 for span in spans)
        assert spans == sorted(spans)


@given(st.text("a1@./-: +\n\u00a0(4", max_size=60))
@settings(max_examples=100, deadline=None)
def test_texts_like_addresses_and_numbers(labeler, text):
    assert all(0 <= span.start < span.end <= len(text) for span in labeler.label([text], [{}])[0])


def test_the_engine_stays_out_of_the_pickle(labeler):
    labeler.check()
    pickled = pickle.dumps(labeler)
    assert len(pickled) < 500
    assert pickle.loads(pickled).label([TEXT], [{}]) == labeler.label([TEXT], [{}])


def test_presidios_own_log_is_not_heard(labeler, caplog):
    caplog.set_level(logging.DEBUG)
    labeler.label([TEXT], [{}])
    assert caplog.text == ""
    logging.getLogger("presidio-analyzer").warning("heard again")
    assert "heard again" in caplog.text


def test_a_pattern_that_runs_out_of_time_is_an_error_and_no_silence(labeler, monkeypatch):
    labeler.check()
    monkeypatch.setattr("presidio_analyzer.pattern_recognizer.REGEX_TIMEOUT_SECONDS", 1e-9)
    with pytest.raises(
        LabelerError, match=r"^slung\.labelers\[0\]: row 0 of the batch: one of Presidio's patterns timed out"
    ):
        labeler.label(["a1.b2-c3 " * 10_000], [{}])


@pytest.mark.parametrize(
    "entity, text, slowest",
    [
        ("URL", "a." * 20_000, "UrlRecognizer; leave URL out of `entities`"),
        ("US_BANK_NUMBER", "12345678 " * 2000, "the search for context words; ask for fewer `entities`"),
    ],
)
def test_presidio_has_a_budget_of_time(monkeypatch, entity, text, slowest):
    labeler = PresidioLabeler(KEY, [entity])
    labeler.label(["12345678 a.b"], [{}])  # expressions are compiled when they are first used
    monkeypatch.setattr("axolotl_slung.labeling.presidio.ALLOWANCE", labeler._budget._used + 0.05)
    monkeypatch.setattr("axolotl_slung.labeling.presidio.PER_MILLION", 0.0)
    says = rf"^slung\.labelers\[0\]: Presidio took more CPU time than its budget, \S+ s, .* most of it in {slowest}"
    with pytest.raises(LabelerError, match=says) as first:
        labeler.label([text], [{}])
    with pytest.raises(LabelerError, match=says) as second:  # at once, for whatever text
        labeler.label(["short"], [{}])
    assert not isinstance(first.value, RowError) and str(first.value) == str(second.value)


def test_many_short_texts_have_a_budget_of_their_own(monkeypatch):
    """Each text costs something, however short it is: a corpus of chats must not run out of time for that."""
    labeler, short = PresidioLabeler(KEY), ["Write to ann@example.com, please."]
    labeler.label(short, [{}])  # expressions are compiled when they are first used
    ticks = itertools.count()
    monkeypatch.setattr(
        "axolotl_slung.labeling.presidio.time", SimpleNamespace(process_time=lambda: next(ticks) * 1e-9)
    )
    labeler.label(short, [{}])
    tick = 0.015 / next(ticks)  # a text takes three quarters of its allowance, on any machine
    monkeypatch.setattr(
        "axolotl_slung.labeling.presidio.time", SimpleNamespace(process_time=lambda: next(ticks) * tick)
    )
    monkeypatch.setattr("axolotl_slung.labeling.presidio.ALLOWANCE", labeler._budget._used + 1.0)
    monkeypatch.setattr("axolotl_slung.labeling.presidio.PER_MILLION", 0.0)
    assert all(labeler.label(short, [{}])[0] for _ in range(600))
    monkeypatch.setattr("axolotl_slung.labeling.presidio.PER_TEXT", 0.0)
    with pytest.raises(LabelerError, match="Presidio took more CPU time than its budget"):
        labeler.label(short, [{}])


def test_errors_of_presidio_do_not_quote_the_text(model, engine, tmp_path):
    @Language.component("slung_test_failure")
    def fail(doc):
        raise ValueError(doc.text)

    nlp = spacy.load(model)
    nlp.add_pipe("slung_test_failure")
    nlp.to_disk(tmp_path / "failing")
    path = engine(models=[{"lang_code": "en", "model_name": str(tmp_path / "failing")}])
    with pytest.raises(LabelerError) as caught:
        PresidioLabeler(KEY, nlp_engine=path).label([TEXT], [{}])
    assert str(caught.value) == (
        f"{KEY}: row 0 of the batch: Presidio failed: ValueError on a text of {len(TEXT)} characters; remove the text"
    )
    assert caught.value.__suppress_context__


def test_texts_too_long_for_a_model(labeler, model, engine):
    text = "mill " * 200_001
    path = engine(models=[{"lang_code": "en", "model_name": str(model)}])
    says = re.escape(
        f"{KEY}: row 0 of the batch: expected at most 1000000 characters (spaCy's limit), got a text of {len(text)}; split it"
    )
    with pytest.raises(LabelerError, match=says):
        PresidioLabeler(KEY, ["URL"], nlp_engine=path).label([text], [{}])
    assert PresidioLabeler(KEY, ["CRYPTO"]).label([text], [{}]) == [[]]


def test_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    says = r"^slung\.labelers\[0\]: presidio: presidio_analyzer cannot be imported; pip install '\.\[presidio\]' in the clone"
    with pytest.raises(LabelerError, match=says):
        PresidioLabeler(KEY).check()
