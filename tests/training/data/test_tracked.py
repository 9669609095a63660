"""Strings that remember where their characters come from."""

import copy
import json
import pickle

import jinja2.ext
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers.utils.chat_template_utils import _compile_jinja_template

from axolotl_slung.training.data.following import following
from axolotl_slung.training.data.tracked import Tracked, mark, plain, track, unmark

TEXT = st.text(alphabet="ab \n.<>é", max_size=20)
SMALL = st.text(alphabet="ab \n.", max_size=2)

OPERATIONS = st.one_of(
    st.builds(lambda i, j: lambda s: s[i:j], st.integers(-9, 9), st.integers(-9, 9)),
    st.builds(lambda chars: lambda s: s.strip(chars), st.sampled_from([None, " ", "ab"])),
    st.builds(lambda chars: lambda s: s.lstrip(chars), st.sampled_from([None, " ", "ab"])),
    st.builds(lambda chars: lambda s: s.rstrip(chars), st.sampled_from([None, " ", "ab"])),
    st.builds(lambda sep, n: lambda s: s.split(sep, n)[-1], st.sampled_from([" ", ".", "ab"]), st.integers(-1, 2)),
    st.builds(lambda n: lambda s: (s.split(None, n) or [s])[0], st.integers(-1, 2)),
    st.builds(lambda n: lambda s: (s.rsplit(None, n) or [s])[0], st.integers(-1, 2)),
    st.builds(lambda sep, n: lambda s: s.rsplit(sep, n)[0], st.sampled_from([" ", ".", "ab"]), st.integers(-1, 2)),
    st.builds(lambda keep: lambda s: (s.splitlines(keep) or [s])[-1], st.booleans()),
    st.builds(lambda sep: lambda s: s.partition(sep)[2], st.sampled_from([" ", "a"])),
    st.builds(lambda sep: lambda s: s.rpartition(sep)[0], st.sampled_from([" ", "a"])),
    st.builds(lambda more: lambda s: s + more, SMALL),
    st.builds(lambda more: lambda s: more + s, SMALL),
    st.builds(lambda old, new: lambda s: s.replace(old, new), SMALL, SMALL),
    st.sampled_from(
        [lambda s: s.upper(), lambda s: s.swapcase(), lambda s: s.removeprefix("a"), lambda s: s.removesuffix("b")]
    ),
)


@given(TEXT, TEXT, st.lists(OPERATIONS, max_size=5))
def test_every_operation_gives_the_plain_text_and_the_characters_origin(first, second, operations):
    fields = [first, second]
    tracked, expected = track(first, 0) + ": " + track(second, 1), f"{first}: {second}"
    for operation in operations:
        tracked, expected = operation(tracked), operation(expected)
        assert plain(tracked) == expected
    text, pieces = unmark(str(tracked))
    assert text == expected
    for start, end, field, offset in pieces:
        assert text[start:end].casefold() == fields[field][offset : offset + end - start].casefold()


@given(TEXT)
def test_it_is_what_it_holds(text):
    tracked = track(text, 3)
    assert tracked == text and hash(tracked) == hash(text) and len(tracked) == len(text) and {text: 1}[tracked] == 1
    assert tracked.startswith(text[:2]) and tracked in [text] and json.loads(json.dumps([tracked])) == [text]
    assert list(map(plain, tracked)) == list(text) and copy.deepcopy([tracked])[0] is tracked
    again = pickle.loads(pickle.dumps(tracked))
    assert isinstance(again, Tracked) and (plain(again), again.pieces) == (text, tracked.pieces)


