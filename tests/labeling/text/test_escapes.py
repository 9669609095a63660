"""Escaped texts as what they mean, and the way back."""

import html
import json
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import escape as markupsafe_escape

from axolotl_slung.labeling.text.escapes import DEPTH, KINDS, unescaped

no_surrogates = st.characters(exclude_categories=["Cs"])
hostile = st.text(
    st.sampled_from("\\\\&%\x1b#;x0un{}N[]m12aAcCeEfF8b9ltgmpo \"'\n\u00e9\ud83d\ude00") | st.characters()
)


def meanings(text, *kinds, depth=DEPTH):
    return [view.text for view in unescaped(text, kinds or KINDS, depth)]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (r"Hi,\nMaria\tHernandez\r\n\b\f", "Hi,\nMaria\tHernandez\r\n\b\f"),
        (r"\"a\/b\" \'c\' \`d\`", "\"a/b\" 'c' `d`"),
        (r"Mar\u00eda \u00E9\U000000e9\xe9\351\u{e9}\x{e9}", "María ééééé\u00e9"),
        (r"\u003cb\u003e \u0026 \u0027", "<b> & '"),
        (r"\ud83d\ude00 \uD83D\uDE00", "😀 😀"),
        (r"\ud83d \ude00\ud83d", "\ud83d \ude00\ud83d"),
        (r"Mar\xc3\xada \xe2\x82\xac \xf0\x9f\x98\x80", "María € 😀"),
        (r"Mar\303\255a \342\202\254 \360\237\230\200", "María € 😀"),
        (r"\xc3\x41 \xed\xa0\x80 \xff", "Ã\x41 í\xa0\x80 ÿ"),
        (r"\N{LATIN SMALL LETTER E WITH ACUTE} \N{keycap digit one}", "é 1\ufe0f\u20e3"),
        (r"\0 \033[1m \x1b \e", "\0 \x1b[1m \x1b \x1b"),
        (r"Maria\_Hernandez Anne\-Marie J\. R\.", "Maria_Hernandez Anne-Marie J. R."),
        ("Maria\\ Hernandez Maria\\\nHernandez", "Maria Hernandez Maria\nHernandez"),
        ("Maria&nbsp;H &amp; &lt;b&gt; &quot;&#39;&#x27;&apos;", "Maria\xa0H & <b> \"'''"),
        ("Mar&iacute;a Mar&iacutea Mar&#237;a Mar&#237a &notit; &NotEqualTilde;", "María María María María ¬it; ≂̸"),
        ("Maria%20Hern%C3%A1ndez %e2%82%ac %0A", "Maria Hernández € \n"),
        ("\x1b[1;31mMaria\x1b[0m \x1b]8;;http://a\x07link\x1b]8;;\x1b\\ \x1b(B\x1bM", "Maria link "),
        (r"\C:\Maria\Windows \q \x4 \u12 \u{110000} \N{no such name} \8 \19", None),
        (r"R & D &; &# &#x; && &zzz; &a", None),
        ("100% %d %s %C3 %AD%C3 50%x", None),
        ("\x1b \x1b\xe9 \x1b[\xe9", None),
        ("plain", None),
        ("", None),
        ("\\", None),
    ],
)
def test_literal_texts(text, meaning):
    assert meanings(text, depth=1) == ([] if meaning is None else [meaning])


def test_levels():
    assert meanings(r"a\\\\nb") == [r"a\\nb", r"a\nb", "a\nb"]
    assert meanings("a&amp;amp;nbsp;b") == ["a&amp;nbsp;b", "a&nbsp;b", "a\xa0b"]
    assert meanings(r"a\u0026nbsp;b") == ["a&nbsp;b", "a\xa0b"]
    assert meanings("a&#92;nb") == [r"a\nb", "a\nb"]
    assert meanings(r"\x1b[1mMaria\x1b[0m") == ["\x1b[1mMaria\x1b[0m", "Maria"]
    assert meanings(r"a\nb&nbsp;c", "entity") == ["a\\nb\xa0c"]
    assert meanings(r"a\nb&nbsp;c", "backslash") == ["a\nb&nbsp;c"]
    assert meanings("\\" * 64 + "n", depth=2) == ["\\" * 32 + "n", "\\" * 16 + "n"]


