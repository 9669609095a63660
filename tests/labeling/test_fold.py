import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from axolotl_slung.labeling.fold import Folded

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
    text = "".join(char for char in text if not is_spacing_accent(char))
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
    if folded.text:
        assert folded.original(0, len(folded.text)) == (0, len(text))


def test_literal_pieces():
    folded = Folded("Ａｎ ﬁn \r\n e\u0301é")
    assert folded.text == "An fin e\u0301e\u0301"
    assert folded.original(0, 2) == (0, 2)
    assert folded.original(3, 6) == (3, 5)
    assert folded.original(7, 9) == (9, 11)
    assert folded.original(9, 11) == (11, 12)


def test_boundaries():
    folded = Folded("Anna's e\u0301. 王小明说")
    boundaries = [index for index in range(len(folded.text) + 1) if folded.boundary(index)]
    assert boundaries == [0, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]
