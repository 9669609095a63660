import pickle

import pytest

from axolotl_slung.labeling import LabelerError, PatternsLabeler, Span
from axolotl_slung.labeling import patterns as module
from axolotl_slung.storage import FileError

KEY = "slung.labelers[1]"


@pytest.fixture
def labeler(tmp_path):
    def make(text):
        path = tmp_path / "patterns.yml"
        path.write_text(text, encoding="utf-8")
        return PatternsLabeler(KEY, str(path))

    return make


def test_names_to_expressions(labeler):
    patterns = labeler(
        r"""
        account: '\b\d{4}\b'
        slur: {pattern: '^foo.bar$', score: 0.25, flags: [ignorecase, multiline, dotall]}
        letter: '\p{Greek}'
        nothing: 'x*'
        """
    )
    patterns.check()
    assert patterns.files() == [patterns.path]
    assert patterns.label(["pin 1234, 12345", "😀\nFOO\nBAR\n0000", "λ\ud800", "", "xx"], [{}] * 5) == [
        [Span(4, 8, 1.0)],
        [Span(2, 9, 0.25), Span(10, 14, 1.0)],
        [Span(0, 1, 1.0)],
        [],
        [Span(0, 2, 1.0)],
    ]


def test_escaped_texts_are_searched_as_what_they_mean(labeler):
    patterns = labeler(r"""
        account: '\b\d{4}\b'
        mail: {pattern: '[a-z]+@[a-z]+[.]com', score: 0.5}
        path: '\\d'
        """)
    text = r"\n12\u00334, ann&#64;mail.com \d"
    assert patterns.annotate([text, "1234", "a&b"], [{}] * 3) == [
        [Span(2, 11, 1.0, "labeler"), Span(13, 29, 0.5, "labeler"), Span(30, 32, 1.0, "labeler")],
        [Span(0, 4, 1.0, "labeler")],
        [],
    ]


def test_it_travels_without_its_compiled_patterns(labeler):
    patterns = labeler("digit: '[0-9]'")
    patterns.check()
    copy = pickle.loads(pickle.dumps(patterns))
    assert copy._patterns is None
    assert copy.label(["a1"], [{}]) == [[Span(1, 2, 1.0)]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: '(b'", r"pattern 'a': is not a valid regular expression: missing \) at character 2"),
        ("a: b\nc: [d", r"is not valid YAML: .* at line 2"),
        ("a: '\\d'\na: '\\w'", r"pattern 'a': is defined twice"),
        ("- a\n- b", r"has no patterns"),
        ("", r"has no patterns"),
        ("yes: a", r"pattern True: its name is not text in YAML"),
        ("a: 5", r"pattern 'a': expected an expression or a mapping"),
        ("a: {score: 0.5}", r"pattern 'a': expected an expression or a mapping"),
        ("a: {pattern: b, flag: [dotall]}", r"pattern 'a': has unknown keys \(flag\)"),
        ("a: {pattern: b, score: 1.5}", r"pattern 'a': score: expected a number from 0 to 1"),
        ("a: {pattern: b, score: .nan}", r"pattern 'a': score: expected a number from 0 to 1"),
        ("a: {pattern: b, score: true}", r"pattern 'a': score: expected a number from 0 to 1"),
        ("a: {pattern: b, flags: [verbose]}", r"pattern 'a': flags: expected a list of ignorecase"),
        ("a: {pattern: b, flags: [[dotall]]}", r"pattern 'a': flags: expected a list of ignorecase"),
        ("a: {pattern: b, flags: dotall}", r"pattern 'a': flags: expected a list of ignorecase"),
        ('a: "\\bsecret\\b"', r"pattern 'a': contains a backspace"),
        ("a: !!python/object/apply:os.getcwd []", r"is not valid YAML: could not determine a constructor"),
    ],
)
def test_broken_files(labeler, text, says):
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[1\]\.path: .*patterns\.yml: {says}") as caught:
        labeler(text).check()
    assert "secret" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileError, match=r"slung\.labelers\[1\]\.path: cannot read .*none\.yml: No such file"):
        PatternsLabeler(KEY, str(tmp_path / "none.yml")).check()


def test_backtracking_without_end_names_the_pattern(labeler, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    patterns = labeler("fine: 'b'\nhungry: '(a|aa)+$'")
    patterns.check()
    with pytest.raises(LabelerError, match=r"pattern 'hungry': took more than 0\.2 s on a text of 201 char"):
        patterns.label(["a" * 200 + "!"], [{}])
