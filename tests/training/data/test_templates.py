"""Every chat template that Axolotl ships, and some that look at the text, with every kind of row of `chats.py`.

The token ids have to be stock Axolotl's, and the labels too but for the tokens that overlap a name or a phrase.
"""

import importlib.util
import json
import logging
from pathlib import Path

import pytest
from helpers.chat_truth import differences, ranges, risky_tokens
from helpers.chats import ENTRIES, INSULT, KINDS, LABELERS, QUOTED, SEEN, Stage

from axolotl_slung.labeling.rows.fields import strings
from axolotl_slung.training.data.placing import Placer

_FOLDER = Path(importlib.util.find_spec("axolotl").submodule_search_locations[0], "utils/chat_templates/templates")
SHIPPED = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_FOLDER.glob("*.jinja"))}

_LOOP = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n%s<|im_end|>\n{% endfor %}"
_CALLS = (
    "{{ message['content'] }}{%% for call in message['tool_calls'] or [] %%}<tool_call>{{ call['function']['name'] }}"
    "%s</tool_call>{%% endfor %%}"
)
_ARGUMENTS = "call['function']['arguments']"


def _content(text):
    return _LOOP.replace("%s", text)


def _calls(text):
    return _LOOP.replace("%s", _CALLS % text)


OWN = {
    # look at a value
    "equals": _content("{% if message['content'] == 'yes' %}[it is yes]{% else %}{{ message['content'] }}{% endif %}"),
    "one of": _content("{% if message['content'] in ['yes', 'no', 'user'] %}[{{ message['content'] }}]{% else %}{{ message['content'] }}{% endif %}"),
    "has": _content("{% if 'zorgle' in message['content'] %}[!]{% endif %}{{ message['content'] }}"),
    "first character": _content("{% if message['content'] and message['content'][0] in ' <*' %}[?]{% endif %}{{ message['content'] }}"),
    "starts with": _content("{% if message['content'].startswith('<tool_response>') %}[result]{% elif message['content'].endswith('.') %}[sentence]{% endif %}{{ message['content'] }}"),
    "length": _content("[{{ message['content'] | length }}] {{ message['content'] }}"),
    "same as before": _content("{% if loop.index0 and messages[loop.index0 - 1]['content'] == message['content'] %}[again]{% endif %}{{ message['content'] }}"),
    "required": (
        "{% for tool in tools or [] %}type {{ tool['function']['name'] }} = (_: {\n"
        "{% for name, value in tool['function']['parameters']['properties'].items() %} // {{ value['description'] }}\n"
        "{{ name }}{% if name not in (tool['function']['parameters']['required'] or []) %}?{% endif %}: {{ value['type'] }},{% endfor %} }) => any\n{% endfor %}"
        + _calls("{{ " + _ARGUMENTS + " | tojson }}")
    ),
    "other keys": (
        "{% for message in messages %}{% set role = message['role'] | default(message['from']) %}<{{ role }}>"
        "{{ (message['content'] if message['content'] is defined else message['value']) or '' }}</{{ role }}>\n{% endfor %}"
    ),
    # change the text
    "cuts thoughts out": _content("{% set text = message['content'] %}{% if '</think>' in text %}{% set text = text.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ text }}"),
    "moves thoughts": _content(
        "{% set text = message['content'] %}{% set thought = message['reasoning_content'] or '' %}{% if '</think>' in text %}"
        "{% set thought = text.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}{% set text = text.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "<think>\n{{ thought.strip('\n') }}\n</think>\n\n{{ text.lstrip('\n') }}"),
    "trim": _content("{{ message['content'] | trim }}"),
    "upper": _content("{{ message['content'] | upper }}"),
    "replace": _content("{{ message['content'] | replace('\n', ' ') | replace('<think>', '[') }}"),
    "replace by more": _content("{{ message['content'].replace('is', 'happens to be') }}"),
    "lines": _content("{% for line in message['content'].split('\n') %}> {{ line }}\n{% endfor %}"),
    "indent": _content("{{ message['content'] | indent(4) }}"),
    "escape": _content("{{ message['content'] | e }}"),
    "slices": _content("{{ message['content'][:7] }}{{ message['content'][7:] }}"),
    "slice": _content("{{ message['content'][1:] }}"),
    "join": "{% for message in messages %}{{ [message['role'], message['content'], ''] | join('<|im_start|>') }}<|im_end|>{% endfor %}",
    "concatenation": "{% for message in messages %}{{ message['role'] ~ ': ' ~ message['content'] ~ '\n' }}{% endfor %}",
    "nothing between": "{% for message in messages %}{{ message['role'] + message['content'] }}{% endfor %}",
    "twice": _content("{{ message['content'] }}\n{{ message['content'] }}"),
    "backwards": "{% for message in messages | reverse %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}",
    "content as JSON": _content("{{ message['content'] | tojson }}"),
    "message as JSON": "{% for message in messages %}{{ message | tojson }}\n{% endfor %}",
    "message as Python": "{% for message in messages %}{{ message }}\n{% endfor %}",
    "the day": "<|im_start|>system\nToday is {{ strftime_now('%d %B %Y') }}.<|im_end|>\n" + _content("{{ message['content'] }}"),
    "generation": _content("{% generation %}{{ message['content'] }}{% endgeneration %}"),
    # arguments
    "arguments as JSON": _calls("{{ " + _ARGUMENTS + " | tojson }}"),
    "arguments as JSON, on lines": _calls("{{ " + _ARGUMENTS + " | tojson(indent=2) }}"),
    "arguments as JSON in JSON": _calls("{{ " + _ARGUMENTS + " | tojson | tojson }}"),
    "arguments as Python": _calls("({{ " + _ARGUMENTS + " }})"),
    "arguments one by one": _calls(
        "({% for name, value in " + _ARGUMENTS + ".items() %}{{ name }}={{ value | tojson }}{{ ', ' if not loop.last }}{% endfor %})"),
    "arguments in XML": _calls(
        "{% for name, value in " + _ARGUMENTS + "|items %}<parameter={{ name }}>\n{{ value if value is string else value | tojson }}\n</parameter>{% endfor %}"),
    "arguments in a list": _calls(
        "{% for name, value in " + _ARGUMENTS + "|dictsort %}{{ name }}: {% if value is iterable and value is not string %}{{ value | list | length }}"
        "{% else %}{{ value | string | trim }}{% endif %}\n{% endfor %}"),
}  # fmt: skip


TEMPLATES = {**SHIPPED, **OWN}

_NO_CONTENT = ("no content", "arguments, no content", "JSON arguments, no content")
_TOOL_ROLE = (
    "tool results", "arguments, empty content", "tools at work", "nested JSON arguments", "all in JSON", "all messages in JSON",
    "tool results, all roles", "tools at work, all roles", "arguments, empty content, all roles", "all in JSON, all roles",
    "nested JSON arguments, all roles",
)  # fmt: skip
_TOOL_ROLE_AND_NO_CONTENT = (*_TOOL_ROLE, "arguments, no content", "JSON arguments, no content")
_SYSTEM_ROLE = (
    "system",
    "system column",
    "same name",
    "system, all roles",
    "system column, all roles",
    "same name, all roles",
)
STOCK_FAILS = {
    # these templates ask for a content in every message
    **dict.fromkeys((
        "alpaca", "chatml", "deepseek_v2", "exaone", "falcon_h1", "metharme", "phi_3", "phi_35", "phi_4", "starts with", "moves thoughts",
        "replace by more", "lines", "indent", "slices", "slice", "nothing between", "content as JSON"), _NO_CONTENT),
    "qwen_25": ("no content",),
    # these refuse the role `tool`, or turns that do not alternate
    **dict.fromkeys(("aya", "cohere", "nemotron_h"), (*_NO_CONTENT, *_TOOL_ROLE)),
    **dict.fromkeys((
        "gemma3", "gemma3n", "mistral_v1", "mistral_v2v3", "mistral_v3_tekken", "mistral_v7_tekken", "pixtral"), _TOOL_ROLE_AND_NO_CONTENT),
    "gemma": (*_TOOL_ROLE_AND_NO_CONTENT, *_SYSTEM_ROLE),
    # these join the name of a tool's result, which Axolotl leaves out, to a string
    **dict.fromkeys(("gemma4", "gemma4_unified"), tuple(k for k in _TOOL_ROLE_AND_NO_CONTENT if not k.startswith("tool results"))),
    # this one joins arguments to a string, and Axolotl has made objects of them
    "deepseek_v3": (
        *_NO_CONTENT, "arguments", "arguments, empty content", "nested arguments", "names as keys", "keys of messages", "tools at work",
        "JSON arguments", "JSON arguments with escapes", "nested JSON arguments", "names as JSON keys", "keys of messages in JSON",
        "loose JSON", "all in JSON", "two calls", "all messages in JSON", "tools at work, all roles", "arguments, empty content, all roles",
        "all in JSON, all roles", "nested JSON arguments, all roles"),
    "llama3_2_vision": ("two calls",),
}  # fmt: skip
"""The kinds of rows that stock Axolotl raises on with a template; they are left out, and all others are not."""

CHANGE_TEXT = {
    "upper", "replace", "replace by more", "lines", "indent", "escape", "slice", "message as Python", "arguments as Python",
    "arguments as JSON in JSON",
}  # fmt: skip
"""Templates that write a field's text in another way, so that a labeler may be given what is rendered."""


class Cells:
    """What came out for every kind of row, template by template."""

    def __init__(self, folder, tokenizer_kind):
        self.stock = Stage(folder, tokenizer_kind)
        self.ours = Stage(folder, tokenizer_kind, {"labelers": LABELERS})
        self._known = {}

    def of(self, template: str) -> dict[str, dict]:
        """For each kind: `raised` by stock, its row of `stock`, what is `wrong` with ours; `seen` by the labeler under ""."""
        if template not in self._known:
            level = logging.root.manager.disable
            logging.disable(logging.CRITICAL)
            try:
                self._known[template] = self._made(template)
            finally:
                logging.disable(level)
        return self._known[template]

    def _made(self, template):
        cells = {kind: {"raised": None, "stock": None, "wrong": []} for kind in KINDS}
        SEEN.clear()
        for entry in ENTRIES:
            kinds = [kind for kind in KINDS if KINDS[kind].entry == entry]
            expected = [kind for kind in kinds if kind not in STOCK_FAILS.get(template, ())]
            for kind, row in self._rows(self.stock, template, expected).items():
                cells[kind]["raised" if isinstance(row, Exception) else "stock"] = row
            for kind in set(kinds) - set(expected):
                cells[kind]["raised"] = self._rows(self.stock, template, [kind])[kind]
            rendered = [kind for kind in kinds if cells[kind]["stock"]]
            for kind, row in self._rows(self.ours, template, rendered).items():
                cells[kind]["wrong"] = self._judged(cells[kind]["stock"], row)
        cells[""] = list(dict.fromkeys(SEEN))
        return cells

    def _rows(self, stage, template, kinds):
        """Kinds to rows, or to what was raised: all in one data set, or else each by itself."""
        if not kinds:
            return {}
        try:
            return dict(zip(kinds, stage.rows(TEMPLATES[template], kinds), strict=True))
        except Exception as error:
            if len(kinds) == 1:
                return {kinds[0]: error}
        return {kind: self._rows(stage, template, [kind])[kind] for kind in kinds}

    def _judged(self, stock, row):
        if not isinstance(row, Exception):
            return differences(self.ours.tokenizer, stock, row)
        left = [
            label
            for label, risky in zip(stock["labels"], risky_tokens(self.ours.tokenizer, stock["input_ids"]))
            if label >= 0 and not risky
        ]
        # a data set without a trained token is refused, and here the row is a data set of its own
        return [f"raised {type(row).__name__}: {row}"] if left or "nothing is left to train" not in str(row) else []


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Outcomes with Qwen's manner of offsets (a token's blank belongs to it)."""
    return Cells(tmp_path_factory.mktemp("templates"), "bytelevel_bos")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_stock_labels_but_for_the_risky_tokens(cells, template, kind):
    cell = cells.of(template)[kind]
    if kind in STOCK_FAILS.get(template, ()):
        assert isinstance(cell["raised"], Exception), "stock renders this row now: take it out of STOCK_FAILS"
        return
    assert cell["raised"] is None, "stock fails on this row: see whether the row or the template is at fault"
    assert not cell["wrong"], "\n".join(cell["wrong"])


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in CHANGE_TEXT])
def test_labelers_are_given_the_texts_of_fields(cells, template):
    """A sentence classifier that is given a template's markup with a text scores another text."""
    texts = [text for row in KINDS.values() for text in _strings(row.row)]
    strange = [
        seen
        for seen in cells.of(template)[""]
        if ranges(seen, (INSULT, QUOTED)) and not any(seen in text for text in texts)
    ]
    assert strange == []


