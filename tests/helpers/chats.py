"""Kinds of chat rows for the template tests, and Axolotl's data path for them."""

import functools
import json
import re
from typing import NamedTuple
from unittest import mock

from helpers.axolotl_run import as_if_fresh, base_config, write_config
from helpers.tiny import tiny_model

NAME = "Maria Hernandez"
ACCENTED = "Zoë Müller"
"""Names of the `entities` labeler, whose scope is the text itself."""
INSULT = "zorgle blimmet"
QUOTED = 'grom "plonk"\nsnazzle'
"""Made-up phrases of a custom labeler, whose scope is the document; JSON writes the second one with escapes."""
KEYED = "frimble dask"
"""Another one, which stands in the keys of arguments only."""
NAMES = (NAME, ACCENTED)
PHRASES = (INSULT, QUOTED, KEYED)
RISKY = f"{NAME}, {INSULT}, {ACCENTED}, {QUOTED}"


# ---------------------------------------------------------------------------------------------------- a custom labeler

SEEN: list[str] = []
"""Every text that `PhraseLabeler` was asked to label, in this process."""


class PhraseLabeler:
    """Marks the made-up phrases in any text that it is given, and keeps the text."""

    scope = "document"

    def label(self, texts, rows):
        SEEN.extend(texts)
        return [[(m.start(), m.end(), 1.0) for m in _PHRASE.finditer(text)] for text in texts]


