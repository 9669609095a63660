"""Fields that are found by their text."""

import html
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from axolotl_slung.training.data.places import Placed
from axolotl_slung.training.data.searching import aligned, carried, gaps, search
from axolotl_slung.training.data.tracked import Piece

WORDS = st.text('ab"\\\n<&é ', min_size=1, max_size=8).filter(lambda text: any(map(str.isalnum, text)))


def found(text, fields, where=None):
    """Each field's text as it stands in `text`, and those for which there was a choice."""
    lost = {(number,): field for number, field in enumerate(fields)}
    places, choices = search(text, where or [(0, len(text))], lost)
    return {place.path[0]: text[place.start : place.end] for place in places}, {place.path[0] for place in choices}


@given(
    st.lists(WORDS, min_size=1, max_size=4, unique_by=str.strip), st.sampled_from(["json", "ascii", "twice", "html"])
)
def test_what_was_escaped_is_found_character_for_character(fields, form):
    write = {
        "json": lambda text: json.dumps(text, ensure_ascii=False),
        "ascii": json.dumps,
        "twice": lambda text: json.dumps(json.dumps(text)),
        "html": html.escape,
    }[form]
    # in any reading: written twice, `<a` is first read as `"<a"`, which holds the field `a"` too
    readings = {b: (b, json.dumps(b), write(b)) for b in fields}
    assume(not any(a.strip() in view for a in fields for b in fields if a is not b for view in readings[b]))
    text = " | ".join(f"{number}{number}: {write(field)}" for number, field in enumerate(fields, 10))
    places, choices = search(text, [(0, len(text))], {(n,): field for n, field in enumerate(fields)})
    assert not choices and sorted(place.path[0] for place in places) == list(range(len(fields)))
    for place in places:
        field = fields[place.path[0]]
        length = place.end - place.start if place.bounds is None else len(place.bounds)
        for index in range(length):
            start, end = (place.start + index, place.start + index + 1) if place.bounds is None else place.bounds[index]
            # what stands there means this character, and no more than it
            assert text[start:end] in write(field[place.offset + index])


def test_long_fields_first_and_in_the_order_of_the_row():
    text = '{"note": "see the mill", "a": "mill", "b": "mill"}'
    assert found(text, ["mill", "mill", "see the mill"]) == ({0: "mill", 1: "mill", 2: "see the mill"}, set())
    places, _ = search(text, [(0, len(text))], {(0,): "mill", (1,): "mill", (2,): "see the mill"})
    assert [place.start for place in sorted(places, key=lambda place: place.path)] == [31, 44, 10]


def test_a_part_of_a_word_is_no_place():
    assert found("windmills", ["mill"]) == ({}, set())
    assert found("wind mills: mill", ["mill"]) == ({0: "mill"}, set())


def test_a_choice_is_told():
    assert found('{"mill": "mill"}', ["mill"])[1] == {0}


def test_lines_that_the_template_indents():
    text = "- one\n    two\n    three"
    assert found(text, ["one\ntwo\n\nthree"])[0] == {0: "three"}
    places, _ = search(text, [(0, len(text))], {(0,): "one\ntwo\n\nthree"})
    assert [(text[p.start : p.end], p.offset) for p in places] == [("one", 0), ("two", 4), ("three", 9)]
    assert found("one\n    three", ["one\ntwo\nthree"]) == ({}, set())


def test_gaps_are_what_no_place_covers():
    places = [Placed(5, 7, ("b",), 0), Placed(1, 3, ("a",), 0), Placed(2, 4, ("c",), 0)]
    assert list(gaps("0123456789", places)) == [(0, 1), (4, 5), (7, 10)]
    assert list(gaps("01", [Placed(0, 2, ("a",), 0)])) == []


def test_a_text_that_a_template_changed_is_aligned():
    field, written = "It is a mill.", "It happens to be a mill."
    bounds = aligned(field, written)
    assert written[bounds[8, 0] : bounds[11, 1]] == "mill"
    assert aligned("It is a mill.", "Nothing of the kind") is None


def test_pieces_are_carried_over_to_a_rendering_at_another_time():
    first, second = "at 10:59:58 hello you", "at 11:00:01 hello you"
    assert carried(first, [Piece(12, 17, 0, 0), Piece(3, 11, 1, 0)], second) == [Piece(12, 17, 0, 0)]
