import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.sentences import split

# what blingfire takes for white space beside Python's
ITS_SPACE = set(map(chr, [*range(0x21), 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060])) | set(
    "\u2420\u2424\u3000\ufeff"
)

awkward = st.lists(
    st.sampled_from(
        ["a", "B", ". ", "! ", "? ", ".", "\n", "\r\n", " ", "\0", "\u2028", "\x85", "\u200b", "\u200d", "\ufeff"]
        + ["\u2420", "\u3000", "。", "漢字", "😀", "👩\u200d👩\u200d👧", "e\u0301", "\u0301", "\ud800", "\udc00"]
        + ["\ufffe", "Mr. ", "“", "”"]
    ),
    max_size=20,
).map("".join)


@given(st.one_of(st.text(st.characters()), awkward))
@example("")
@example(" \n\t")
@example("\ufeff")
@example("\ufeff\ufeff")
@example("\ud83d\ude00. \udc00")
def test_sentences_hold_every_character_once_and_in_order(text):
    (spans,) = split([text])
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start] not in ITS_SPACE
        assert all(char in ITS_SPACE for char in text[last:start])
        last = end
    assert all(char in ITS_SPACE for char in text[last:])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ("  Hello there.  How are you?", ["Hello there.", "How are you?"]),
        ("One.\r\nTwo.\r\n\r\nThree", ["One.", "Two.", "Three"]),
        ("Nice 😀. Next 😀😀! End 漢字。次の文。 ok", ["Nice 😀.", "Next 😀😀!", "End 漢字。", "次の文。", "ok"]),
        ("e\u0301te\u0301. Oui. Ne\u0301", ["e\u0301te\u0301.", "Oui.", "Ne\u0301"]),
        ("Hi. \0 There.", ["Hi.", "There."]),
        ("\ufeffHello. World.", ["Hello.", "World."]),
        ("a\ud800b. C", ["a\ud800b.", "C"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_literal_texts(text, sentences):
    assert [text[start:end] for start, end in split([text])[0]] == sentences


def test_many_texts_at_once():
    assert split(["A. B.", "", "c"]) == [[(0, 5)], [], [(0, 1)]]


def test_surrogates_are_replaced_one_for_one():
    assert utf8_safe("a\ud83d\ude00b😀") == "a\ufffd\ufffdb😀"
