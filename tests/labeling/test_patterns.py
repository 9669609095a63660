import pickle
import re

import pytest
from helpers import ROOT

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
        [Span(4, 8, 1.0, kind="account")],
        [Span(2, 9, 0.25, kind="slur"), Span(10, 14, 1.0, kind="account")],
        [Span(0, 1, 1.0, kind="letter")],
        [],
        [Span(0, 2, 1.0, kind="nothing")],
    ]


def test_escaped_texts_are_searched_as_what_they_mean(labeler):
    patterns = labeler(r"""
        account: '\b\d{4}\b'
        mail: {pattern: '[a-z]+@[a-z]+[.]com', score: 0.5}
        path: '\\d'
        """)
    text = r"\n12\u00334, ann&#64;mail.com \d"
    assert patterns.annotate([text, "1234", "a&b"], [{}] * 3) == [
        [
            Span(2, 11, 1.0, "labeler", "account"),
            Span(13, 29, 0.5, "labeler", "mail"),
            Span(30, 32, 1.0, "labeler", "path"),
        ],
        [Span(0, 4, 1.0, "labeler", "account")],
        [],
    ]


def test_it_travels_without_its_compiled_patterns(labeler):
    patterns = labeler("digit: '[0-9]'")
    patterns.check()
    copy = pickle.loads(pickle.dumps(patterns))
    assert copy._patterns is None
    assert copy.label(["a1"], [{}]) == [[Span(1, 2, 1.0, kind="digit")]]


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
        ("a: {pattern: b, score: 1.5}", r"pattern 'a': score: expected a number from 0 to 1, got 1\.5$"),
        ("a: {pattern: b, score: .nan}", r"pattern 'a': score: expected a number from 0 to 1"),
        ("a: {pattern: b, score: true}", r"pattern 'a': score: expected a number from 0 to 1"),
        ("a: {pattern: b, flags: [verbose]}", r"pattern 'a': flags: expected a list of ignorecase"),
        ("a: {pattern: b, flags: [[dotall]]}", r"pattern 'a': flags: expected a list of ignorecase"),
        ("a: {pattern: b, flags: dotall}", r"pattern 'a': flags: expected a list of ignorecase"),
        (
            "a: {pattern: b, flags: [IGNORECASE]}",
            r"pattern 'a': flags: .*, got IGNORECASE; did you mean \[ignorecase\]\?$",
        ),
        ("a: {pattern: b, flags: s}", r"pattern 'a': flags: .*, got s; did you mean \[dotall\]\?$"),
        ("a: {pattern: b, flags: null}", r"pattern 'a': flags: .*, got null$"),
        ("a: {patern: secret}", r"pattern 'a': has unknown keys \(patern\); .*; did you mean 'pattern'\?$"),
        ("a: {pattern: b, 1: secret}", r"pattern 'a': has unknown keys \(1\)"),
        ("a: ''", r"pattern 'a': is empty, and would find nothing"),
        ("a: 'b{99999999}'", r"pattern 'a': repeats its parts more than 100,000 times; use smaller numbers$"),
        ("a: '((b{999}){999,}[{]c){999}'", r"pattern 'a': repeats its parts more than 100,000 times"),
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


HUNGRY = "fine: 'b'\nhungry: '(?:a|aa)+(?!a|b)c'"
"""A lookahead keeps it from RE2, and it backtracks without end over many `a`."""


@pytest.fixture
def small_budget(monkeypatch):
    monkeypatch.setattr(module, "ALLOWANCE", 0.2)
    monkeypatch.setattr(module, "PER_MILLION", 0.1)


def test_a_pattern_over_its_budget_is_named(labeler, small_budget):
    patterns = labeler(HUNGRY)
    patterns.check()
    says = (
        r"pattern 'hungry': took more CPU time than its budget, 0\.2 s and 0\.1 s per million characters; remove nested"
    )
    with pytest.raises(LabelerError, match=rf"^slung\.labelers\[1\]\.path: .*patterns\.yml: {says}") as caught:
        patterns.label(["a" * 200], [{}])
    assert "aa" not in str(caught.value)