def test_places_without_a_second_rendering(tmp_path, monkeypatch):
    """Where the text leaves no doubt, each character is where the rendering with tracked strings puts it.

    That rendering may know nothing of some characters: a tag that the template splits at and writes again.
    """
    quick, place, both = Placer._plain, Placer.place, []

    def compared(self, row, texts):
        slow = place(self, row, texts)
        if len({id(text.text) for text in texts}) == 1 and (
            places := quick(self, texts[0].text, strings(row, self._layout))
        ):
            both.append((_characters(places), [_characters(of_text) for of_text in slow[0]]))
        return slow

    monkeypatch.setattr(Placer, "_plain", lambda *_: None)
    monkeypatch.setattr(Placer, "place", compared)
    cells = Cells(tmp_path, "bytelevel_bos")
    for template in ("chatml", "command_a", "gemma3", "llama3", "mistral_v7_tekken", "phi_4", "qwen3"):
        before = len(both)
        cells.of(template)
        assert len(both) > before, template
    assert [(places, slow) for places, slow in both if any(not of_text <= places for of_text in slow)] == []


def _characters(places):
    """A field's path and character with the prompt's character, for each character that has a place."""
    return {
        (place.path, at, *place.at(at, at + 1))
        for place in places
        for at in range(place.offset, place.offset + place.length)
    }


