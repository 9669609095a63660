import pytest
from helpers.made_up import messages, prose
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.text.sentences import WHITE, split, split_bytes, strip

# what blingfire takes for white space beside Python's
ITS_SPACE = set(map(chr, [*range(0x21), 0xA0, *range(0x2000, 0x2010), 0x202F, 0x205F, 0x2060])) | set(
    "\u2420\u2424\u3000\ufeff"
)

pieces = st.sampled_from(
    ["a", "B", ". ", "! ", "? ", ".", "\n", "\r\n", " ", "\0", "\u2028", "\x85", "\u200b", "\u200d", "\ufeff"]
    + ["\u2420", "\u3000", "。", "漢字", "😀", "👩\u200d👩\u200d👧", "e\u0301", "\u0301", "\ud800", "\udc00"]
    + ["\ufffe", "Mr. ", "“", "”", '"', "(", ")", "...", "…", "Él", "straße", "J. ", "U.S. ", "no", "The ", "1. "]
)
awkward = st.lists(pieces, max_size=30).map("".join)
texts_of_all_kinds = st.one_of(st.text(st.characters()), awkward)


@settings(deadline=None)
@given(text=texts_of_all_kinds)
@example(text="")
@example(text=" \n\t")
@example(text="\ufeff")
@example(text="\ufeff\ufeff")
@example(text="\ud83d\ude00. \udc00")
def test_sentences_hold_every_character_once_and_in_order(text):
    (spans,) = split([text])
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start] not in ITS_SPACE
        assert all(char in ITS_SPACE for char in text[last:start])
        last = end
    assert all(char in ITS_SPACE for char in text[last:])


def blingfires_own(text):
    """Of the first package of that name, by its Python function, which walks from bytes to characters by itself."""
    blingfire = pytest.importorskip("blingfire", reason="the original blingfire has wheels for x86-64 only")
    sentences, spans = blingfire.text_to_sentences_and_offsets(utf8_safe(text)) if text else ("", [])
    return spans if sentences else []  # of white space alone it returns a made-up span


@settings(deadline=None)
@given(texts=st.lists(texts_of_all_kinds, max_size=4))
@example(texts=["", "\0", "a\0b. \0C.", "", "\ufeff", "A. 漢字。B", " "])
@example(texts=["x. y! Z? " * 40, "." * 300, ". " * 300, "。" * 100])
def test_boundaries_are_the_references(texts):
    assert split(texts) == [blingfires_own(utf8_safe(text)) for text in texts]


def test_boundaries_on_prose_and_messages():
    texts = [text[:20_000] for text in prose()] + [text for text, _ in messages(12_000)]
    found = split(texts)
    assert sum(map(len, found)) > 25_000
    assert found == [blingfires_own(text) for text in texts]


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
        ("not here. or here.2 or v1.2 There", ["not here. or here.2 or v1.2 There"]),
        ('He said "No!" and left.', ['He said "No!"', "and left."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_literal_texts(text, sentences):
    assert [text[start:end] for start, end in split([text])[0]] == sentences


def test_many_texts_at_once():
    assert split(["A b. B.", "", "c"]) == [[(0, 4), (5, 7)], [], [(0, 1)]]
    assert split([]) == []


@settings(deadline=None)
@given(texts=st.lists(texts_of_all_kinds, max_size=4))
@example(texts=["\u2028\u3000a. \x1c\x85", "\x1f\xa0", "\u1680\u205f"])
def test_bytes_strip_as_strings_do(texts):
    sentences = split_bytes(texts)
    found = [sentences.data[start:end].decode() for start, end in zip(*strip(sentences), strict=True)]
    assert found == [utf8_safe(t)[a:b].strip() for t, spans in zip(texts, split(texts), strict=True) for a, b in spans]


@settings(deadline=None)
@given(texts=st.lists(texts_of_all_kinds, max_size=4))
@example(texts=["", "é. Ö! 漢字。😀? A", "plain. Text", "\ud800. 😀"])
def test_bytes_are_those_of_the_characters(texts):
    sentences, spans = split_bytes(texts), split(texts)
    assert sentences.counts.tolist() == [len(of_text) for of_text in spans]
    assert [tuple(span) for span in sentences.characters.tolist()] == [span for of_text in spans for span in of_text]
    found = [sentences.data[a:b].decode() for a, b in zip(sentences.starts, sentences.ends, strict=True)]
    assert found == [utf8_safe(text)[a:b] for text, of_text in zip(texts, spans, strict=True) for a, b in of_text]


def test_white_space_is_blingfires():
    assert set(WHITE) == ITS_SPACE


def test_surrogates_are_replaced_one_for_one():
    assert utf8_safe("a\ud83d\ude00b😀") == "a\ufffd\ufffdb😀"
