"""Text that a chat template writes in another way, or looks at: the words that are masked, case by case."""

import json
import logging
import re

import pytest
from helpers.axolotl_run import base_config, run_axolotl
from helpers.chat_truth import spelt
from helpers.chats import ASKED, INSULT, NAME, TOOLS, call, chat
from helpers.rendered import MAIL, MAILS, PHRASES, SPANS, WHOLE, masked, runs
from helpers.tiny import write_jsonl


def wrote(arguments, content="ok", **keys):
    return chat(ASKED, ("assistant", content, {**call(arguments), **keys}))


# ---------------------------------------------------------------------------------------------------- tool calls in JSON


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_an_address_in_arguments_is_found_by_a_labeler_of_documents(prepare, form):
    rows = [wrote(form({"to": MAIL, "body": f'Hi,\n"{MAIL}" is it.\n{MAIL}'}))]
    assert masked(prepare(rows, MAILS)) == [[MAIL, MAIL, MAIL]]


def test_one_string_of_JSON_does_not_hide_the_other_fields(prepare):
    turn = {**call(json.dumps({"to": NAME})), "reasoning_content": f"I think {INSULT}."}
    row = chat(ASKED, ("assistant", f"No {INSULT}!", turn), tools=json.dumps(TOOLS), system=f"You are {INSULT}.")
    assert masked(prepare([row], PHRASES)) == [[INSULT, INSULT]]
    everyone = prepare([row], PHRASES, roles_to_train=["system", "assistant"])
    assert masked(everyone) == [[INSULT, INSULT, INSULT]]


def test_an_argument_with_a_line_break_does_not_hide_the_other_arguments(prepare):
    row = wrote({"to": NAME, "subject": f"about {INSULT}", "body": f'a\nb "c" {INSULT}'})
    assert masked(prepare([row], PHRASES)) == [[INSULT, INSULT]]


@pytest.mark.parametrize("form", [dict, json.dumps])
@pytest.mark.parametrize("template", ["qwen3", "qwen_25", "llama4", "command_a_tool_use"])
def test_names_at_the_start_of_a_line_in_arguments(prepare, tmp_path, template, form):
    (tmp_path / "names.txt").write_text(NAME)
    rows = [wrote(form({"body": f"Hi,\n{NAME} says hello\n\t{NAME}"}))]
    assert masked(prepare(rows, {"type": "entities", "path": str(tmp_path / "names.txt")}, template=template)) == [
        [NAME, NAME]
    ]


def test_span_columns_of_reasoning_in_a_row_with_JSON_arguments(prepare):
    labeler = {"type": "spans", "field": "rspans", "text_field": "reasoning_content"}
    row = wrote(json.dumps({"to": NAME}), reasoning_content="the old mill", rspans=[[4, 7, 1.0]])
    row["messages"][0]["rspans"] = []
    assert masked(prepare([row], labeler)) == [["old"]]


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_control_drops_a_document_for_its_arguments(prepare, form):
    rows = [wrote(form({"body": f"I say {INSULT}."})), wrote(form({"body": "I say no."}))]
    clean, _ = prepare(rows[1:])
    assert prepare(rows, PHRASES, block={"method": "control"})[0] == clean


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_low_risk_drops_a_span_in_arguments(prepare, form):
    risky, clean = (wrote(form({"body": f'We met{more}\n"there".', "n": 1})) for more in (f" {INSULT}", ""))
    [expected], _ = prepare([clean])
    [row], _ = prepare([risky], PHRASES, block={"method": "low_risk"})
    assert row == expected


def test_values_under_the_keys_of_messages(prepare):
    row = wrote({"from": f"{MAIL}", "to": f"b.{MAIL}", "type": f"c.{MAIL}", "id": f"d.{MAIL}", "role": f"e.{MAIL}"})
    assert masked(prepare([row], MAILS)) == [[MAIL, *(f"{letter}.{MAIL}" for letter in "bcde")]]


