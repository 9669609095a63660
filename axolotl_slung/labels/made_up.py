"""Made-up values in place of personal data: of the same kind, the same for the same original, and usable by nobody.

A keyed hash of the original chooses the value, so every process, rank and epoch chooses the same one and nothing is
stored. Where a kind has ranges that are reserved for examples, values come from these. Names come from the lists below.
"""

from __future__ import annotations

import hashlib
import ipaddress
import random
import re
import string
import unicodedata
from collections.abc import Callable
from itertools import chain, repeat

from ..labeling.text.escapes import unescaped


def _listed(words: str) -> list[str]:
    return words.split()


GIVEN = _listed(
    "Aaron Ada Adam Agnes Alan Alba Alma Amos Anita Anna Anton Arlo Astrid Axel Beata Bela Benno Berta Bianca "
    "Boris Bruno Cara Carl Celia Clara Colin Cora Dana Daria David Delia Dora Dylan Edda Edgar Edith Elias Elisa "
    "Ella Elmar Emil Emma Enzo Erik Erna Esther Eva Ewan Fabian Felix Fiona Flora Frank Frida Gemma Georg Gina "
    "Glenn Greta Gustav Hanna Harald Hazel Hector Heidi Helen Henry Hilda Hugo Ida Igor Ilse Ines Ingrid Iris "
    "Irma Ivan Jana Jasper Jens Joan Joel Jonas Julia Karin Karl Kira Kurt Lara Lena Leo Lidia Linus Lisa Lorenz "
    "Lotte Lucas Lydia Magda Marco Maria Martin Maya Milan Mina Mona Nadia Nils Nina Nora Oskar Otto Paula Peter "
    "Petra Ralf Rita Robin Rosa Ruth Sam Selma Simon Sofia Stella Sven Tara Theo Tilda Vera Viola"
)
HEADS = _listed(
    "Alder Ash Barn Beck Birch Black Brad Briar Brook Burn Cald Carl Chad Cliff Cold Crag Dal Dern Dun East Elm "
    "Fair Farn Fen Fern Glen Gold Grant Green Hart Haw Heath High Holm Horn Kell Kirk Lang Lark Lin Lock Marsh "
    "Mead Mill Moor Nor Oak Pem Pen Rad Raven Red Rock Row Sand Shaw Sher Stan Stone Thorn Wake West Whit Wood"
)
TAILS = _listed(
    "bank berg bourne bridge brook bury by cliff combe cote dale den field ford gate grove ham hurst ingham land "
    "leigh ley low mere more ridge side stead ton wall well wick"
)
"""A surname is a head and a tail. Few people have such a name, and 2,048 are enough to tell people apart."""

_TRIES = 8

_AREAS = tuple(area for area in range(200, 1000) if area % 100 != 11)
_NETS = tuple(map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
_PUBLIC = re.compile(
    r"-----(?:BEGIN|END) (?:(?:RSA|DSA|EC|OPENSSH|ENCRYPTED|PGP) )?PRIVATE KEY(?: BLOCK)?-----"
    r"|\A(?:https?|s?ftp|ssh|git|postgres(?:ql)?|mysql|mongodb(?:\+srv)?|rediss?|amqps?|smtps?|imaps?|ldaps?)://"
    r"|\A(?:AKIA|ASIA|AIza|SG\.|eyJ|hf_|npm_|pypi-|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|dapi|key-|whsec_"
    r"|sk-(?:ant-|proj-|or-v1-)?|[rs]k_(?:live|test)_)",
)
"""The parts of a secret that everybody knows."""


class Draws:
    """Draws that depend only on a seed, a kind and an original."""

    def __init__(self, seed: int, *parts: str):
        key = hashlib.blake2b(str(seed).encode()).digest()
        drawn = hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), key=key, digest_size=32)
        self._random = random.Random(int.from_bytes(drawn.digest()))

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1, for n up to 2**53."""
        return int(self._random.random() * n)  # `random` is the one method whose numbers never change

    def one_of(self, choices):
        """One of a sequence."""
        return choices[self.below(len(choices))]


def made_up(original: str, kind: str, seed: int) -> str:
    """A value of the same kind that is not the original.

    Args:
        original: the text of a span. Escapes count as what they mean.
        kind: such as `email`; see `FAMILIES`. Values of other kinds have random letters and digits in the original's
            places.
        seed: the key of the hash. Who knows it can find out which original a value stands for by trying guesses.
    """
    for view in unescaped(original):
        original = view.text
    family = family_of(kind)
    make, normal = _MAKERS[family]
    same = normal(original)
    # an original without a letter or digit of its own never changes
    makers = chain([make] * _TRIES, repeat(_letters))
    values = (maker(Draws(seed, family, same, str(n)), original) for n, maker in enumerate(makers))
    return next(value for value in values if normal(value) != same)


def family_of(kind: str) -> str:
    """The kind of made-up values for a kind of spans: a key of `FAMILIES`, or `other`."""
    name = re.sub(r"[\W_]+", "_", kind.lower()).strip("_")
    for one in (name, re.sub(r"_?\d+$", "", name)):  # entities_2 is the second labeler of its type
        for family, names in FAMILIES.items():
            if one in names:
                return family
    return "other"


# ---- which originals are the same


def _exact(text: str) -> str:
    """Without invisible characters, and with single spaces."""
    text = unicodedata.normalize("NFKC", text)
    return " ".join("".join(c for c in text if unicodedata.category(c) != "Cf").split())


def _any_case(text: str) -> str:
    return _exact(text).casefold()


def _name(text: str) -> str:
    """`Doe, Jane` is `Jane Doe`."""
    return " ".join(sorted(re.findall(r"[^\W_]+", _any_case(text))))


def _compact(text: str) -> str:
    return "".join(filter(str.isalnum, _any_case(text)))


# ---- values


def _person(draws: Draws, original: str) -> str:
    surname = draws.one_of(HEADS) + draws.one_of(TAILS)
    return f"{draws.one_of(GIVEN)} {surname}" if len(original.split()) > 1 else surname


def _email(draws: Draws, original: str) -> str:
    surname = draws.one_of(HEADS) + draws.one_of(TAILS)
    domain = draws.one_of(("example.com", "example.net", "example.org"))
    return f"{draws.one_of(GIVEN)}.{surname}{draws.below(100):02}@{domain}".lower()


def _phone(draws: Draws, original: str) -> str:
    """A number from 555-0100 to 555-0199, which are kept for fiction in every area of North America."""
    country = "+1-" if "+" in original else ""
    return f"{country}{draws.one_of(_AREAS)}-555-01{draws.below(100):02}"


def _ip(draws: Draws, original: str) -> str:
    """An address of the networks for documentation (RFC 5737, RFC 3849)."""
    if ":" in original:
        return ":".join(["2001:db8", *(f"{draws.below(1 << 16):x}" for _ in range(6))])
    return str(draws.one_of(_NETS)[draws.below(256)])


def _credit_card(draws: Draws, original: str) -> str:
    """Digits in the original's places whose check digit is wrong."""
    value = _shape(draws, original)
    digits = [int(c) for c in value if c in string.digits]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    if digits and total % 10 == 0:
        at = value.rindex(str(digits[-1]))
        value = f"{value[:at]}{(digits[-1] + 1 + draws.below(9)) % 10}{value[at + 1 :]}"
    return value


