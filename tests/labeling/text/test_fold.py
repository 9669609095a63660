import re
import sys
import unicodedata

import regex
from helpers.reference_fold import fold
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling import EntitiesLabeler
from axolotl_slung.labeling.text.characters import CONTROL, DRAWN, IGNORABLE, SIGNS
from axolotl_slung.labeling.text.fold import Folded

texts = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["a", "É", "e\u0301", "e\u0323\u0302", "e\u0302\u0323", "ﬁ", "Ａ", "ß", "가", "각", "が", "が"])
        | st.sampled_from([" ", "  ", "\r\n", "\u00a0", "-", "\u2011", "’", "'", "漢", "😀", "\ud800"])
    ).map("".join),
)


def is_spacing_accent(char):
    """An accent that stands for itself: NFKC makes a mark of it, often with a space, and no name has one."""
    first = unicodedata.normalize("NFKD", char)[0]
    becomes_one = first != char and (first == " " or unicodedata.category(first)[0] == "M")
    return becomes_one and not char.isspace() and unicodedata.category(char)[0] != "M"


@given(texts, st.booleans())
def test_texts_that_nfkc_makes_equal_fold_to_the_same(text, case_sensitive):
    # of signs NFKC makes letters and digits, which are parts of words
    text = "".join(
        char
        for char in text
        if not is_spacing_accent(char) and not re.match(f"[{SIGNS}{IGNORABLE}{DRAWN}{CONTROL}]", char)
    )
    folded = Folded(text, case_sensitive).text
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert Folded(unicodedata.normalize(form, text), case_sensitive).text == folded


@given(texts, st.booleans())
def test_every_piece_leads_back_to_its_characters(text, case_sensitive):
    folded = Folded(text, case_sensitive)
    last = 0
    for index in range(len(folded.text)):
        start, end = folded.original(index, index + 1)
        assert 0 <= start < end <= len(text)
        assert start >= last or unicodedata.combining(folded.text[index])
        last = max(last, start)
    # whatever belongs to no piece was left out
    owned = {i for index in range(len(folded.text)) for i in range(*folded.original(index, index + 1))}
    assert all(
        re.match(rf"[{IGNORABLE}{DRAWN}{CONTROL}{SIGNS}*＊﹡>|#;\u037e%/＞｜＃；％／﹥﹟﹔﹪\s_\u2800\u0307]", text[i])
        for i in {*range(len(text))} - owned
    )


def test_literal_pieces():
    folded = Folded("Ａｎ ﬁn \r\n e\u0301é")
    assert folded.text == "An fin e\u0301e\u0301"
    assert folded.original(0, 2) == (0, 2)
    assert folded.original(3, 6) == (3, 5)
    assert folded.original(7, 9) == (9, 11)
    assert folded.original(9, 11) == (11, 12)


def test_boundaries():
    folded = Folded("Anna's e\u0301. 王小明说")
    boundaries = [index for index in range(len(folded.text) + 1) if folded.edges[index]]
    assert boundaries == [0, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]


def test_what_is_left_out():
    folded = Folded("_A\u00adnna\u200b **B**erg™  x * y ™z")
    assert folded.text == " Anna Berg x * y ™z"
    assert folded.original(1, 5) == (1, 6)
    assert folded.original(6, 10) == (10, 16)
    boundaries = [index for index in range(len(folded.text) + 1) if folded.edges[index]]
    assert boundaries == [0, 1, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]


def test_the_ignorable_are_unicodes():
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert re.findall(f"[{IGNORABLE}]", everything) == regex.findall(r"\p{Default_Ignorable_Code_Point}", everything)


def test_signs_glue_to_no_word():
    """Whatever a character folds to, `Anna` ends before it, unless it is part of a word itself."""
    part_of_words = regex.compile(rf"[\w\p{{M}}{IGNORABLE}]")
    changed = [c for c in map(chr, range(0x80, sys.maxunicode + 1)) if not unicodedata.is_normalized("NFKD", c)]
    assert len(changed) > 10_000
    for char in changed:
        small = unicodedata.decomposition(char).startswith(("<super>", "<sub>"))
        if small or not part_of_words.match(char):
            assert Folded(f"Anna{char}").edges[4], hex(ord(char))


ALPHABETS = [
    "abcXYZ éÉçñ Łßẞ",
    "абвгдеёжзийкЙЩ",
    "αβγάώΐΣςᾳ\u0345",
    "가각힣한국어",
    "漢字田中々〇ジョンスミス・ーがパひら",
    "ตัวอย่างไทย",
    "كلمةٌ عربيّة\u200c",
    "हिन्दी शब्द",
    "ĂăÂâĐđẾềữ",
    "İIiı\u0307\u0323",
    "\u0301\u0323\u0302\u0308\u0332\u0336\u20dd\u0345",
    " \n\r\t_\u00a0\u2028\u2800\u3000",
    "-‐–—\u00ad\u200b\u200d\ufeff\u2060\x00\x1b\ufff9",
    "*＊>＞|#;%//／²™†©①ªﬁＡ½",
]
mixed = st.lists(st.one_of(*map(st.sampled_from, ALPHABETS), st.characters()), max_size=40).map("".join)


@settings(max_examples=300)
@given(mixed, st.booleans(), st.booleans())
@example("Jean-\n> luc", True, True)
@example("a\u00ad\r\n // b", True, True)
@example("田*\n中", True, True)
@example("I\u0323\u0307 i\u0307", False, True)
def test_as_the_slow_reference_folds(text, case_sensitive, diacritics):
    assert Folded(text, case_sensitive, diacritics).text == fold(text, case_sensitive, diacritics)


@given(st.text("abXY019.,'- ", max_size=12), st.booleans())
def test_plain_names_fold_to_themselves(text, case_sensitive):
    labeler = EntitiesLabeler("key", names=["x"], case_sensitive=case_sensitive)
    assert labeler._fold(text) == Folded(text, case_sensitive).text


def test_long_runs_of_marks_take_linear_time():
    text = "e" + "\u0301\u0323" * 200_000
    assert len(Folded(text).text) == len(text)