def test_the_way_back():
    (view,) = unescaped(r"x\nMar\u00eda &notit;")
    assert view.text == "x\nMaría ¬it;"
    assert view.starts.tolist() == [0, 1, 3, 4, 5, 6, 12, 13, 14, 18, 19, 20]
    assert view.ends.tolist() == [1, 3, 4, 5, 6, 12, 13, 14, 18, 19, 20, 21]
    assert view.original(2, 7) == (3, 13) and view.original(1, 2) == (1, 3)
    *_, view = unescaped(r"a\\u0026nbsp;b")
    assert view.text == "a\xa0b"
    assert (view.starts.tolist(), view.ends.tolist()) == ([0, 1, 13], [1, 13, 14])
    *_, view = unescaped("\x1b[1mMa\x1b[0mria")
    assert view.original(0, 5) == (4, 13)
    (view,) = unescaped("\x1b[1m")
    assert view.text == "" and view.starts.tolist() == view.ends.tolist() == []


@given(st.text(), st.booleans(), st.integers(1, 3))
@example("\ud83d", True, 3)
def test_json_in_json_leads_back_to_its_text(text, ascii, times):
    layers = [text]
    for _ in range(times):
        layers.append(json.dumps(layers[-1], ensure_ascii=ascii)[1:-1])
    if json.loads(f'"{layers[1]}"') != text:
        return  # two halves of a surrogate pair become one character
    views = list(unescaped(layers[-1], ["backslash"], times))
    for view, layer in zip(views, layers[-2::-1]):
        assert view.text == layer
    if not views:
        assert layers[-1] == text
        return
    last = views[-1]
    # each character owns what it alone is written as
    piece = text
    owned = [layers[-1][start:end] for start, end in zip(last.starts, last.ends)]
    for char, written in zip(piece, owned):
        for _ in range(len(views)):
            char = json.dumps(char, ensure_ascii=ascii)[1:-1]
        assert written == char
    assert "".join(owned) == layers[-1]


@given(st.text(no_surrogates))
def test_html_leads_back_to_its_text(text):
    for quoted in (
        html.escape(text),
        str(markupsafe_escape(text)),
        "".join(f"&#{ord(c)};" for c in text if c in "&<'\" é"),
    ):
        views = list(unescaped(quoted, ["entity"], 1))
        assert [view.text for view in views] == ([html.unescape(quoted)] if "&" in quoted else [])


@given(hostile)
def test_references_are_those_of_html(text):
    assert (meanings(text, "entity", depth=1) or [text])[0] == html.unescape(text)


@given(st.text(no_surrogates))
def test_urls_lead_back_to_their_text(text):
    quoted = urllib.parse.quote(text, safe="")
    assert (meanings(quoted, "percent", depth=1) or [quoted])[0] == text


@given(hostile)
def test_any_text(text):
    longer = len(text)
    for view in unescaped(text):
        assert len(view.text) == len(view.starts) == len(view.ends) <= longer
        longer = len(view.text)
        spans = list(zip(view.starts.tolist(), view.ends.tolist()))
        assert all(0 <= start < end <= len(text) for start, end in spans)
        assert all(a == b or a[1] <= b[0] for a, b in pairwise(spans))
        assert [view.original(i, i + 1) for i in range(len(spans))] == spans
        if spans:
            assert view.original(0, len(spans)) == (spans[0][0], spans[-1][1])


@pytest.mark.parametrize(
    "piece", ["\\", "&", "%", "\x1b", "\\N{", "\x1b]", "\x1b[0", "\x1b ", "&#", "&#1", "&a", "%C3", "\\xc3", "\\u"]
)
def test_long_runs_of_beginnings(piece):
    text = piece * 100_000
    assert len(list(unescaped(text))) <= DEPTH
