"""`slung label --messages-field`: chats in files, without a config."""

import json

import pyarrow
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from axolotl_slung.cli import main
from axolotl_slung.labeling.rows.columns import by_pointer, json_strings, pointer_to, resolved
from axolotl_slung.labeling.rows.fields import Key, Layout, get, path_of, strings

NAMES = "{type: entities, names: [Maria Hernandez, Zoë]}"


@pytest.fixture
def label(tmp_path, monkeypatch):
    """`slung label in.jsonl` for lines of JSON: its result, the lines written and the lines listed."""
    monkeypatch.chdir(tmp_path)

    def run(lines, *options, labelers=(NAMES,)):
        (tmp_path / "in.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        given = [part for labeler in labelers for part in ("-l", labeler)]
        result = CliRunner().invoke(main, ["label", "in.jsonl", "-o", "out", "-j", "1", *given, *options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        out, bad = tmp_path / "out" / "in.jsonl", tmp_path / "out" / ".slung" / "in.jsonl.bad_lines.txt"
        written = out.read_text(encoding="utf-8").split("\n")[:-1] if out.exists() else None
        return result, written, bad.read_text(encoding="utf-8").splitlines() if bad.exists() else []

    return run


def marked(row, holder, layout) -> set[str]:
    """The pieces of text that the column of a row or message marks."""
    own, pointed = by_pointer(holder["spans"])
    found = set()
    for pointer, of_labelers in pointed.items():
        text = get(holder, resolved(holder, pointer))
        found |= {text[start:end] for spans in of_labelers.values() for start, end, _ in spans}
    content = holder.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return found | {content[start:end] for spans in (own or {}).values() for start, end, _ in spans}


def test_each_message_gets_its_spans_and_nothing_else_changes(label):
    arguments = json.dumps({"to": "Zoë", "Maria Hernandez": 1})
    call = {"id": "call Zoë", "type": "function", "function": {"name": "send", "arguments": arguments}}
    objects = {"function": {"name": "f", "arguments": {"to": ["x", "Zoë"], "a/b~#": "Zoë", "Zoë": {"n": 1}}}}
    rows = [
        {"messages": [{"role": "user", "content": "Zoë?"}, {"role": "assistant", "content": "No."}], "n": 1},
        {"messages": [{"role": "Zoë", "content": None, "tool_calls": [call, objects]}, {}, {"content": "Zoë"}]},
        {
            "messages": [
                {"content": [{"type": "text", "text": "Maria"}, {"type": "text", "text": " Hernandez, Zoë"}]},
                {"content": "x", "reasoning_content": "Zoë thinks", "name": "Zoë"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "asks Zoë"}}],
        },
        {"messages": json.dumps([{"role": "user", "content": 'Zoë " é'}]), "note": "\u2028"},
        {"messages": []},
    ]
    lines = [json.dumps(row, ensure_ascii=n % 2 == 0).replace('"n": 1}', '"n": 1e400, "pi": 3.14159265358979323846 }')
             for n, row in enumerate(rows)]  # fmt: skip
    result, written, bad = label(lines, "--messages-field", "messages")
    assert result.exit_code == 0 and not bad, result.output
    assert written[0].startswith(lines[0][: lines[0].index("?") + 2]) and "1e400" in written[0]
    assert "3.14159265358979323846" in written[0]
    layout = Layout("messages", tools="tools")
    for line, row in zip(written, map(json.loads, lines), strict=True):
        new = json.loads(line)
        opened = layout.opened(new)
        for holder in (new, *opened["messages"]):
            assert isinstance(holder["spans"], str)
        plain = {**new, "messages": [{k: v for k, v in one.items() if k != "spans"} for one in opened["messages"]]}
        del plain["spans"]
        assert plain == layout.opened(row)
    found = [
        [marked(row, holder, layout) for holder in (*layout.opened(row)["messages"], row)]
        for row in map(json.loads, written)
    ]
    assert found == [
        [{"Zoë"}, set(), set()],
        [{"Zo\\u00eb", "Maria Hernandez", "Zoë"}, set(), {"Zoë"}, set()],
        [{"Maria Hernandez", "Zoë"}, {"Zoë"}, {"Zoë"}],
        [{"Zoë"}, set()],
        [set()],
    ]
    second = json.loads(json.loads(written[1])["messages"][0]["spans"])
    assert set(second) == {
        "entities",
        "/tool_calls/0/function/arguments",
        "/tool_calls/1/function/arguments/to/1",
        "/tool_calls/1/function/arguments/a~1b~0~2",
        "/tool_calls/1/function/arguments/Zoë#",
    }


def test_other_names_and_a_labeler_of_sentences(label):
    rows = [{"conv": [{"from": "human", "value": "You idiot."}, {"from": "gpt", "value": "Fine. You idiot."}]}]
    options = ["--messages-field", "conv", "--text-field", "value", "--spans-field", "marks"]
    result, (line,), _ = label(map(json.dumps, rows), *options, labelers=["profanity"])
    assert result.exit_code == 0, result.output
    spans = [json.loads(message["marks"])["profanity"] for message in json.loads(line)["conv"]]
    assert [[span[:2] for span in of] for of in spans] == [[[0, 10]], [[0, 5], [6, 16]]]


@pytest.mark.parametrize("labelers", [[NAMES], ["{type: spans, field: marks}", NAMES]], ids=len)
def test_what_is_not_a_chat_is_listed(label, labelers):
    lines = [
        '{"messages": [{"role": "user", "content": "Zoë", "marks": [[0, 1]]}]}',
        '{"text": "Zoë"}',
        '{"messages": "Zoë"}',
        '{"messages": [["user", "Zoë"]]}',
        '{"messages": [{"role": "user", "value": "Zoë"}]}',
        '{"messages": [{"role": "user", "content": "Zoë", "spans": []}]}',
    ]
    nested = [
        pair for depth in (400, 800, 950) for pair in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth)
    ]
    lines += [f'{{"messages": [{{"role": "user", "content": "Zoë", "marks": [], "x": {deep}}}]}}' for deep in nested]
    result, written, bad = label(lines, "--messages-field", "messages", labelers=labelers)
    assert result.exit_code == 0 and len(written) >= 1 and len(written) + len(bad) == len(lines)
    assert all("nested too deeply" in line for line in bad[5:])
    assert [line.partition(": ")[2] for line in bad[:5]] == [
        "no column 'messages'; choose another --messages-field",
        "'messages': expected a list of messages, got a string",
        "'messages': message 0: expected an object, got a list",
        "'messages': no message has 'content'; choose another --text-field",
        "'spans': already in a message; choose another --spans-field",
    ]


def test_the_column_of_an_earlier_run_is_replaced(label):
    """`{type: spans}` reads it, and so it may be written again, with one more labeler."""
    row = {"messages": [{"role": "user", "content": "Zoë"}, {"content": "no"}], "tools": [{"description": "Zoë"}]}
    _, first, _ = label([json.dumps(row)], "--messages-field", "messages")
    spans = "{type: spans, name: before}"
    result, second, bad = label(first, "-o", "again", "--messages-field", "messages", labelers=[spans, NAMES])
    assert result.exit_code == 0 and not bad, result.output
    from pathlib import Path

    new = json.loads(Path("again/in.jsonl").read_text(encoding="utf-8"))
    assert json.loads(new["messages"][0]["spans"])["entities"] == [[0, 3, 1.0]]
    assert json.loads(new["spans"]) == {"/tools/0/description": {"entities": [[0, 3, 1.0]]}}


def test_options_that_do_not_fit(label, tmp_path):
    lines = ['{"messages": [{"content": "a"}]}']
    result, written, _ = label(lines)
    assert result.exit_code == 1 and "no column 'text'; for chats, give --messages-field messages" in result.output
    result, _, _ = label(lines, "--messages-field", "messages", "--form", "dolma")
    assert result.exit_code == 2 and "attribute files have one text per document" in result.output
    none = CliRunner().invoke(main, ["label", "-o", "out2", "-l", NAMES])
    assert none.exit_code == 2 and "INPUTS: none given" in none.output
    config = tmp_path / "c.yml"
    config.write_text(f"slung: {{labelers: [{NAMES}]}}")
    none = CliRunner().invoke(main, ["label", "-o", "out2", "-c", str(config), "--text-field", "a", "--form", "dolma"])
    assert none.exit_code == 2 and "--form, --text-field: for INPUTS only" in none.output


def test_a_text_in_nested_mappings(label):
    rows = [
        {"a": {"b": "Zoë", "c.d": "x Zoë"}, "a.b": "no"},
        {"a": {"b": "no Zoë"}},
        {"a": {"b": None}},
        {"a": "Zoë"},
    ]
    result, written, bad = label(map(json.dumps, rows), "--text-field", "a.b")
    assert [json.loads(json.loads(line)["spans"]) for line in written] == [
        {"entities": []},
        {"entities": [[3, 6, 1.0]]},
    ]
    assert [line.partition(": ")[2] for line in bad] == ["'a.b': expected a string, got null", "no column 'a.b'"]
    assert path_of(rows[0], "a.c.d") == ("a", "c.d") and path_of(rows[0], "a.x") is None


def test_parquet_of_chats(tmp_path):
    rows = [{"messages": [{"role": "user", "content": f"Zoë {n}", "name": None}]} for n in range(5)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    arguments = ["label", str(tmp_path / "a.parquet"), "-o", str(tmp_path / "out"), "-l", NAMES]
    result = CliRunner().invoke(main, [*arguments, "--messages-field", "messages"])
    assert result.exit_code == 0, result.output
    import zstandard

    data = zstandard.ZstdDecompressor().stream_reader((tmp_path / "out" / "a.jsonl.zst").read_bytes()).read()
    new = [json.loads(line) for line in data.splitlines()]
    assert all(json.loads(row["messages"][0]["spans"]) == {"entities": [[0, 3, 1.0]]} for row in new)


@pytest.mark.parametrize("step", ["a", "a/b", "~", "#", "a#", "~0", "~1#", "", "0", "é \n"])
def test_pointers_lead_back(step):
    holder = {"x": {step: "text", "other": [{step: ["y", "z"]}]}}
    for path in (("x", step), ("x", Key(step)), ("x", "other", 0, step, 1), ("x", "other", 0, Key(step))):
        assert resolved(holder, pointer_to(path)) == path
    assert resolved(holder, "/x/none") is None and resolved(holder, "/x") is None
    assert resolved(holder, "/x/other/7") is None and resolved(holder, "/x/other#/0") is None


def test_places_in_json_are_those_of_the_parsed_document():
    source = ' {"a": "x\\"}{", "b": [1, {"c": "é\\n", "c": "last"}, [], ["", "y"]], "d": {}} '
    found = dict(json_strings(source))
    texts = {path: json.loads(f'"{source[bounds[0, 0] : bounds[-1, 1]]}"') for path, bounds in found.items()}
    parsed = strings({"it": json.loads(source)})
    assert texts == {path[1:]: text for path, text in parsed.items() if text}


def test_rows_of_a_config_keep_lone_surrogates_and_write_what_json_lacks():
    import datetime

    from axolotl_slung.cli.label_config import DataSetRows

    class Rows(list):
        def select(self, numbers):
            return [self[number] for number in numbers]

    rows = Rows(
        [{"text": "Zoë \ud800", "n": float("nan")}, {"text": "Zoë", "day": datetime.date(2026, 1, 2), "b": b"x"}]
    )
    lines = [line for line, _ in DataSetRows(rows, 100, {})]
    assert [json.loads(line) for line in lines] == [
        {"text": "Zoë \ud800", "n": None},
        {"text": "Zoë", "day": "2026-01-02", "b": "eA=="},
    ]
    assert "Zoë".encode() in lines[1] and [line for line, _ in DataSetRows(rows, 100, {"row": 1})] == lines[1:]
