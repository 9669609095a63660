"""What `replace` puts in place of spans, against strings built by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling.base import Span
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.made_up import made_up
from axolotl_slung.labels.replacement import check_template, makes_up, replacements
from axolotl_slung.labels.tokens import buckets_of, char_scores


def buckets(text="<{KIND}>", seed=None, *more):
    return (Bucket("fine", 0.5, Action.TRAIN), *more, Bucket("personal", None, Action.REPLACE, text=text, seed=seed))


def put(text, spans, of):
    found = replacements(text, spans, buckets_of(char_scores(len(text), spans), of), of)
    return [(text[one.start : one.end], one.by) for one in found]


def at(text, part, kind="", labeler="names", score=1.0):
    return Span(text.index(part), text.index(part) + len(part), score, labeler, kind)


@pytest.mark.parametrize(
    "template, kind, expected",
    [
        ("<REDACTED>", "email", "<REDACTED>"),
        ("<{KIND}>", "email", "<EMAIL>"),
        ("[{kind}]", "email", "[email]"),
        ("<{KIND}>", "", "<NAMES>"),
        ("{{{kind}}}", "email", "{email}"),
        ("{made_up}", "email", made_up("a@b.org", "email", 7)),
        ("{kind}:{made_up}", "email", "email:" + made_up("a@b.org", "email", 7)),
    ],
)
def test_templates(template, kind, expected):
    assert put("to a@b.org now", [at("to a@b.org now", "a@b.org", kind)], buckets(template, 7)) == [
        ("a@b.org", expected)
    ]


@pytest.mark.parametrize(
    "template", ["{Kind}", "{", "}", "{}", "{0}", "{kind!r}", "{kind:>9}", "{kind.x}", "{made up}"]
)
def test_templates_that_are_refused(template):
    with pytest.raises(ValueError, match="brace"):
        check_template(template)


def test_made_up_values_are_asked_for():
    assert makes_up("<{made_up}>") and not makes_up("{{made_up}} {kind}")


def test_the_words_of_one_find_are_replaced_together():
    """Labelers of words give a span to each word and to the white space between two."""
    text = "So Maria Hernandez said."

    def word(part, kind="person", score=1.0, labeler="tagger"):
        return at(text, part, kind, labeler, score)

    blank = Span(8, 9, 0.6, "tagger", "person")
    words = [word("Maria", score=0.9), blank, word("Hernandez", score=0.6)]
    for spans in (words, words[::-1]):
        assert put(text, spans, buckets()) == [("Maria Hernandez", "<PERSON>")]
    made = buckets("{made_up}", 3)
    assert put(text, words, made) == put(text, [word("Maria Hernandez")], made)
    # a lower score for another kind does not divide them
    also = [word("Maria", "place", 0.7), word("Hernandez", "place", 0.55)]
    assert put(text, [*words, *also], buckets()) == [("Maria Hernandez", "<PERSON>")]
    # other kinds and other buckets do, and so does a blank without a span
    assert [by for _, by in put(text, [words[0], blank, word("Hernandez", "place")], buckets())] == [
        "<PERSON>",
        "<PLACE>",
    ]
    assert [by for _, by in put(text, [words[0], words[2]], buckets())] == ["<PERSON>", "<PERSON>"]
    # a labeler of one kind has no kind in its spans
    assert put(text, [word("Maria", ""), blank._replace(kind=""), word("Hernandez", "")], buckets()) == [
        ("Maria Hernandez", "<TAGGER>")
    ]


def test_overlapping_spans_are_one_and_adjacent_ones_of_two_kinds_are_two():
    text = "mail maria@corp.com today"
    inner, outer = at(text, "maria", "person"), at(text, "maria@corp.com", "email")
    for spans in ([inner, outer], [outer, inner]):
        assert put(text, spans, buckets()) == [("maria@corp.com", "<EMAIL>")]
    assert put(text, [at(text, "maria@", "a"), at(text, "corp.com", "b")], buckets()) == [
        ("maria@", "<A>"),
        ("corp.com", "<B>"),
    ]
    crossing = [at(text, "mail maria", "a"), at(text, "maria@corp.com", "b"), at(text, "com today", "c")]
    assert put(text, crossing, buckets()) == [("mail maria@corp.com today", "<B>")]


def test_a_higher_bucket_cuts_a_span():
    text = "mail maria@corp.com today"
    masked = Bucket("worse", None, Action.MASK)
    of = (Bucket("fine", 0.4, Action.TRAIN), Bucket("personal", 0.8, Action.REPLACE, text="<{KIND}>"), masked)
    spans = [at(text, "maria@corp.com", "email", score=0.5), at(text, "@corp", "x", score=1.0)]
    assert put(text, spans, of) == [("maria", "<EMAIL>"), (".com", "<EMAIL>")]


def test_white_space_at_the_ends_stays():
    text = "Hi. \n You fool. \n Bye."
    assert put(text, [at(text, " \n You fool. \n ")], buckets()) == [("You fool.", "<NAMES>")]
    assert put(text, [at(text, " \n ")], buckets()) == []


HOSTILE = 'a "b" \\ \n {c}\u2028</script>'


@pytest.mark.parametrize(
    "source, part, expected",
    [
        ('{"to": "maria"}', "maria", {"to": HOSTILE}),
        ('{"to": "x maria \\"y\\""}', "maria", {"to": f'x {HOSTILE} "y"'}),
        ('["m\\u0061ria"]', "m\\u0061ria", [HOSTILE]),
        ('{"maria": 1}', "maria", {HOSTILE: 1}),
        ('{"phone": 5551234567}', "5551234567", {"phone": HOSTILE}),
        ('{"to": "maria"}', '"maria"', {"to": HOSTILE}),
    ],
)
def test_json_stays_json(source, part, expected):
    of = buckets(HOSTILE.replace("{", "{{").replace("}", "}}"))
    [(_, by)] = put(source, [at(source, part)], of)
    assert json.loads(source.replace(part, by)) == expected


def test_a_number_in_json_stays_a_number_and_other_texts_are_not_escaped():
    source = '{"phone": 9551234567}'
    [(_, by)] = put(source, [at(source, "9551234567", "order")], buckets("{made_up}", 1))
    assert by.lstrip('"')[:1].isdigit()
    json.loads(source.replace("9551234567", by))
    assert put("{maria", [at("{maria", "maria")], buckets('"')) == [("maria", '"')]


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab \n", min_size=1, max_size=24),
    st.lists(st.tuples(st.integers(0, 23), st.integers(1, 8), st.sampled_from([0.2, 0.6, 1.0])), max_size=5),
)
def test_nothing_else_changes_and_nothing_is_left(text, drawn):
    """A slow reading of the definition: each character that counts is replaced once, the others stay in order."""
    of = (
        Bucket("fine", 0.4, Action.TRAIN),
        Bucket("personal", 0.8, Action.REPLACE, text="#"),
        Bucket("worse", None, Action.MASK),
    )
    spans = [Span(s, min(s + n, len(text)), score, "x") for s, n, score in drawn if s < len(text)]
    highest = [max([span.score for span in spans if span.start <= k < span.end], default=0.0) for k in range(len(text))]
    found = replacements(text, spans, buckets_of(np.array(highest), of), of)
    covered = [k for one in found for k in range(one.start, one.end)]
    assert covered == sorted(set(covered))
    for k, character in enumerate(text):
        if highest[k] != 0.6:
            assert k not in covered
        elif not character.isspace():
            assert k in covered