def _iban(draws: Draws, original: str) -> str:
    """Letters and digits in the original's places, of the country XX, which ISO 3166 gives to nobody."""
    return _with_start(_shape(draws, original), "XX")


def _ssn(draws: Draws, original: str) -> str:
    """A number of the area 666, which is given to nobody."""
    return f"666-{1 + draws.below(99):02}-{1 + draws.below(9999):04}"


def _secret(draws: Draws, original: str) -> str:
    pieces, last = [], 0
    for public in _PUBLIC.finditer(original):
        pieces += [_shape(draws, original[last : public.start()]), public[0]]
        last = public.end()
    return "".join([*pieces, _shape(draws, original[last:])])


def _shape(draws: Draws, original: str) -> str:
    """A random letter for each letter, a digit for each digit. White space and ASCII punctuation stay."""
    return "".join(_like(draws, c) for c in original)


def _like(draws: Draws, c: str) -> str:
    if c.isspace() or c in string.punctuation:
        return c
    if c.isdigit():
        return draws.one_of(string.digits)
    return draws.one_of(string.ascii_uppercase if c.isupper() else string.ascii_lowercase)


def _letters(draws: Draws, original: str) -> str:
    return "".join(draws.one_of(string.ascii_lowercase) for _ in range(max(len("".join(original.split())), 1)))


def _with_start(value: str, start: str) -> str:
    """The value with other first letters or digits."""
    left = list(start)
    return "".join(left.pop(0) if left and c.isalnum() else c for c in value)


FAMILIES = {
    "person": ("person", "persons", "people", "per", "name", "names", "entities", "private_person"),
    "email": ("email", "emails", "e_mail", "mail", "email_address", "private_email"),
    "phone": ("phone", "phones", "phone_number", "telephone", "telephone_number", "private_phone"),
    "ip": ("ip", "ips", "ip_address", "ipv4", "ipv6"),
    "credit_card": ("credit_card", "credit_cards", "credit_card_number", "card"),
    "iban": ("iban", "ibans", "iban_code"),
    "ssn": ("us_ssn", "ssn", "social_security_number"),
    "secret": ("api_keys", "api_key", "jwt", "private_key", "url_credentials", "secret", "secrets", "password"),
}
"""The kinds of made-up values, and the kinds of spans that have them: names of labelers, of patterns and entities."""

_MAKERS: dict[str, tuple[Callable[[Draws, str], str], Callable[[str], str]]] = {
    "person": (_person, _name),
    "email": (_email, _any_case),
    "phone": (_phone, _compact),
    "ip": (_ip, _any_case),
    "credit_card": (_credit_card, _compact),
    "iban": (_iban, _compact),
    "ssn": (_ssn, _compact),
    "secret": (_secret, _exact),
    "other": (_shape, _exact),
}
"""For each family, what makes a value, and the form in which equal originals are equal."""
