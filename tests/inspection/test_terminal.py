"""The colored view in a terminal, and the bracketed one in a file."""

import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from helpers.pages import EVERY_ACTION, STEP, SUSPICIOUS, THREE, labeled
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from axolotl_slung.inspection.effects import LEFT_OUT, effects, risky_context
from axolotl_slung.inspection.terminal import PARTIAL, terminal_view
from axolotl_slung.labels.buckets import Action, Bucket, preset
from axolotl_slung.labels.documents import LEFT_OUT_BY
from axolotl_slung.visible import visible

SGR = re.compile("\x1b\\[([0-9;]*)m")


@st.composite
def documents(draw):
    alphabet = st.one_of(st.characters(), st.sampled_from(" \n\t\r\x1b[]\x9b\x00\x07\u202e\u200b\ud800中🙂\u0301"))
    tokens = draw(st.lists(st.text(alphabet, max_size=30), max_size=30))
    score, trainable, partial = (
        draw(st.lists(kind, min_size=len(tokens), max_size=len(tokens)))
        for kind in (st.floats(0, 1), st.booleans(), st.booleans())
    )
    return labeled(tokens, score=score, trainable=trainable, partial=partial, name=draw(st.text(alphabet)))


@settings(max_examples=300, deadline=None)
@given(document=documents(), width=st.integers(20, 60), color=st.booleans())
def test_no_control_character_reaches_the_terminal(document, width, color):
    buckets = (Bucket(document.name, 0.5, Action.TRAIN), *EVERY_ACTION[8:])
    for line in terminal_view([document], buckets, width, color):
        plain = SGR.sub("", line) if color else line
        assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        line.encode("utf-8")
        assert cell_len(plain) <= width
        if color:  # every color ends on its line
            assert SGR.sub("", line) == line or line.rindex("\x1b[0m") >= line.rindex("\x1b[")


@settings(max_examples=300, deadline=None)
@given(document=documents(), width=st.integers(20, 60))
def test_every_character_is_there_in_its_color(document, width):
    lines = list(terminal_view([document], EVERY_ACTION, width, color=True))
    styles = {}  # of each effect, its two shades
    for effect in {action.value for action in Action} | {LEFT_OUT}:
        score = 0.0 if effect == LEFT_OUT else list(Action).index(Action(effect)) * STEP + 0.01
        two = labeled(["x", "y"], score=[score] * 2, trainable=[effect != LEFT_OUT] * 2)
        styles[effect] = [hit[1] for hit in SGR.finditer(list(terminal_view([two], EVERY_ACTION, 60))[-1])][::2]
    assert len({style for pair in styles.values() for style in pair}) == 2 * len(styles)

    colored = []
    texts = [SGR.sub("", line) for line in lines]
    end = next((k for k, text in enumerate(texts) if text.startswith("trained, but")), len(lines) + 1) - 1
    for line in lines[lines.index("") + 1 : end]:
        now = ""
        for part in re.split("(\x1b\\[[0-9;]*m)", line):
            if SGR.fullmatch(part):
                now = SGR.fullmatch(part)[1]
            else:
                colored += [(c, now) for c in part]
    expected = []
    for index, (token, effect) in enumerate(zip(document.tokens, effects(document, EVERY_ACTION))):
        shown = (visible(token) or "∅") + PARTIAL * bool(document.partial[index])
        line = "4;" if risky_context(document, EVERY_ACTION)[index] else ""
        expected += [(c, line + styles[effect][index % 2]) for c in shown]
    assert colored[len(colored) - len(expected) :] == expected


@pytest.mark.parametrize("buckets", [THREE, EVERY_ACTION, preset("masked"), preset("low_risk")])
def test_effects_are_those_of_the_buckets(buckets):
    rng = np.random.default_rng(0)
    bounds = [b.below for b in buckets[:-1]]
    scores = [*bounds, *np.nextafter(bounds, 0), 0.0, 1.0, *rng.random(200)]
    document = labeled(["a"] * len(scores), score=scores, trainable=rng.random(len(scores)) < 0.5)
    expected = []
    for score, trained in zip(scores, document.trainable):
        action = next(b.action for b in buckets if b.below is None or score < b.below)
        expected.append(action.value if trained or action.traits.changes_input else LEFT_OUT)
    assert effects(document, buckets) == expected


