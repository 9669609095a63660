"""Texts that a template writes more than once or in pieces, and texts that belong together."""

import json
import re

import pytest
from helpers.chats import ASKED, INSULT, NAME, chat
from helpers.rendered import PHRASES, SPANS, masked

BODY = "{%% for message in messages %%}<|im_start|>{{ message['role'] }}\n{%% set C = message['content'] %%}%s<|im_end|>\n{%% endfor %%}"
MACRO = "{% macro m(x) %}{{ x }}{% endmacro %}"
TEXT = f"I met the {INSULT}. End of the {INSULT} now."
FOUND = [
    [TEXT.index(INSULT), TEXT.index(INSULT) + len(INSULT), 1.0],
    [TEXT.rindex(INSULT), TEXT.rindex(INSULT) + len(INSULT), 1.0],
]


def spans(text=TEXT, found=FOUND):
    return [chat(("user", "Who?", {"spans": []}), ("assistant", text, {"spans": found}))]


@pytest.mark.parametrize(
    "body",
    [
        MACRO + "{{ C[:12] }}{{ m(C)[12:] }}",
        "{{ C }}\n{{ (C ~ '')[:25] }}",
        "{{ C }}\n{% set q %}{{ C }}{% endset %}{{ q[3:] }}",
        "{{ C }}\n{{ ('%s' | format(C))[3:] }}",
        "{{ C }}\n{{ ('%s' % C)[3:] }}",
        "{% set ns = namespace(t='') %}{% set ns.t = ns.t ~ C %}{{ C }}\n{{ ns.t[5:] }}",
        "{{ C }}\n{{ C | wordwrap(12) }}",
        "{{ C }}\n{{ C.zfill(100) }}",
        "{{ C }}\n{{ C | center(90) }}",
        "{{ C }}\n{{ C.expandtabs() }}",
        "{{ C }}\n{{ (C ~ C) | pprint }}",
        "{{ C.split('. ')[0] }}.\n{{ (C ~ ' ').split('. ')[1] }}",
        MACRO + "{{ m(C).split('. ')[0] }}|{{ m(C).split('. ')[1] }}",
        "{{ C.split('. ')[0] ~ '|' ~ (C.split('. ')[1] | urlencode) }}",
    ],
)
def test_every_copy_of_a_risky_text_is_masked(prepare, body):
    rows, tokenizer = prepare(spans(), SPANS, template=BODY % body)
    trained = [tokenizer.decode([i]) for i, label in zip(rows[0]["input_ids"], rows[0]["labels"]) if label >= 0]
    assert masked((rows, tokenizer))[0] and not any(
        part in "".join(trained) for part in ("zorgle", "blimmet", "limmet")
    )


def test_thoughts_on_one_line_in_a_macro(prepare):
    body = (
        MACRO
        + "{% set text = m(C) %}{% if '</think>' in text %}<think>{{ text.split('</think>')[0].split('<think>')[-1] }}</think>\n{{ text.split('</think>')[-1].strip() }}{% else %}{{ text }}{% endif %}"
    )
    text = f"<think>the old hat thinks</think>it is the {INSULT}, so."
    at = text.index(INSULT)
    assert masked(prepare(spans(text, [[at, at + len(INSULT), 1.0]]), SPANS, template=BODY % body)) == [[INSULT]]


def test_names_across_segments_and_phrases_across_parts(prepare, tmp_path):
    (tmp_path / "names.txt").write_text(NAME)
    first, last = NAME.split()
    segments = [{"label": True, "text": f"I am {first}"}, {"label": True, "text": f" {last} indeed"}]
    rows, tokenizer = prepare(
        [{"segments": segments}], {"type": "entities", "path": str(tmp_path / "names.txt")}, type="input_output"
    )
    assert masked((rows, tokenizer)) == [[first, last]] or masked((rows, tokenizer)) == [[NAME]]
    one, two = INSULT.split()
    parts = [{"type": "text", "text": f"It is {one}"}, {"type": "text", "text": f" {two}, yes."}]
    assert masked(prepare([chat(ASKED, ("assistant", parts))], PHRASES)) == [[INSULT]]


def test_strings_of_json_that_is_text(prepare):
    """A flat tool call is no form of Axolotl's, and JSON in an answer is a text."""
    text = json.dumps({"note": 'grom "plonk"\nsnazzle', "n": [1, "fine"]})
    assert masked(prepare([chat(ASKED, ("assistant", text))], PHRASES)) == [['grom \\"plonk\\"\\nsnazzle']]


def test_details_beside_an_edited_text_are_refused(prepare):
    details = [
        {"begin_offset": 0, "end_offset": 3, "train": False},
        {"begin_offset": 4, "end_offset": 30, "train": True},
    ]
    rows = [chat(ASKED, ("assistant", f"Yes, {INSULT}, she said.", {"td": details}))]
    with pytest.raises(ValueError, match=r"datasets\[0\].message_field_training_detail: row 0 .* use the action mask"):
        prepare(rows, PHRASES, message_field_training_detail="td", block={"method": "low_risk"})


def test_spans_beside_the_arguments_of_a_tool_call(prepare):
    """In a JSON string they count its characters; beside a text in an object, that text's."""
    source = json.dumps({"to": "the old mill", "body": "a\nthe old mill"})
    at = source.rindex("old")
    called = {"name": "send", "arguments": source, "spans": [[at, at + 3, 1.0]]}
    rows = [chat(("user", "Who?"), ("assistant", "ok", {"tool_calls": [{"type": "function", "function": called}]}))]
    assert masked(prepare(rows, {"type": "spans", "text_field": "arguments"})) == [["old"]]
    called = {"name": "send", "arguments": {"to": "the old mill", "body": "the old mill", "spans": [[4, 7, 1.0]]}}
    rows = [chat(("user", "Who?"), ("assistant", "ok", {"tool_calls": [{"type": "function", "function": called}]}))]
    assert masked(prepare(rows, {"type": "spans", "text_field": "body"})) == [["old"]]


def test_arguments_nested_too_deeply_are_an_error_that_names_the_row(prepare):
    """How deep is too deep differs between versions of Python: what does not stop is masked."""
    nested = "[" * 900 + f'"{INSULT}"' + "]" * 900
    called = {"function": {"name": "f", "arguments": '{"a": ' + nested + "}"}}
    rows = [chat(ASKED, ("assistant", "ok", {"tool_calls": [called]}))]
    stopped, prepared = "", None
    try:
        prepared = prepare(rows, PHRASES)
    except ValueError as error:
        stopped = str(error)
    if prepared is None:
        assert re.search(r"datasets\[0\]: row 0 of the batch: .* nested too deeply", stopped) and INSULT not in stopped
    else:
        assert masked(prepared) == [[INSULT]]