_PHRASE = re.compile("|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in PHRASES), re.IGNORECASE)

LABELERS = [
    {"type": "entities", "names": list(NAMES), "case_sensitive": False},
    {"type": "custom", "class_path": "helpers.chats:PhraseLabeler", "cuts": [1e-4, 0.99]},
]


# ------------------------------------------------------------------------------------------------------- kinds of rows


class Kind(NamedTuple):
    """A kind of row: the keys of its data set's entry, and one row of it."""

    entry: str
    row: dict


def chat(*turns, **columns):
    """A row of messages; a turn is (role, content), or (role, content, more keys)."""
    messages = [{"role": turn[0], "content": turn[1], **(turn[2] if len(turn) > 2 else {})} for turn in turns]
    return {"messages": messages, **columns}


def call(arguments, name="send_email", **keys):
    return {
        "tool_calls": [
            {"id": "call00001", "type": "function", "function": {"name": name, "arguments": arguments}, **keys}
        ]
    }


def tool(name, parameters, description="Sends an e-mail."):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


ASKED = ("user", f"Who is {NAME}?")
ANSWERED = ("assistant", f"She is {RISKY}, and that is all.")
LETTER = f'Hi,\n{NAME} says "hello".\n{INSULT}\n\nYours,\n{ACCENTED}\n'
PROPERTIES = {
    "to": {"type": "string", "description": f'Who gets it, such as "{NAME}"\nor another'},
    "body": {"type": "string", "enum": ["a", "b"]},
    "urgent": {"type": "boolean"},
}
PARAMETERS = {"type": "object", "properties": PROPERTIES, "required": ["to"]}
TOOLS = [tool("send_email", PARAMETERS, f'Sends {INSULT} to somebody.\nAsk "first".')]
NESTED = {
    "people": [{"name": NAME, "notes": [INSULT, LETTER]}, {"name": ACCENTED, "notes": [QUOTED]}],
    "n": 3,
    "x": 1.5,
    "ok": True,
}
RESULT = ("tool", f'{{"sent": "{NAME}", "note": "{INSULT}"}}', {"tool_call_id": "call00001", "name": "send_email"})
THOUGHT = f"I know {NAME}.\n{INSULT} comes to mind, and {QUOTED}."

MARKED = [
    {"role": "user", "content": f"Who is {NAME}?", "train": True},
    {"role": "assistant", "content": f"It is {RISKY}.", "train": False},
    {"role": "user", "content": f"And? {INSULT}?", "train": False},
    {"role": "assistant", "content": f"Once more: {RISKY}.", "train": True},
]


def _detail(text, cut):
    at = text.index(cut)
    return [
        {"begin_offset": 0, "end_offset": at - 1, "train": False},
        {"begin_offset": at, "end_offset": len(text) - 1, "train": True},
    ]


def _text(text, **keys):
    return {"type": "text", "text": text, **keys}


def _json(*turns, **columns):
    """A row whose tool calls hold their arguments as JSON strings."""
    row = chat(*turns, **columns)
    for message in row["messages"]:
        for each in message.get("tool_calls") or []:
            if not isinstance(each["function"]["arguments"], str):
                each["function"]["arguments"] = json.dumps(each["function"]["arguments"])
    return row


_EVERYONE = {"roles_to_train": ["system", "user", "assistant", "tool"], "train_on_eos": "all"}
ENTRIES = {
    "chat": {},
    "system column": {},  # rows without one would get a system message of None
    "objects": {},
    "json": {},
    "all roles": _EVERYONE,
    "all roles, system column": _EVERYONE,
    "all roles, objects": _EVERYONE,
    "all roles, json": _EVERYONE,
    "no roles": {"roles_to_train": [], "train_on_eos": "all"},
    "last eos": {"train_on_eos": "last"},
    "inputs": {},  # with the config's `train_on_inputs`
    "split thinking": {"split_thinking": True},
    "messages chosen": {"message_field_training": "train", "roles_to_train": [], "train_on_eos": "turn"},
    "details": {"message_field_training_detail": "detail"},
    "parts": {},
    "parts chosen": {"message_field_training": "train"},
    "other names": {
        "field_messages": "conversations",
        "message_property_mappings": {"role": "from", "content": "value"},
    },
    "other roles": {
        "field_messages": "conv",
        "message_property_mappings": {"role": "speaker", "content": "text"},
        "roles": {"user": ["customer"], "assistant": ["agent"]},
    },
    "other thinking": {"field_thinking": "thoughts"},
    "strings": {},
    "strings of tools": {},
    "no system": {"drop_system_message": True},
}
"""Data set entries; kinds of one entry are rows of one data set, so that their columns have to be of one type."""
OF_CONFIG = {"inputs": {"train_on_inputs": True}}

_KINDS = {
    # strings
    "plain": Kind("chat", chat(ASKED, ANSWERED)),
    "two turns": Kind("chat", chat(ASKED, ANSWERED, ("user", INSULT), ("assistant", f"No, {INSULT}!"))),
    "system": Kind("chat", chat(("system", f"You know {RISKY}."), ASKED, ANSWERED)),
    "system column": Kind("system column", chat(ASKED, ANSWERED, system=f"You know {RISKY}.")),
    "reasoning": Kind("chat", chat(ASKED, (*ANSWERED, {"reasoning_content": THOUGHT}))),
    "think": Kind("chat", chat(ASKED, ("assistant", f"<think>\n{THOUGHT}\n</think>\n\nIt is {RISKY}."))),
    "think in every turn": Kind("chat", chat(
        ASKED, ("assistant", f"<think>{THOUGHT}</think>It is {RISKY}."), ("user", "So?"), ("assistant", f"<think>\n\n</think>\n\n{RISKY}"))),
    "empty contents": Kind("chat", chat(("user", NAME), ("assistant", ""), ("user", ""), ("assistant", INSULT))),
    "no content": Kind("chat", chat(ASKED, ("assistant", None, {"reasoning_content": THOUGHT}), ("user", "So?"), ANSWERED)),
    "line starts": Kind("chat", chat(("user", LETTER), ("assistant", LETTER + QUOTED))),
    "same text": Kind("chat", chat(("user", NAME), ("assistant", NAME), ("user", RISKY), ("assistant", RISKY), ("user", NAME), ("assistant", NAME))),
    "same name": Kind("system column", chat(
        ("system", NAME), ("user", f"{NAME} {NAME}"), ("assistant", f"{NAME}", {"reasoning_content": NAME, "name": NAME}), system=NAME)),
    "blanks": Kind("chat", chat(("user", f"  {NAME}  "), ("assistant", f"yes   {NAME}  \n\n {INSULT} "), ("user", " "), ("assistant", "yes  "))),
    "markdown": Kind("chat", chat(ASKED, (
        "assistant", f"**{NAME}** *{NAME}* _{NAME}_ __{NAME}__ `{NAME}` [{NAME}](u) <b>{INSULT}</b> _{INSULT}_ {NAME}_2"))),
    "escapes in text": Kind("chat", chat(ASKED, ("assistant", f"print('Hi\\n{NAME}')\nprint(\"\\t{ACCENTED}\\r{NAME}\") # {INSULT}"))),
    "a document of JSON": Kind("chat", chat(ASKED, ("assistant", json.dumps({"to": NAME, "body": LETTER, "note": [ACCENTED]}, ensure_ascii=False)))),
    "markup": Kind("chat", chat(ASKED, (
        "assistant", f"<b>{NAME}</b> &amp; {{{{ {NAME} }}}} {{% if {INSULT} %}} <{NAME}> {INSULT} & \"{ACCENTED}\""))),
    "noncharacters": Kind("chat", chat(ASKED, ("assistant", f"\ufdd0{NAME}\ufdd1 \ufdd4{INSULT}\ufdef \ue000{ACCENTED}\ue001 \u200b{QUOTED}"))),
    "words of templates": Kind("chat", chat(("user", "yes"), ("assistant", "no"), ("user", "user"), ("assistant", f"assistant {RISKY}"))),
    "tags of results": Kind("chat", chat(
        ("user", "Who?"), ("assistant", f"Let me look {INSULT} up.", {"reasoning_content": f"I look {NAME} up."}),
        ("user", f"<tool_response>\n{RISKY}\n</tool_response>"), ANSWERED)),
    "tool results": Kind("chat", chat(ASKED, ("assistant", "I look."), RESULT, ANSWERED)),
    # objects
    "tools": Kind("objects", chat(ASKED, ANSWERED, tools=TOOLS)),
    "arguments": Kind("objects", chat(ASKED, ("assistant", "I write.", call({"to": NAME, "body": LETTER, "note": QUOTED})))),
    "arguments, no content": Kind("objects", chat(ASKED, ("assistant", None, call({"to": NAME, "body": INSULT})), RESULT, ANSWERED)),
    "arguments, empty content": Kind("objects", chat(ASKED, ("assistant", "", call({"to": NAME, "body": INSULT})), RESULT, ANSWERED)),
    "nested arguments": Kind("objects", chat(ASKED, ("assistant", "I write.", call(NESTED, "store")), tools=TOOLS)),
    "names as keys": Kind("objects", chat(ASKED, ("assistant", "I write.", call({NAME: "a", ACCENTED: {KEYED: 1}}, "count")))),
    "keys of messages": Kind("objects", chat(
        ASKED, ("assistant", "I write.", call({"from": NAME, "type": INSULT, "id": ACCENTED, "role": QUOTED, "content": LETTER, "name": NAME}, "post")))),
    "tools at work": Kind("objects", chat(
        ("system", f"You know {NAME}."), ASKED, ("assistant", f"I write to {NAME}.", {**call({"to": NAME, "body": LETTER}), "reasoning_content": THOUGHT}),
        RESULT, ANSWERED, tools=TOOLS)),
    # JSON strings
    "JSON arguments": Kind("json", _json(ASKED, ("assistant", "I write.", call({"to": NAME, "body": INSULT})))),
    "JSON arguments with escapes": Kind("json", _json(ASKED, ("assistant", f"I write to {NAME}.", call({"to": ACCENTED, "body": LETTER, "note": QUOTED})))),
    "JSON arguments, no content": Kind("json", _json(ASKED, ("assistant", None, call({"to": NAME, "body": INSULT})), RESULT, ANSWERED)),
    "nested JSON arguments": Kind("json", _json(ASKED, ("assistant", "I write.", call(NESTED, "store")), RESULT, ANSWERED)),
    "names as JSON keys": Kind("json", _json(ASKED, ("assistant", "I write.", call({NAME: "a", f"{KEYED}": {ACCENTED: INSULT}})))),
    "keys of messages in JSON": Kind("json", _json(
        ASKED, ("assistant", "I write.", call({"from": NAME, "type": INSULT, "id": ACCENTED, "role": QUOTED, "content": LETTER, "name": NAME}, "post")))),
    "loose JSON": Kind("json", _json(ASKED, ("assistant", "I write.", call(
        f'  {{"to":"{NAME}",  "n": 1e3, "x": 1.0, "body" : "{INSULT} \\u005a\\u006f\\u00eb M\\u00fcller \\/ \\u0041", "to2": ["{NAME}"] }} ')))),
    "JSON tools": Kind("json", _json(ASKED, ANSWERED, tools=json.dumps(TOOLS))),
    "all in JSON": Kind("json", _json(
        ("system", f"You know {NAME}."), ASKED, ("assistant", f"I write to {RISKY}.", {**call({"to": NAME, "body": LETTER}), "reasoning_content": THOUGHT}),
        RESULT, ANSWERED, tools=json.dumps(TOOLS))),
    "two calls": Kind("json", _json(ASKED, ("assistant", "I write.", {
        "tool_calls": call({"to": NAME, "body": INSULT})["tool_calls"] * 2}))),
    # other ways to choose what is trained
    "last eos": Kind("last eos", chat(ASKED, ANSWERED, ("user", NAME), ("assistant", f"{INSULT} {NAME}"))),
    "inputs": Kind("inputs", chat(("user", f"  {RISKY} "), ANSWERED, ("user", LETTER), ANSWERED)),
    "no roles": Kind("no roles", chat(ASKED, ANSWERED)),
    "messages chosen": Kind("messages chosen", {"messages": MARKED}),
    "split thinking": Kind("split thinking", chat(ASKED, ("assistant", f"<think>\n{THOUGHT}\n</think>\n\nIt is {RISKY}."))),
    "split thinking, other tags": Kind("split thinking", chat(
        ASKED, ("assistant", f"<|begin_of_thought|> {THOUGHT} <|end_of_thought|> <|begin_of_solution|>\nIt is {RISKY}.\n<|end_of_solution|>"))),
    "split thinking, several turns": Kind("split thinking", chat(
        ASKED, ("assistant", f"<reasoning>{INSULT}</reasoning>{NAME}"), ("user", "So?"), ("assistant", f"<think>{NAME}</think> {INSULT} {NAME}"))),
    "details": Kind("details", chat(
        ASKED, ("assistant", f"Let me think. It is {RISKY}.", {"detail": _detail(f"Let me think. It is {RISKY}.", " It is")}))),
    "details in a name": Kind("details", chat(
        ASKED, ("assistant", f"It is {NAME} or {INSULT}.", {"detail": _detail(f"It is {NAME} or {INSULT}.", "nandez")}))),
    "parts": Kind("parts", chat(
        ("user", [_text(f"Who is {NAME}?"), _text(f" {INSULT}?")]), ("assistant", [_text("It is"), _text(f" {RISKY}"), _text(f" and\n{NAME}.")]))),
    "a name across parts": Kind("parts", chat(("user", [_text("Who?")]), ("assistant", [_text("It is Maria"), _text(" Hernandez"), _text(f", {INSULT}")]))),
    "parts with train": Kind("parts chosen", chat(("user", [_text("Who?")]), (
        "assistant", [_text("Let me think", train=False), _text(f" of {RISKY}", train=True), _text(f" and {NAME}", train=False)]))),
    "parts with weight": Kind("parts chosen", chat(("user", [_text("Who?")]), (
        "assistant", [_text("Let me think", weight=0), _text(f" of {INSULT}", weight=1), _text(f" and {NAME}", weight=1)]))),
    # other names
    "other names": Kind("other names", {"conversations": [
        {"from": "human", "value": f"Who is {NAME}?"}, {"from": "gpt", "value": f"It is {RISKY}."}]}),
    "other roles": Kind("other roles", {"conv": [
        {"speaker": "customer", "text": f"Who is {NAME}?"}, {"speaker": "agent", "text": f"It is {RISKY}."}]}),
    "other thinking": Kind("other thinking", chat(ASKED, (*ANSWERED, {"thoughts": THOUGHT}))),
    "messages in JSON": Kind("strings", {"messages": json.dumps(chat(ASKED, ANSWERED)["messages"])}),
    "all messages in JSON": Kind("strings", {"messages": json.dumps(_json(
        ("system", f"You know {NAME}."), ASKED, ("assistant", "I write.", call({"to": NAME, "body": LETTER})), RESULT, ANSWERED)["messages"])}),
    "parameters in JSON": Kind("strings of tools", chat(ASKED, ANSWERED, tools=[tool("send_email", json.dumps(PARAMETERS))])),
    "no system": Kind("no system", chat(("system", f"You know {NAME}."), ASKED, ANSWERED)),
}  # fmt: skip
_AGAIN = {
    "all roles": (
        "system",
        "reasoning",
        "think",
        "line starts",
        "same text",
        "blanks",
        "tags of results",
        "tool results",
    ),
    "all roles, system column": ("system column", "same name"),
    "all roles, objects": ("tools at work", "arguments, empty content"),
    "all roles, json": ("all in JSON", "nested JSON arguments"),
}
KINDS = {
    **_KINDS,
    **{
        f"{kind}, {entry.partition(',')[0]}": Kind(entry, _KINDS[kind].row)
        for entry, kinds in _AGAIN.items()
        for kind in kinds
    },
}


# ------------------------------------------------------------------------------------------------- rows through Axolotl


class Stage:
    """Axolotl's data path, ready for one row after the other, with the plugin's hooks or without the block.

    Args:
        folder: for the model and the config.
        kind: of the tokenizer, see `tiny.py`.
        slung: the block; stock Axolotl without one.
    """

    def __init__(self, folder, kind: str, slung: dict | None = None, **overrides):
        keys = {"plugins": ["axolotl_slung.SlungPlugin"], "slung": slung} if slung else {}
        entries = [
            {
                "path": name,
                "ds_type": "json",
                "type": "chat_template",
                "chat_template": "jinja",
                "chat_template_jinja": "-",
                **entry,
            }
            for name, entry in ENTRIES.items()
        ]
        config = base_config(
            folder, base_model=str(tiny_model(folder, kind=kind)), datasets=entries, sequence_len=8192, **keys,
            **{"special_tokens": {"eos_token": "<|im_end|>"} if kind.startswith("bytelevel") else None, **overrides},
        )  # fmt: skip
        path = write_config(config, folder, f"stage-{kind}-{bool(slung)}.yml")
        with as_if_fresh(folder):
            from axolotl.cli.config import load_cfg
            from axolotl.loaders import load_tokenizer

            self.cfg = load_cfg(str(path))
            self.tokenizer = load_tokenizer(self.cfg)
        self.entries = {entry.path: entry for entry in self.cfg.datasets}

    def rows(self, template: str, kinds: list[str]) -> list[dict]:
        """The tokenized rows of one data set of kinds with the same entry. Whatever Axolotl raises comes out."""
        kinds = tuple(kinds)
        [entry] = {KINDS[kind].entry for kind in kinds}
        of_data = {**self.entries[entry], "chat_template_jinja": template}
        return list(self.tokenized(_data_set(kinds), of_data, **OF_CONFIG.get(entry, {})))

    def tokenized(self, rows, entry: dict, **of_config):
        """A data set, tokenized with an entry of `datasets:` and more keys of the config."""
        from axolotl.prompt_strategies.chat_template import ChatTemplatePrompter
        from axolotl.utils.data import sft
        from axolotl.utils.dict import DictDefault

        of_data = DictDefault(entry)
        cfg = DictDefault({**self.cfg, **of_config, "datasets": [of_data]})
        with mock.patch.object(ChatTemplatePrompter, "get_chat_template_msg_variables", _variables):
            dataset, _ = sft.get_dataset_wrapper(
                dataset_config=of_data, tokenizer=self.tokenizer, cfg=cfg, dataset_base_type=entry["type"],
                dataset=rows, dataset_prompt_style=None, processor=None,
            )  # fmt: skip
        return dataset


def _variables(_, template: str, field_messages: str) -> set[str]:
    return _variables_of(template, field_messages)


@functools.cache
def _variables_of(template, field_messages):
    """What Axolotl reads off a template, once: for long templates it takes longer than all the rest."""
    from axolotl.prompt_strategies.jinja_template_analyzer import JinjaTemplateAnalyzer

    return JinjaTemplateAnalyzer(template).get_message_vars(field_messages)


@functools.cache
def _data_set(kinds: tuple[str, ...]):
    """The same object for each template: making its fingerprint takes as long as making its tokens."""
    from datasets import Dataset

    rows = [KINDS[kind].row for kind in kinds]
    # `from_list` would drop what the first row has not
    return Dataset.from_list(
        [{name: row.get(name) for name in dict.fromkeys(name for row in rows for name in row)} for row in rows]
    )