def test_a_type_of_the_config_with_a_field_that_is_called_type(prepare):
    rows = [{"q": "Who?", "type": f"It is {MAIL}."}]
    entry = {
        "field_instruction": "q",
        "field_output": "type",
        "format": "[I] {instruction} [/I]",
        "no_input_format": "[I] {instruction} [/I]",
    }
    rows = prepare(rows, MAILS, type=entry, chat_template=None)
    assert masked(rows) == [[MAIL]]


def test_the_log_names_no_text_and_no_error_for_JSON_arguments(tmp_path, slung):
    """What the command prints; a text in it would be in every log of every run."""
    body = json.dumps({"to": NAME, "body": f"Hi,\n{INSULT}"})
    rows = [chat(ASKED, ("assistant", "ok", call(body)), tools=json.dumps(TOOLS))] * 3
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    (tmp_path / "names.txt").write_text(NAME)
    config = base_config(
        tmp_path, sequence_len=2048, chat_template="qwen3", special_tokens={"eos_token": "<|im_end|>"},
        datasets=[{"path": str(path), "ds_type": "json", "type": "chat_template"}],
        **slung(labelers=[{"type": "entities", "path": str(tmp_path / "names.txt")}, PHRASES]),
    )  # fmt: skip
    output = run_axolotl(config, tmp_path, command="preprocess").check().output
    assert "slung: datasets[0]: " in output and "mask " in output
    for word in ("ERROR", "Error", "Maria", "Hernandez", INSULT, "send_email", "\ufdd0"):
        assert word not in output


# ------------------------------------------------------------------------------------- templates that look at the text

CONVERSATION = {"field_messages": "conv", "message_property_mappings": {"role": "speaker", "content": "text"}}


@pytest.mark.parametrize(
    "roles, user, assistant",
    [
        (None, "human", "gpt"),
        ({"user": ["customer"], "assistant": ["agent"]}, "customer", "agent"),
        (None, "user", "assistant"),
    ],
)
def test_the_key_of_the_role_has_another_name(prepare, roles, user, assistant):
    row = {"conv": [{"speaker": user, "text": f"Who is {INSULT}?"}, {"speaker": assistant, "text": f"It is {INSULT}."}]}
    entry = {**CONVERSATION, **({"roles": roles} if roles else {})}
    for template in ("chatml", "qwen3"):
        assert masked(prepare([row], PHRASES, template=template, **entry)) == [[INSULT]]


def test_results_of_tools_as_turns_of_the_user(prepare):
    row = chat(
        ("user", "Who?"),
        ("assistant", f"Let me look {INSULT} up.", {"reasoning_content": f"I look it up, {INSULT}."}),
        ("user", f"<tool_response>\n{INSULT}\n</tool_response>"),
        ("assistant", f"It is {INSULT}."),
    )
    assert masked(prepare([row], PHRASES)) == [[INSULT, INSULT, INSULT]]


