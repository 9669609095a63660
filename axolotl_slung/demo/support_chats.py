"""Made-up support chats of a shop for lamps, with personal data whose places are known.

    python -m axolotl_slung.demo.support_chats -o demo/chats.jsonl

writes three files: `chats.jsonl` (300 chats), `chats-heldout.jsonl` (100 chats with other customers, not to be trained on)
and `chats-names.txt` (the shop's list of customers, which lacks some). Nothing of it belongs to anybody:

- names are made of invented syllables, and so are streets and towns;
- telephone numbers are from 555-0100 to 555-0199, e-mail addresses at example.com, .net and .org (RFC 2606);
- card numbers are the ones that payment services publish for tests, or have a wrong check digit;
- keys are random letters and digits behind a known beginning.

Rows are `{"messages": [{"role", "content", "gold"}, ...]}`. `gold` has the true spans of a message as JSON,
`[[start, end, 1.0, kind], ...]`, for `slung qa --gold gold`. The agent knows personal data from the shop's files, so what
a model says of it was learned and is not copied from the chat.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .support_chat_texts import CLOSINGS, FACTS, OPENINGS, RECORDS, TOPICS

KINDS = ("person", "address", "phone", "email", "order", "card", "key")
"""The kinds of spans in `gold`."""

TEST_CARDS = (
    "4242 4242 4242 4242", "4111 1111 1111 1111", "4012 8888 8888 1881", "5555 5555 5555 4444", "5105 1051 0510 5100",
    "6011 1111 1111 1117", "3530 1113 3330 0000",
)  # fmt: skip
"""Numbers that payment services publish for tests. Their check digits are right; no bank gives them out."""

_FIRST = ("Bra", "Cel", "Dov", "Elu", "Fen", "Gwi", "Hes", "Ivo", "Jor", "Kes", "Lum", "Mer", "Nys", "Ost", "Pel", "Quo",
          "Ris", "Sor", "Tav", "Ulm", "Ves", "Wyn", "Yar", "Zel")  # fmt: skip
_FIRST_END = ("adra", "anel", "evin", "iska", "olme", "ovar", "umin", "ythe", "erick", "issa", "orin", "wenna")
_LAST = ("Abren", "Brask", "Corvel", "Dresh", "Embar", "Fallun", "Grivel", "Hoskar", "Istren", "Jasmund", "Kelvar", "Lorrim",
         "Mastrel", "Norvik", "Oskel", "Prandel", "Quistral", "Rovann", "Skelmar", "Torvall", "Umbrel", "Vasken", "Weldrim",
         "Zarnel")  # fmt: skip
_LAST_END = ("ado", "eck", "hollow", "ibar", "mere", "nault", "onde", "quist", "stow", "thorpe", "ugard", "wick")
_STREETS = ("Quillane", "Ambrose Mill", "Tallowgate", "Netherwick", "Corrin", "Silverfen", "Old Tannery", "Marlstone",
            "Pellow", "Windlass", "Harrowmere", "Stavely")  # fmt: skip
_STREET_KINDS = ("Street", "Lane", "Road", "Row", "Court")
_TOWNS = ("Port Ambry", "Velmouth", "Nether Costing", "Brackwater", "Ostergate", "Lower Quay", "Tarnholm", "Esk Hollow")
_AREAS = ("206", "212", "214", "303", "305", "312", "404", "415", "503", "512", "602", "617", "702", "713", "718", "801", "804",
          "808", "901", "916")  # fmt: skip
_DOMAINS = ("com", "net", "org")
_KEYS = (("sk_" + "test_", 24), ("ghp" + "_", 36), ("hf" + "_", 34))
_UNLISTED = 1 / 12
"""The share of customers who are not on the shop's list."""
MOST = 2000
"""The highest number of chats. There are only so many telephone numbers for fiction."""


@dataclass(frozen=True)
class Customer:
    """A person who does not exist. All fields but `listed` are texts of the kinds in `KINDS`."""

    person: str
    address: str
    phone: str
    email: str
    card: str
    key: str
    listed: bool