def _strings(value):
    """Every string in a row, those in its JSON too, and the parts of a content as one."""
    if isinstance(value, str):
        yield value
        try:
            inner = json.loads(value)
        except ValueError:
            return
        if not isinstance(inner, str):
            yield from _strings(inner)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
        yield "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"no roles"}))
def test_a_risky_token_of_this_kind_is_trained_by_stock(cells, kind):
    """A kind of row whose risky text is never trained would show nothing."""
    rows = [cells.of(template)[kind]["stock"] for template in ("qwen3", "message as JSON")]
    trained = [
        label
        for row in filter(None, rows)
        for label, risky in zip(row["labels"], risky_tokens(cells.stock.tokenizer, row["input_ids"]), strict=True)
        if risky and label >= 0
    ]
    assert len(trained) > 2


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Outcomes with offsets that leave blanks out (Llama 3's manner), and with a SentencePiece-like tokenizer."""
    return {kind: Cells(tmp_path_factory.mktemp(kind), kind) for kind in ("bytelevel", "unigram")}


@pytest.mark.parametrize(
    "template", [*SHIPPED, "concatenation", "nothing between", "message as JSON", "trim", "lines", "arguments in XML"]
)
@pytest.mark.parametrize("tokenizer", ["bytelevel", "unigram"])
def test_other_tokenizers(others, tokenizer, template):
    cells = others[tokenizer].of(template)
    assert {kind: cell["wrong"] for kind, cell in cells.items() if kind and cell["wrong"]} == {}
    assert {kind for kind, cell in cells.items() if kind and cell["raised"]} == set(STOCK_FAILS.get(template, ()))