def test_the_budget_grows_with_the_text_and_shrinks_with_the_time(labeler, small_budget):
    patterns = labeler(HUNGRY)
    patterns.check()
    fine, hungry = patterns.patterns
    assert (fine.linear is None, hungry.linear is None) == (False, True)
    for text in ("b a", "x" * 1_000_000, "c"):
        patterns.label([text], [{}])
    assert fine.characters == hungry.characters == 1_000_004
    assert 0 < hungry.seconds < 0.3
    hungry.seconds = 0.29
    assert patterns.label(["ac"], [{}]) == [[Span(0, 2, 1.0, kind="hungry")]], (
        "a million characters are worth a tenth of a second"
    )
    hungry.seconds = 0.31
    with pytest.raises(LabelerError, match="pattern 'hungry': took more CPU time"):
        patterns.label(["ac"], [{}])


def test_a_text_over_the_budget_is_not_paid_for_again(labeler, small_budget):
    patterns = labeler(HUNGRY)
    patterns.check()
    searched = []
    for texts in (["a" * 200], ["a" * 200], ["a" * 200, "x" * 3_000_000]):
        with pytest.raises(LabelerError, match="pattern 'hungry': took more CPU time"):
            patterns.label(texts, [{}] * len(texts))
        searched.append(patterns.patterns[1].seconds)
    assert searched == [float("inf")] * 3


def test_many_matches_of_a_linear_pattern_are_bounded_too(labeler, small_budget):
    """Each match of `a` looks for a `b` to the end of the text."""
    patterns = labeler(r"wide: {pattern: 'a.*b|a', flags: [dotall]}")
    patterns.check()
    assert patterns.patterns[0].linear
    with pytest.raises(LabelerError, match="pattern 'wide': took more CPU time .*; bound its repetitions"):
        patterns.label(["a" * 1_000_000], [{}])


def test_backtracking_without_end_is_linear_where_it_can_be(labeler):
    patterns = labeler("hungry: '(a|aa)+$'")
    assert patterns.label(["a" * 50_000 + "!", "!aaa"], [{}] * 2) == [[], [Span(1, 4, 1.0, kind="hungry")]]
    assert patterns.patterns[0].seconds < 5


def test_flags_of_the_file_count_for_both_engines(labeler):
    patterns = labeler(
        r"""
        one: {pattern: '^é.b$', flags: [ignorecase, multiline, dotall]}
        two: {pattern: '(?<!x)^é.b$', flags: [ignorecase, multiline, dotall]}
        """
    )
    found = patterns.label(["x\nÉ\nB\nÉ\nBc\né\nb"], [{}])
    assert [pattern.linear is None for pattern in patterns.patterns] == [False, True]
    assert found == [[Span(*place, 1.0, kind=kind) for place in ((2, 5), (11, 14)) for kind in ("one", "two")]]


def test_repetitions_that_are_not_too_many(labeler):
    words = "|".join(f"word{number}" for number in range(3000))
    patterns = labeler(rf"a: '(x{{300}}){{300}}|\{{9999999\}}|[{{9999999}}]{{2}}|b{{0,9999999}}|{words}'")
    patterns.check()
    assert patterns.label(["word2999 {9999999} {}"], [{}])[0][0] == Span(0, 5, 1.0, kind="a")


def test_a_deeply_nested_expression(labeler):
    deep = "(" * 3000 + "a" + ")" * 3000
    with pytest.raises(LabelerError, match="pattern 'deep': is nested too deeply; remove parentheses"):
        labeler(f"deep: '{deep}'").check()
    patterns = labeler(f"deep: '{deep[2900:-2900]}'")
    assert patterns.label(["ba"], [{}]) == [[Span(1, 2, 1.0, kind="deep")]]


def section(title):
    """The first YAML block below a heading of docs/labelers.md."""
    text = (ROOT / "docs" / "labelers.md").read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n.*?^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]


def test_the_example_of_the_docs(labeler):
    patterns = labeler(section("Patterns files"))
    text = "You BLOCKHEAD, pay 1234567890 to the nitwits of 12345678901."
    assert patterns.label([text], [{}]) == [
        [Span(4, 13, 0.6, kind="insult"), Span(19, 29, 1.0, kind="account"), Span(37, 44, 0.6, kind="insult")]
    ]