@pytest.mark.parametrize(
    "template, expected",
    [
        ("{{ x }}|{{ x | trim }}", [(0, 8, 0, 0), (9, 15, 0, 1)]),
        ("{{ 'a' + x }}", [(1, 9, 0, 0)]),
        ("{{ x ~ '!' }}", [(0, 8, 0, 0)]),
        ("{{ x.split('|')[1] }}", [(0, 3, 0, 5)]),
        ("{{ x[1:3] }}{{ x[-1] }}", [(0, 2, 0, 1), (2, 3, 0, 7)]),
        ("{{ '%s.' % x }}{{ 'a{}'.format(x) }}", [(0, 8, 0, 0), (10, 18, 0, 0)]),
        ("{{ [x, 'b'] | join(', ') }}", [(0, 8, 0, 0)]),
        ("{{ x | upper }}", [(0, 8, 0, 0)]),
        ("{% set y = x %}{% if y == ' one|me ' %}{{ y | string }}{% endif %}", [(0, 8, 0, 0)]),
        ("{% if x in [' one|me '] and x.startswith(' o') and x[1] == 'o' %}{{ x }}{% endif %}", [(0, 8, 0, 0)]),
        ("{% for line in x.split('|') %}{{ line | trim }};{% endfor %}", [(0, 3, 0, 1), (4, 6, 0, 5)]),
        ("{{ x | replace('|', '<>') }}", [(0, 4, 0, 0), (6, 10, 0, 5)]),
        ("{% macro m(y) %}<{{ y }}>{% endmacro %}{{ m(x) }}", [(1, 9, 0, 0)]),
    ],
)
def test_templates_cannot_tell_and_what_they_write_is_followed(template, expected):
    environment = ImmutableSandboxedEnvironment(extensions=[jinja2.ext.loopcontrols])
    text, pieces = unmark(environment.from_string(template).render(x=track(" one|me ", 0)))
    assert text == environment.from_string(template).render(x=" one|me ")
    if "replace" in template:  # Jinja replaces in what is written, marks and all: one piece of another text
        expected = [(0, 9, 0, 0)]
    assert list(map(tuple, pieces)) == expected


def test_marks_that_were_written_as_escapes():
    written = json.dumps(f'"a" {mark("Zoë", 12, 3)}')
    assert unmark(written, escaped=True) == ('"\\"a\\" Zo\\u00eb"', [(7, 15, 12, 3)])


@pytest.mark.parametrize(
    "template, expected",
    [
        ("{% macro m(y) %}{{ y }}{% endmacro %}{{ m(x)[3:] }}", [(0, 5, 0, 3)]),
        ("{% set y %}<{{ x }}>{% endset %}{{ y.strip('<>') }}{{ y == '< one|me >' }}", [(0, 8, 0, 0)]),
        ("{% macro m() %}[{{ caller(x) }}]{% endmacro %}{% call(y) m() %}{{ y }}{% endcall %}", [(1, 9, 0, 0)]),
        ("{{ (x ~ '!').split('|')[0] }}", [(0, 4, 0, 0)]),
        ("{{ ('a{}'.format(x))[1:] }}", [(0, 8, 0, 0)]),
        ("{{ ([x, x] | join(', '))[4:] }}", [(0, 4, 0, 4), (6, 14, 0, 0)]),
        ("{{ (x | upper ~ '') | trim }}", [(0, 6, 0, 1)]),
        ("{{ [x] | tojson }}", [(2, 10, 0, 0)]),
        ("{{ {'b': x, 'a': 1} | tojson(sort_keys=true) }}", [(15, 23, 0, 0)]),
        ("{% generation %}{{ x }}{% endgeneration %}", [(0, 8, 0, 0)]),
    ],
)
def test_what_a_template_joins_stays_tracked(template, expected):
    compiled = _compile_jinja_template(template)
    with following(template, None):
        text, pieces = unmark(str(compiled.render(x=track(" one|me ", 0))))
    assert text == compiled.render(x=" one|me ") and list(map(tuple, pieces)) == expected


def test_hostile_text_takes_linear_time():
    text = "\\" * 1_000_000 + mark("a", 0, 0) + "\\ufdd0" * 1000
    assert unmark(text)[0] == "\\" * 1_000_000 + "a" + "\\ufdd0" * 1000
    assert unmark("\\" * 1_000_000, escaped=True) == ("\\" * 1_000_000, [])
