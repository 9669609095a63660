"""Reports in a terminal and as pages, with hostile text all over."""

import json
import re
import unicodedata

import pytest
from helpers.pages import THREE, labeled
from helpers.shown import HOSTILE, Reader, printed

from axolotl_slung.label_stats import sweep_view
from axolotl_slung.label_stats.estimate import Sample, estimate
from axolotl_slung.label_stats.statistics import risk_report
from axolotl_slung.label_stats.statistics_view import sections
from axolotl_slung.label_stats.sweep import sweep
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.render.formats import decimal, share
from axolotl_slung.render.sections import Beside, Facts, Section, Table, to_page


def hostile_documents():
    tokens = [" Idiot", "<b>", "\x1b[31m", "o'", "Neil\u0301", "\u202e", " fool"]
    scores = {HOSTILE: [0.5] * 7, "]]>": [0, 0, 0, 0, 0, 1.0, 1.0]}
    return [labeled(tokens, scores, partial=[1] * 7, name=HOSTILE)] * 40


def hostile_buckets():
    return (
        Bucket(HOSTILE, 0.4, Action.TRAIN),
        Bucket("b" * 200 + HOSTILE, 0.9, Action.MASK),
        Bucket("'\"><img src=x onerror=alert(1)>", None, Action.UNLIKELIHOOD),
    )


def both_reports():
    report = risk_report(hostile_documents(), hostile_buckets(), sequence_len=8)
    return [(report, sections), (sweep(hostile_documents(), hostile_buckets(), [(0.2, 0.3)]), sweep_view.sections)]


@pytest.mark.parametrize("report, view", both_reports(), ids=["stats", "sweep"])
def test_the_page_is_well_formed_and_runs_and_fetches_nothing(report, view):
    page = to_page(HOSTILE, view(report), HOSTILE)
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    names = {tag for tag, _ in reader.tags}
    assert not names & {"script", "img", "b", "iframe", "object", "link", "a", "red"}
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert not [c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert "<script>alert(1)</script>" in "".join(reader.data)  # it is shown, as text
    page.encode("utf-8")


def test_a_text_that_looks_like_a_template_stays_a_text():
    code = "{{ 7 * 7 }}{% for x in y %}{# gone #}{{ style | safe }}<b>"
    table = Table([code], [[code]], title=code)
    page = to_page(code, [Section(code, code, [table, Beside([table]), Facts([(code, code)])])], code)
    assert page.count("{{ 7 * 7 }}{% for x in y %}{# gone #}{{ style | safe }}&lt;b&gt;") == 13
    assert "49" not in page.partition("<main>")[2] and "<b>" not in page


@pytest.mark.parametrize("report, view", both_reports(), ids=["stats", "sweep"])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_control_character_reaches_the_terminal(report, view, width):
    shown = printed(report, view, width)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c != "\n"]
    assert "[red]" in shown.replace("\n", "")
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_no_word_is_broken_and_no_line_ends_in_blanks(width):
    documents = [labeled([" bad", " day", " idiot"], {"toxicity": [0.5, 0, 1.0]})] * 20
    report = risk_report(documents, (*THREE[:2], Bucket("definitely_toxic", None, Action.UNLIKELIHOOD)), sequence_len=3)
    shown = printed(report, width=width)
    assert not [line for line in shown.splitlines() if line != line.rstrip()]
    lines = shown.splitlines()
    for word in ("doubtful", "definitely_toxic", "unlikelihood", "documents"):
        assert any(re.search(rf"(?<!\S){word}(?!\S)", line) for line in lines), word
    fragments = {"definitely_toxi", "unlikelihoo", "unlikelih", "ood", "ic", "doubtfu", "doubtf"}
    assert not fragments & set(shown.split())


def test_the_terminal_says_the_numbers():
    documents = [labeled([" bad", " day"], score=[0.5, 0.0]), labeled([" idiot"], score=[1.0])] * 1000
    shown = printed(risk_report(documents, THREE, sequence_len=3))
    assert re.search(r"2,000 +documents *\n", shown)
    assert re.search(r"66\.7% +of the trainable tokens keep a loss *\n", shown)
    assert re.search(r"doubtful +0\.0001 to 0\.99 +mask +1,000 +50\.0% +1,000 +33\.3%\n", shown)
    assert re.search(r"idiot +1,000 +1,000 +100\.0%\n", shown)


def test_charts_draw_what_was_counted():
    documents = [labeled(["a"] * 10, score=[0.0] * 6 + [0.2] * 3 + [1.0])]
    page = to_page("t", sections(risk_report(documents, THREE)))
    for says in ("exactly 0: 6 tokens", "0.1 to 0.3: 3 tokens", "exactly 1: 1 tokens", "train: 6 tokens, 60.0%"):
        assert f"<title>{says}</title>" in page
    heights = {n: float(h) for h, n in re.findall(r'height="([0-9.]+)"><title>[^<]*: ([136]) tokens</title>', page)}
    assert heights["6"] > heights["3"] > heights["1"] > 0


@pytest.mark.parametrize("documents", [[], [labeled([])], [labeled(["a"], trainable=[False])]])
def test_nothing_to_report_is_reported(documents):
    report = risk_report(documents, THREE, sequence_len=4)
    assert report.fully_masked == 0 and report.without_loss == len(documents)
    reader = Reader()
    reader.feed(to_page("t", sections(report, estimate(report, Sample(1, 1, 1.0, 1, 1)))))
    assert reader.open == [] and "nan" not in "".join(reader.data).split()
    assert "documents" in printed(report)
    json.dumps(report.to_json(), allow_nan=False)


def test_words_are_neither_counted_nor_shown_unless_asked_for():
    documents = [labeled(["Xanthippe"], score=[1.0])]
    without, with_words = risk_report(documents, THREE, words=0), risk_report(documents, THREE)
    assert without.words is None
    assert "xanthippe" not in json.dumps(without.to_json()) + to_page("t", sections(without)) + printed(without)
    for shown in (json.dumps(with_words.to_json()), to_page("t", sections(with_words)), printed(with_words)):
        assert "xanthippe" in shown


@pytest.mark.parametrize(
    ("part", "percentage", "number"),
    [
        (0.0, "0.0%", "0.000"),
        (1e-9, "<0.0001%", "0.000"),
        (0.00012, "0.012%", "0.000"),
        (0.5, "50.0%", "0.500"),
        (0.99971, "99.97%", "0.9997"),
        (0.9999996, "99.99996%", "0.9999996"),
        (1.0, "100.0%", "1.000"),
        (None, "n/a", "n/a"),
    ],
)
def test_what_is_not_all_is_not_said_to_be(part, percentage, number):
    assert (share(part), decimal(part)) == (percentage, number)