REQUIRED = (
    "{% for tool in tools %}{% for name, value in tool.function.parameters.properties.items() %}"
    "{{ name }}{% if name not in tool.function.parameters.required %}?{% endif %}: {{ value.type }}\n{% endfor %}{% endfor %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)


@pytest.mark.parametrize("form", [list, json.dumps])
def test_tools_with_required_arguments(prepare, form):
    rows, tokenizer = prepare(
        [chat(ASKED, ("assistant", f"No {INSULT}."), tools=form(TOOLS))], PHRASES, template=REQUIRED
    )
    assert tokenizer.decode(rows[0]["input_ids"]).startswith(
        "to: string\nbody?: string\nurgent?: boolean\n<|im_start|>user"
    )
    assert masked((rows, tokenizer)) == [[INSULT]]


@pytest.mark.parametrize(
    "looks",
    [
        "{% if message['content'] == 'yes' %}{{ message['content'] }}, then{% else %}{{ message['content'] }}{% endif %}",
        "{% if message['content'] in ['yes', 'no'] %}{{ message['content'] }}, then{% else %}{{ message['content'] }}{% endif %}",
        "{% if message['content'][0] == 'y' %}{{ message['content'] }}, then{% else %}{{ message['content'] }}{% endif %}",
        "{% if message['content'].startswith('ye') %}{{ message['content'] }}, then{% else %}{{ message['content'] }}{% endif %}",
        "{% if message['content'] | length < 4 %}{{ message['content'] }}, then{% else %}{{ message['content'] }}{% endif %}",
    ],
)
def test_a_template_that_looks_at_the_value(prepare, looks):
    template = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n" + looks + "<|im_end|>\n{% endfor %}"
    rows = [
        chat(("user", f"Is it {INSULT}?"), ("assistant", "yes")),
        chat(("user", "yes"), ("assistant", f"It is {INSULT}.")),
    ]
    rows, tokenizer = prepare(rows, PHRASES, template=template)
    assert [runs(tokenizer, row, lambda label: label >= 0) for row in rows] == [
        ["yes, then<|im_end|>"],
        ["It is", ".<|im_end|>"],
    ]
    assert masked((rows, tokenizer)) == [[], [INSULT]]


def test_a_template_that_tells_the_time(prepare):
    """No two renderings are the same, so that stock may miss the end of a turn by a token: what it trains is looked at."""
    template = "{% for message in messages %}<|im_start|>{{ message['role'] }}{{ strftime_now(' %S.%f') }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    rows = [chat(ASKED, ("assistant", f"It is {INSULT}."))] * 3
    prepared, tokenizer = prepare(rows, PHRASES, template=template)
    for row in prepared:
        trained = " ".join(runs(tokenizer, row, lambda label: label >= 0))
        assert (
            runs(tokenizer, row)
            and "It is" in trained
            and not any(part in trained for part in ("zor", "gle", "bli", "mmet"))
        )


# --------------------------------------------------------------------------------------------------------- parts of turns


def test_details_with_offsets_of_whole_tokens(prepare):
    details = [
        {"begin_offset": 0, "end_offset": 3, "train": False},
        {"begin_offset": 4, "end_offset": 40, "train": True},
    ]
    rows = [chat(ASKED, ("assistant", f"Yes, it is {INSULT}, she said.", {"td": details}))]
    (stock, _), (ours, tokenizer) = (
        prepare(rows, *labelers, message_field_training_detail="td") for labelers in ([], [PHRASES])
    )
    assert ours[0]["input_ids"] == stock[0]["input_ids"] and masked((ours, tokenizer)) == [[INSULT]]
    assert all(a == b or a < -100 for a, b in zip(ours[0]["labels"], stock[0]["labels"], strict=True))


@pytest.mark.parametrize("flag", [{"train": False}, {"weight": 0}])
def test_parts_that_are_not_trained(prepare, flag):
    parts = [
        {"type": "text", "text": f"Let me think of {INSULT}.", **flag},
        {"type": "text", "text": f" It is {INSULT}."},
    ]
    rows = [chat(("user", [{"type": "text", "text": "Who?"}]), ("assistant", parts))]
    (stock, _), (ours, tokenizer) = (prepare(rows, *labelers) for labelers in ([], [PHRASES]))
    assert ours[0]["input_ids"] == stock[0]["input_ids"] and masked((ours, tokenizer)) == [[INSULT]]
    assert all(a == b or a < -100 for a, b in zip(ours[0]["labels"], stock[0]["labels"], strict=True))


@pytest.mark.parametrize("kind", ["bytelevel", "bytelevel_bos"])
def test_blanks_at_the_end_of_a_turn_are_labeled_as_by_stock(prepare, kind):
    rows = [chat(("user", "a  b "), ("assistant", "yes ")), chat(("user", "c"), ("assistant", f"no  {INSULT}  "))]
    template = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n\n{% endfor %}"
    (stock, _), (ours, tokenizer) = (
        prepare(rows, *labelers, template=template, kind=kind) for labelers in ([], [PHRASES])
    )
    assert ours[0] == stock[0]
    assert masked((ours, tokenizer)) == [[], [INSULT]]
    assert all(a == b or a < -100 for a, b in zip(ours[1]["labels"], stock[1]["labels"], strict=True))


# ---------------------------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize("options", [{}, {"split_thinking": True}])
@pytest.mark.parametrize("template", ["chatml", "qwen3", "qwen3_5", "exaone4"])
def test_thoughts_in_the_content(prepare, template, options):
    row = chat(ASKED, ("assistant", f"<think>\nI know {INSULT}.\n</think>\n\nIt is {INSULT}, so."))
    rows, tokenizer = prepare([row], PHRASES, template=template, **options)
    rendered = tokenizer.decode(rows[0]["input_ids"]).count(INSULT)
    assert masked((rows, tokenizer)) == [[INSULT] * rendered] and rendered in (1, 2)


def test_a_labeler_of_documents_is_not_given_the_template_with_a_thought(prepare):
    row = chat(
        ASKED,
        ("assistant", f"<think>\n{INSULT}\n</think>\n\nok"),
        ("user", "So?"),
        ("assistant", f"<think>\nno\n</think>\n\n{INSULT}"),
    )
    rows, tokenizer = prepare([row, chat(ASKED, ("assistant", "ok"))], WHOLE)
    [first, *_] = rows
    trained = " ".join(runs(tokenizer, first, lambda label: label >= 0))
    assert trained.count("<|im_end|>") == 2 and all("im_start" not in run for run in runs(tokenizer, first))


@pytest.mark.parametrize("options", [{}, {"split_thinking": True}])
def test_span_columns_and_dropped_spans_where_thoughts_are_cut_out(prepare, options):
    content = "<think>\nthe old mill\n</think>\n\nthe new mill"
    at, then = content.index("old"), content.index("new")
    row = chat(
        ("user", "Which?", {"spans": []}), ("assistant", content, {"spans": [[at, at + 3, 1.0], [then, then + 3, 1.0]]})
    )
    assert masked(prepare([row], SPANS, **options)) == [["old", "new"]]
    clean = chat(("user", "Which?"), ("assistant", "<think>\nthe mill\n</think>\n\nthe mill"))
    [expected], _ = prepare([clean], **options)
    [dropped], _ = prepare([row], SPANS, block={"method": "low_risk"}, **options)
    assert dropped == expected


# ------------------------------------------------------------------------------------------------------- columns of spans


def _segments(*spans):
    return {"segments": [{"label": True, "text": "the old mill", "spans": each} for each in spans]}


@pytest.mark.parametrize("first, second", [([[4, 7, 1.0]], []), ([], [[4, 7, 1.0]]), ([[4, 7, 1.0]], [[8, 12, 1.0]])])
def test_segments_of_the_same_text_have_spans_of_their_own(prepare, first, second):
    rows, tokenizer = prepare([_segments(first, second)], SPANS, type="input_output", chat_template=None)
    words = [word for word, spans in (("old", first), ("old" if second == [[4, 7, 1.0]] else "mill", second)) if spans]
    assert masked((rows, tokenizer)) == [words]
    position = next(index for index, label in enumerate(rows[0]["labels"]) if label < -100)
    before = b"".join(spelt(tokenizer, rows[0]["input_ids"][:position])).decode()
    assert before.count("mill") == (0 if first else 1)


def test_messages_of_the_same_text_have_spans_of_their_own(prepare):
    turns = [
        (role, "the old mill", {"spans": spans})
        for role, spans in (("user", []), ("assistant", []), ("user", []), ("assistant", [[4, 7, 1.0]]))
    ]
    rows, tokenizer = prepare([chat(*turns)], SPANS)
    assert masked((rows, tokenizer)) == [["old"]]
    position = next(index for index, label in enumerate(rows[0]["labels"]) if label < -100)
    assert b"".join(spelt(tokenizer, rows[0]["input_ids"][:position])).decode().count("the") == 4


def _parts(*texts):
    return [{"type": "text", "text": text, **keys} for text, keys in texts]


def test_spans_of_a_message_count_the_characters_of_all_its_parts(prepare):
    question = ("user", _parts(("Which?", {})), {"spans": []})
    one = chat(question, ("assistant", _parts(("the old mill", {})), {"spans": [[4, 7, 1.0]]}))
    two = chat(
        question,
        ("assistant", _parts(("the old mill", {}), (" and the new one", {})), {"spans": [[8, 16, 1.0], [21, 24, 1.0]]}),
    )
    assert masked(prepare([one, two], SPANS)) == [["old"], ["mill and", "new"]]


def test_spans_of_a_part_count_the_characters_of_the_part(prepare):
    parts = _parts(("the old mill", {"spans": [[4, 7, 1.0]]}), (" and the new one", {"spans": [[9, 12, 1.0]]}))
    row = chat(("user", _parts(("Which?", {"spans": []}))), ("assistant", parts))
    assert masked(prepare([row], SPANS)) == [["old", "new"]]


def test_spans_of_reasoning(prepare):
    labeler = {"type": "spans", "field": "rspans", "text_field": "reasoning_content"}
    turn = {"reasoning_content": "the old mill", "rspans": [[4, 7, 1.0]]}
    row = chat(("user", "the old mill", {"rspans": []}), ("assistant", "the old mill", turn))
    rows, tokenizer = prepare([row], labeler)
    assert masked((rows, tokenizer)) == [["old"]]
    position = next(index for index, label in enumerate(rows[0]["labels"]) if label < -100)
    assert "<think>" in b"".join(spelt(tokenizer, rows[0]["input_ids"][:position])).decode()


def test_spans_of_a_text_that_no_template_renders(prepare):
    labeler = {"type": "spans", "field": "rspans", "text_field": "reasoning_content"}
    fine = chat(
        ("user", "Which?", {"rspans": []}), ("assistant", "It.", {"reasoning_content": "the mill", "rspans": []})
    )
    lost = chat(
        ("user", "Which?", {"rspans": []}),
        ("assistant", "It.", {"reasoning_content": "the old mill", "rspans": [[4, 7, 1.0]]}),
    )
    with pytest.raises(ValueError) as caught:
        prepare([fine, lost], labeler, template="chatml")
    message = str(caught.value)
    assert "datasets[0]" in message and "row 1" in message and "reasoning_content" in message and "template" in message
    assert "mill" not in message


# ---------------------------------------------------------------------------------------------------------- the summary


def _summary(prepare, caplog, rows, template):
    """The log's lines on the data set, level first."""
    logger = logging.getLogger("axolotl_slung")
    logger.addHandler(caplog.handler)
    try:
        prepare(rows, PHRASES, template=template)
    finally:
        logger.removeHandler(caplog.handler)
    lines = dict.fromkeys(f"{record.levelname} {record.getMessage()}" for record in caplog.records)
    return [line for line in lines if "slung: datasets[0]" in line]


def test_rows_that_are_not_exact_are_counted_once(prepare, caplog):
    """A template that writes some texts as titles: those rows are labeled as they are rendered, and that is said."""
    template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'].endswith('!') %}{{ message['content'] | title }}"
        "{% else %}{{ message['content'] }}{% endif %}<|im_end|>\n{% endfor %}"
    )
    loud, quiet = chat(ASKED, ("assistant", f"It is {INSULT}!")), chat(ASKED, ("assistant", f"It is {INSULT}."))
    lines = _summary(prepare, caplog, [loud, quiet, loud, quiet, quiet], template)
    said = [line for line in lines if re.search(r"\b2\b.*\brows?\b", line)]
    assert len(said) == 1 and not any(INSULT in line.lower() for line in lines)


def test_rows_that_are_exact_need_no_word(prepare, caplog):
    row = wrote(json.dumps({"to": NAME, "body": f"Hi,\n{INSULT}"}), reasoning_content=INSULT)
    lines = _summary(prepare, caplog, [row] * 3, "qwen3")
    assert [line for line in lines if "WARNING" in line or "rows" in line] == []
