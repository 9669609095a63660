"""The made-up support chats of the privacy quickstart: who is in them, and what labelers find."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from helpers import ROOT

from axolotl_slung.demo import support_chats
from axolotl_slung.evals.documents import read_embedded
from axolotl_slung.labeling import EntitiesLabeler, PatternsLabeler

FORMS = {
    "person": r"[A-Z][a-z]+ [A-Z][a-z]+",
    "address": r"\d+ [A-Z][A-Za-z ]+, [A-Z][A-Za-z ]+",
    "phone": r"[2-9]\d\d-555-01\d\d",
    "email": r"[a-z.]+\d+@example\.(com|net|org)",
    "order": r"BL-\d{6}",
    "card": r"\d{4}( \d{4}){3}",
    "key": r"(sk_" + r"test_[A-Za-z0-9]{24}|ghp" + r"_[A-Za-z0-9]{36}|hf" + r"_[A-Za-z]{34})",
}


def spans(rows):
    """`(kind, text)` of all gold spans."""
    return [
        (kind, message["content"][start:end])
        for row in rows
        for message in row["messages"]
        for start, end, _, kind in json.loads(message["gold"])
    ]


@pytest.fixture(scope="module")
def made():
    return support_chats.chats()


def luhn(number):
    digits = [int(digit) for digit in number.replace(" ", "")]
    return sum(sum(divmod(2 * digit, 10)) if place % 2 else digit for place, digit in enumerate(reversed(digits))) % 10


def test_gold_spans_have_the_form_of_their_kind(made):
    for kind, text in [*spans(made[0]), *spans(made[1])]:
        assert re.fullmatch(FORMS[kind], text), (kind, text)
    assert {kind for kind, _ in spans(made[0])} == {*FORMS} == {*support_chats.KINDS}


def test_nothing_outside_of_gold_looks_like_personal_data(made):
    for row in made[0]:
        for message in row["messages"]:
            rest = message["content"]
            for start, end, *_ in reversed(json.loads(message["gold"])):
                rest = rest[:start] + rest[end:]
            assert not re.search(r"[\d@_]", rest)


def test_a_card_is_one_for_tests_or_has_a_wrong_digit(made):
    cards = {text for kind, text in spans(made[0]) if kind == "card"}
    assert {card for card in cards if luhn(card) == 0} == cards & {*support_chats.TEST_CARDS}
    assert cards - {*support_chats.TEST_CARDS} and all(luhn(card) == 0 for card in support_chats.TEST_CARDS)


def test_what_is_held_out_is_of_other_persons(made):
    assert not {*spans(made[0])} & {*spans(made[1])}
    assert {text.split(",")[0] for _, text in spans(made[0])}.isdisjoint(
        text.split(",")[0] for _, text in spans(made[1])
    )
    # nor are they the people of the other demo
    people = {fact["name"] for fact in read_embedded("people")}
    assert people.isdisjoint(text for _, text in [*spans(made[0]), *spans(made[1])])


def test_some_customers_write_often_and_most_do_not(made):
    often = Counter(text for kind, text in spans(made[0]) if kind == "person").values()
    assert max(often) >= 10 and sum(times == 1 for times in often) > len(often) / 2
    assert sum(2 <= times <= 9 for times in often) > 20


def test_a_seed_gives_the_same_rows(made):
    assert support_chats.chats() == made and support_chats.chats(1) != made
    assert [len(part) for part in support_chats.chats(rows=1, heldout=0)] == [1, 0, 2]
    # the most customers find enough telephone numbers
    assert len(support_chats.chats(rows=support_chats.MOST, heldout=0)[0]) == support_chats.MOST


def test_the_files(tmp_path):
    command = [sys.executable, "-m", "axolotl_slung.demo.support_chats", "-o", tmp_path / "demo" / "chats.jsonl"]
    done = subprocess.run([*command, "--rows", "20", "--heldout", "5"], capture_output=True, text=True, check=True)
    chats, heldout, names = map(str, done.stdout.splitlines())
    made = support_chats.chats(0, 20, 5)
    for path, rows in ((chats, made[0]), (heldout, made[1])):
        with open(path, encoding="utf-8") as file:
            assert [json.loads(line) for line in file] == rows
    with open(names, encoding="utf-8") as file:
        assert file.read().split("\n") == [*made[2], ""]
    wrong = subprocess.run([*command, "--rows", "3000"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--rows" in wrong.stderr and "Traceback" not in wrong.stderr


def test_what_the_labelers_of_the_example_find(made, tmp_path):
    """All but the names that are on no list. The page says how many."""
    (tmp_path / "names.txt").write_text("\n".join(made[2]))
    messages = [message for row in made[0] for message in row["messages"]]
    texts = [message["content"] for message in messages]
    own = ROOT / "example_configs" / "patterns" / "support.yml"
    labelers = {
        "person": EntitiesLabeler("a", path=str(tmp_path / "names.txt"), parts=True),
        "builtin": PatternsLabeler("b", builtin=["email", "phone", "credit_card", "api_keys"]),
        "own": PatternsLabeler("c", path=str(own)),
    }
    found = {name: labeler.label(texts, messages) for name, labeler in labelers.items()}
    hits, all_of = {name: Counter() for name in found}, Counter()
    for place, message in enumerate(messages):
        gold = json.loads(message["gold"])
        all_of.update(kind for *_, kind in gold)
        for name, of_text in found.items():
            for start, end, _, kind in gold:
                hits[name][kind] += any(span.start <= start and end <= span.end for span in of_text[place])
            assert all(
                any(start <= span.start and span.end <= end for start, end, *_ in gold) for span in of_text[place]
            )
    for kind in ("email", "phone", "key"):
        assert hits["builtin"][kind] == all_of[kind]
    for kind in ("order", "address", "card"):
        assert hits["own"][kind] == all_of[kind]
    assert hits["builtin"]["order"] == hits["builtin"]["address"] == 0
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    for kind, name in (
        ("card", "builtin"),
        ("person", "person"),
        ("order", "own"),
        ("email", "builtin"),
        ("phone", "builtin"),
    ):
        number = f"{hits[name][kind]} of {all_of[kind]}" if hits[name][kind] < all_of[kind] else f" of {all_of[kind]} |"
        assert number in page, kind
    # mistyped cards, customers who are not on the list, and their neighbors
    assert 0 < hits["builtin"]["card"] < all_of["card"] and 0.6 < hits["person"]["person"] / all_of["person"] < 0.9