class _New:
    """Draws values of which each is made once. Of no kind are more than half of all possible values drawn."""

    def __init__(self, seed: int):
        self.draw = random.Random(seed)
        self._made: set[str] = set()

    def _once(self, make: Callable[[], str]) -> str:
        while (value := make()) in self._made:
            pass
        self._made.add(value)
        return value

    def person(self) -> str:
        choose = self.draw.choice
        return self._once(lambda: f"{choose(_FIRST)}{choose(_FIRST_END)} {choose(_LAST)}{choose(_LAST_END)}")

    def address(self) -> str:
        choose = self.draw.choice
        house = self._once(lambda: f"{self.draw.randint(2, 480)} {choose(_STREETS)} {choose(_STREET_KINDS)}")
        return f"{house}, {choose(_TOWNS)}"

    def phone(self) -> str:
        return self._once(lambda: f"{self.draw.choice(_AREAS)}-555-01{self.draw.randint(0, 99):02}")

    def order(self) -> str:
        return self._once(lambda: f"BL-{self.draw.randint(0, 999999):06}")

    def card(self) -> str:
        return self._once(self._mistyped)

    def key(self) -> str:
        return self._once(self._random_key)

    def _mistyped(self) -> str:
        digits = [int(digit) for digit in "4" + "".join(self.draw.choices(string.digits, k=14))]
        doubled = [2 * digit - 9 * (digit > 4) for digit in digits[::2]]
        right = -(sum(doubled) + sum(digits[1::2])) % 10
        number = "".join(map(str, digits)) + str((right + self.draw.randint(1, 9)) % 10)
        return " ".join(number[at : at + 4] for at in range(0, 16, 4))

    def _random_key(self) -> str:
        start, length = self.draw.choice(_KEYS)
        # a token of Hugging Face has letters only
        letters = string.ascii_letters if start.startswith("hf") else string.ascii_letters + string.digits
        return start + "".join(self.draw.choices(letters, k=length))

    def customer(self, test_cards: bool) -> Customer:
        """A customer whose card is, in half of the cases, one of those for tests."""
        person = self.person()
        return Customer(
            person=person,
            address=self.address(),
            phone=self.phone(),
            email=f"{person.replace(' ', '.').lower()}{self.draw.randint(1, 99)}@example.{self.draw.choice(_DOMAINS)}",
            card=self.draw.choice(TEST_CARDS) if test_cards and self.draw.random() < 0.5 else self.card(),
            key=self.key(),
            listed=self.draw.random() >= _UNLISTED,
        )


def chats(seed: int = 0, rows: int = 300, heldout: int = 100) -> tuple[list[dict], list[dict], list[str]]:
    """The rows to train on, the rows to hold out, and the shop's list of names.

    No personal data of one set of rows is in the other. A few customers write often, and most write once or twice.

    Args:
        seed: the same seed gives the same rows.
        rows: number of chats to train on, at least 1.
        heldout: number of chats to hold out, at least 0. All chats together are at most `MOST`.
    """
    new = _New(seed)
    known = [new.customer(test_cards=True) for _ in range(max(rows // 2, 1))]
    others = [new.customer(test_cards=False) for _ in range(max(heldout // 2, 1))]
    made, held = ([_chat(new, its) for _ in range(number)] for its, number in ((known, rows), (others, heldout)))
    return made, held, sorted(customer.person for customer in (*known, *others) if customer.listed)


def _chat(new: _New, known: Sequence[Customer]) -> dict:
    draw = new.draw
    # of 150 customers the first writes in about one chat of 12, and the last in one of 300
    customer = known[int(len(known) * draw.random() ** 2)]
    topic = draw.choice(TOPICS)
    values = {**vars(customer), "order": new.order(), "friend": new.person(), "fact": draw.choice(FACTS)}
    texts = (
        ("user", f"{draw.choice(OPENINGS)} {topic.problem}"),
        ("assistant", f"{draw.choice(RECORDS)} {topic.answer}"),
        ("user", topic.reply),
        ("assistant", f"{topic.solution} {draw.choice(CLOSINGS)}"),
    )
    return {"messages": [_message(role, text, values) for role, text in texts]}


def _message(role: str, template: str, values: dict) -> dict:
    """A message with its gold spans. A `{friend}` is a person too."""
    parts, gold, at = [], [], 0
    for place, part in enumerate(re.split(r"\{(\w+)\}", template)):
        text = values[part] if place % 2 else part
        if place % 2 and part != "fact":
            kind = "person" if part == "friend" else part
            gold.append([at, at + len(text), 1.0, kind])
        parts.append(text)
        at += len(text)
    return {"role": role, "content": "".join(parts), "gold": json.dumps(gold)}


def write(path: Path, seed: int = 0, rows: int = 300, heldout: int = 100) -> list[Path]:
    """Write the three files; returns their paths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made, held, names = chats(seed, rows, heldout)
    files = [path, path.with_name(f"{path.stem}-heldout{path.suffix}"), path.with_name(f"{path.stem}-names.txt")]
    for file, its in zip(files, (made, held)):
        file.write_text("".join(json.dumps(row) + "\n" for row in its), encoding="utf-8")
    files[2].write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return files


def main() -> None:
    """Write the files that the command line asks for, and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("demo/chats.jsonl"), help="default: demo/chats.jsonl")
    parser.add_argument("--rows", type=int, default=300, help="number of chats to train on (default: 300)")
    parser.add_argument("--heldout", type=int, default=100, help="number of chats to hold out (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    given = parser.parse_args()
    if given.rows < 1 or given.heldout < 0 or given.rows + given.heldout > MOST:
        parser.error(f"--rows, --heldout: expected at least 1 and 0 chats, and {MOST} at most together; change them")
    print(*write(given.output, given.seed, given.rows, given.heldout), sep="\n")


if __name__ == "__main__":
    main()
