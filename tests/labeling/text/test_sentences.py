import unicodedata
from itertools import pairwise

import blingfire
import pytest
from helpers.made_up import messages, prose
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling.base import utf8_safe
from axolotl_slung.labeling.text.sentences import SPLITTERS, split, split_bytes, strip

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


@pytest.mark.parametrize("splitter", SPLITTERS)
@settings(deadline=None)
@given(text=texts_of_all_kinds)
@example(text="")
@example(text=" \n\t")
@example(text="\ufeff")
@example(text="\ufeff\ufeff")
@example(text="\ud83d\ude00. \udc00")
def test_sentences_hold_every_character_once_and_in_order(splitter, text):
    (spans,) = split([text], splitter)
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start] not in ITS_SPACE
        assert all(char in ITS_SPACE for char in text[last:start])
        last = end
    assert all(char in ITS_SPACE for char in text[last:])


def blingfires_own(text):
    """Through its Python function, which walks from bytes to characters by itself."""
    sentences, spans = blingfire.text_to_sentences_and_offsets(utf8_safe(text)) if text else ("", [])
    return spans if sentences else []  # of white space alone it returns a made-up span


def by_the_rule(text):
    """The splitter `punctuation`, character by character."""
    spans, start, i = [], None, 0
    while i < len(text):
        if start is None and kind(text[i]) != "space":
            start = i
        i += 1
        last = kind(text[i - 1])
        if last == "always" or (last == "end" and not abbreviated(text[start : i - 1], text[i - 1])):
            j = i
            while j < len(text) and kind(text[j]) in ("space", "mark", "end"):
                j += 1
                if text[j - 1] == '"' and kind(text[j - 2]) == "end" and j < len(text) and kind(text[j]) == "space":
                    break
            run = [kind(char) for char in text[i - 1 : j]]
            spaced = ("end", "space") in pairwise(run) or run[-1] == "space"
            quoted = j < len(text) and kind(text[j]) == "space"
            if run[0] == "always" or j == len(text) or quoted or (kind(text[j]) == "begins" and spaced):
                # the sentence has all ends of the run, and the marks attached to them
                while run[0] == "end" and run[-1] != "end":
                    while run[-1] == "space":
                        run.pop()
                    marks = len(run)
                    while run[marks - 1] == "mark":
                        marks -= 1
                    if run[marks - 1] == "end":
                        break
                    del run[marks:]
                i = i if run[0] == "always" else i - 1 + len(run)
                spans.append((start, i))
                start = None
    return spans if start is None else [*spans, (start, len(text))]


TITLES = ("Mr", "Mrs", "Ms", "Dr", "St", "Prof", "Gen", "Col", "Capt", "Lt", "Rev", "Gov", "Sen")


def kind(char):
    if char in ITS_SPACE:
        return "space"
    if char in "!.?\u01c3\u06d4\u061f\u2024\u2026\u203c\u203d\u2048\u2049\u2404\ufe52\uff0e\uff61":
        return "end"
    if char in "\u3002\uff1f\uff01\u2028\u2029":
        return "always"
    if ord(char) > 0xFFFF:
        return "other"
    if unicodedata.category(char)[0] == "P":
        return "mark"
    return "begins" if char.isupper() or (char.isalpha() and not char.islower()) else "other"


def abbreviated(before, char):
    """Whether the full stop after a sentence's beginning stands behind an initial, a title, or a word like U.S"""
    word = before[len(before.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) :]
    rest = before[: len(before) - len(word)]
    if char != "." or not 1 <= len(word) <= 4:
        return False
    if rest.endswith("."):
        return True
    if rest and (rest[-1] >= "\x80" or rest[-1] in "0123456789"):
        return False
    return (len(word) == 1 and word.isupper()) or word in TITLES


REFERENCES = {"blingfire": blingfires_own, "punctuation": by_the_rule}


@pytest.mark.parametrize("splitter", SPLITTERS)
@settings(deadline=None)
@given(texts=st.lists(texts_of_all_kinds, max_size=4))
@example(texts=["", "\0", "a\0b. \0C.", "", "\ufeff", "A. 漢字。B", " "])
@example(texts=["x. y! Z? " * 40, "." * 300, ". " * 300, "。" * 100])
def test_boundaries_are_the_references(splitter, texts):
    assert split(texts, splitter) == [REFERENCES[splitter](utf8_safe(text)) for text in texts]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_boundaries_on_prose_and_messages(splitter):
    texts = [text[:20_000] for text in prose()] + [text for text, _ in messages(12_000)]
    found = split(texts, splitter)
    assert sum(map(len, found)) > 25_000
    assert found == [REFERENCES[splitter](text) for text in texts]


def test_the_fast_splitter_is_nearly_blingfire():
    text = (
        "Mr. Smith and Dr. A. B. Jones met in the U.S. in 1990. They said hello... and left! Why? Nobody knows. "
        'He said "Go away." She went (slowly.) Then it rained, e.g. on Monday. 3.5 litres fell.\n\nNo stop here\n\n'
        "“Quoted.” Next… Last one\n"
    )
    exact, fast = split([text])[0], split([text], "punctuation")[0]
    assert len(set(exact) ^ set(fast)) <= 2 < len(set(exact) & set(fast))


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
@pytest.mark.parametrize("splitter", SPLITTERS)
def test_literal_texts(splitter, text, sentences):
    assert [text[start:end] for start, end in split([text], splitter)[0]] == sentences


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_many_texts_at_once(splitter):
    assert split(["A b. B.", "", "c"], splitter) == [[(0, 4), (5, 7)], [], [(0, 1)]]
    assert split([], splitter) == []


@settings(deadline=None)
@given(texts=st.lists(texts_of_all_kinds, max_size=4))
@example(texts=["\u2028\u3000a. \x1c\x85", "\x1f\xa0", "\u1680\u205f"])
def test_bytes_strip_as_strings_do(texts):
    sentences = split_bytes(texts)
    found = [sentences.data[start:end].decode() for start, end in zip(*strip(sentences), strict=True)]
    assert found == [utf8_safe(t)[a:b].strip() for t, spans in zip(texts, split(texts), strict=True) for a, b in spans]


def test_surrogates_are_replaced_one_for_one():
    assert utf8_safe("a\ud83d\ude00b😀") == "a\ufffd\ufffdb😀"