def test_brackets_without_colors():
    tokens = ["<s>", "In", " her", " Il", "vane", " said", " [sic", "]", "!", "\n", "End"]
    score = [0, 0, 0, 0.5, 0.5, 0, 1, 1, 0.5, 0, 0]
    document = labeled(tokens, score=score, trainable=[0] + [1] * 10, partial=[0] * 4 + [1] + [0] * 6, name="row 7")
    lines = list(terminal_view([document], THREE, 100, color=False))
    assert lines[lines.index("") + 1 :] == [
        "row 7 11 tokens, 1 left out, 5 train, 3 mask, 2 unlikelihood",
        f"[left out:<s>]In her[mask: Ilvane{PARTIAL}] said[unlikelihood: \\[sic\\]][mask:!]⏎",
        "End",
    ]
    legend = lines[: lines.index("")]
    assert legend[0] == "train 5 tokens (45.5%), the model learns to say it: safe (0 to 0.0001)"
    assert legend[2] == "unlikelihood 2 tokens (18.2%), the model learns not to say it: risky (from 0.99)"
    assert legend[3].startswith("left out 1 tokens") and legend[4].startswith(PARTIAL)


def test_what_leaves_a_token_out_and_its_risk():
    tokens, score = ["Hi", " Zoë", ".", " She", " left", "</s>"], [0, 1, 0, 0, 0, 0]
    document = labeled(tokens, score=score, trainable=[0, 0, 0, 1, 1, 0])
    document = replace(document, left_out_by=np.array([0, 0, 0, 0, 0, LEFT_OUT_BY.index("eos: mask")]))
    lines = list(terminal_view([document], THREE, 200, color=False))
    assert (
        lines[-1] == "[left out:Hi][left out, risk: unlikelihood: Zoë][left out:.] She left[left out by eos: mask:</s>]"
    )
    legend = lines[: lines.index("")]
    assert legend[3] == (
        "left out 4 tokens (66.7%), Axolotl itself does not train on it (3); left out by eos: mask (1)"
    )
    assert legend[4] == "risk in what is left out is named in its bracket: 1 tokens, which are context only"
    colored = list(terminal_view([document], THREE, 200, color=True))
    assert "\x1b[4;" in colored[-1] and colored[-1].count("\x1b[4;") == 1 and "underlined" in colored[4]


def test_suspicious_text_that_is_trained_is_listed():
    tokens = SUSPICIOUS[:-2]  # without the key
    lines = list(terminal_view([labeled(tokens)] * 2, THREE, 100, color=False))
    found = lines[lines.index("trained, but suspicious: no labeler found these") + 1 :]
    assert found == [
        "address or handle: anna@b.org (2 times)",
        "digits: 555-0199 (2 times)",
        "capitals: Maria Hernandez (2 times)",
    ]
    masked = labeled(tokens, score=[0] * 2 + [1] * 3 + [0, 0] + [1] * 3 + [0] * 4)
    lines = list(terminal_view([masked], THREE, 100, color=False))
    assert lines[-1] == "digits: 555-0199" and lines[-2].startswith("trained, but")


def test_one_line_of_legend_for_an_action_and_word_of_dropped_documents():
    document = labeled(["a", "b"], score=[0, 0.5])
    lines = list(terminal_view([document], preset("control"), 200, color=False))
    assert "doubtful (0.0001 to 0.99), risky (from 0.99)" in lines[1]
    assert lines[-2].endswith("dropped whole")


def test_nothing_to_show():
    assert all(" 0 tokens (0.0%)" in line for line in terminal_view([], THREE, 200, color=False))
    empty = list(terminal_view([labeled([])], THREE, 80, color=False))
    assert empty[-1] == "row 0 tokens"


def test_words_move_to_the_next_line_whole_and_wide_ones_are_cut():
    tokens = [" aaaaaaaa", " bbbbbbbb", " cccccccc", "中" * 15]
    lines = list(terminal_view([labeled(tokens, score=[0] * 4)], THREE, 20, color=False))
    assert lines[-4:] == [" aaaaaaaa bbbbbbbb", " cccccccc", "中" * 10, "中" * 5]
    # a word of several tokens is not broken between them
    tokens = [" straight", " while", " aaaa", " bbb", "bb", "bbb", "!", " c"]
    lines = list(terminal_view([labeled(tokens, score=[0] * 8)], THREE, 20, color=False))
    assert lines[-3:] == [" straight while aaaa", " bbbbbbbb! c"] or lines[-2:] == [
        " straight while aaaa",
        " bbbbbbbb! c",
    ]
