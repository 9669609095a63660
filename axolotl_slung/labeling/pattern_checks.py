"""Checks of what a pattern matched: check digits, lengths by country, and what stands beside it.

A check is given a text and a match, and says which part of the match it accepts. So a pattern can be simple and take in
too much, such as the digits after a card's number.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence

import phonenumbers
import regex

Check = Callable[[str, int, int], "Sequence[tuple[int, int]]"]
"""Maps a text and a match's `[start, end)` to the accepted parts of it."""

_NAMED = 30
"""The number of characters before a match in which a word such as `Tel.` counts."""


# ---- payment

_CARDS = regex.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12}"  # Discover
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}"  # UnionPay
)


def credit_card(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A card number of a known issuer with the right check digit (Luhn; ISO/IEC 7812), with or without separators."""
    for stop in _ends_of_groups(text, start, end):
        groups = regex.split(r"[ -]", text[start:stop])
        digits = "".join(groups)
        if len(groups) > 1 and not all(3 <= len(group) <= 6 for group in groups):
            continue
        if len({character for character in text[start:stop] if not character.isdigit()}) > 1:
            continue
        if digits.isascii() and _CARDS.fullmatch(digits) and _luhn(digits):
            return [(start, stop)]
    return []


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _ends_of_groups(text: str, start: int, end: int) -> Iterator[int]:
    """Where a match may end, the longest first: at its end, and before each separator."""
    yield end
    yield from (at for at in range(end - 1, start, -1) if text[at] in " -")


_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Characters of an account number by country, from SWIFT's registry."""


def iban(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """An account number (ISO 13616) of its country's length with the right check digits."""
    left = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    at = start
    while at < end and left:
        left -= text[at] not in " -"
        at += 1
    compact = text[start:at].replace(" ", "").replace("-", "").upper()
    if left or not compact.isascii() or (at < len(text) and text[at].isalnum()):
        return []
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return [(start, at)] if int(number) % 97 == 1 else []


# ---- persons and machines


def email(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """An address, unless it is a password before the host of a URL."""
    return [] if regex.search(r"://[^\s/]*\Z", text[max(0, start - 200) : start]) else [(start, end)]


def us_ssn(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A number that the Social Security Administration can have given: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    number = text[end - 11 : end] if text[end - 5] in " -" else text[end - 9 : end]
    if len(number) == 11 and (number[3] != number[6] or _joined(text, start, end)):
        return []
    digits = number.replace("-", "").replace(" ", "")
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000":
        return []
    return [(end - len(number), end)]


def _joined(text: str, start: int, end: int) -> bool:
    """Whether a number goes on before or after the match."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    return bool(regex.search(r"[\w-]\Z|\d[./]\Z", before) or regex.match(r"[\w-]|[./]\d", after))


def ip(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """An IPv4 or IPv6 address that is not a version or a time."""
    address = text[start:end]
    while address and address[-1] in ".:" and not address.endswith("::"):
        address = address[:-1]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return []
    after = text[start + len(address) : start + len(address) + 2]
    if (regex.match(r"[\w-]|[.:]\w", after) and not regex.match(r":\d", after)) or text[max(0, start - 1) : start] in (
        "-",
        ":",
    ):
        return []
    if ":" not in address:
        before = text[max(0, start - _NAMED) : start]
        named = regex.search(r"(?i)(?:\b(?:version|release|ver|build|section|firmware)\.?|\bv\.?|§)\W{0,3}\Z", before)
        return [] if named else [(start, start + len(address))]
    # `face::bad` is a name in C++, and `::` an operator
    groups = [group for group in address.split(":") if group]
    return [(start, start + len(address))] if len(groups) > 1 and any(map(str.isdigit, address)) else []


REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "IN", "BR", "MX", "AU")
"""Countries whose numbers are known without a country code, as ISO 3166 codes. Canada's have the form of the United States'."""

_TRUNK = ("GB", "DE", "FR", "IT", "NL", "IN", "AU")
"""Countries where a national number begins with 0."""

_FORMS = (
    (regex.compile(r"\(\d"), REGIONS),
    (regex.compile(r"0[1-9]"), _TRUNK),
    (regex.compile(r"(?:1[-. ])?\d{3}[-. ]\d{3}[-. ]\d{4}\Z"), ("US",)),
    (regex.compile(r"[6-9]\d{4}[- ]\d{5}\Z"), ("IN",)),
    (regex.compile(r"\d{2} 9?\d{4}-\d{4}\Z"), ("BR",)),
    (regex.compile(r"[6-9]\d{2}[ -](?:\d{3}[ -]\d{3}|\d{2}[ -]\d{2}[ -]\d{2})\Z"), ("ES",)),
)
"""Forms that count without a country code or a word such as `Tel.`, and whose they are. Most numbers in texts have another."""

_NAMES = regex.compile(
    r"(?i)(?:\b(?:tel|téléphone|phone|mobile|mobil|cell|call(?:\s\w+)?|fax|handy|telefon[eo]?|teléfono|celular|whatsapp|ring|text(?:\s\w+)?|dial|"
    r"móvil|portable|cellulare|zadzwoń|telefoon)\b|[☎📞📱])[^\d+(]{0,14}\Z"
)


def phone(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A telephone number that exists, written as its country writes it (Google's libphonenumber, by `phonenumbers`)."""
    candidate = text[start:end]
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    named = _NAMES.search(text[max(0, start - _NAMED) : start]) is not None
    # `Tel.030 901820`, but not the end of a longer number
    if regex.search(r"[\w@/#]\Z|[$€£]\s?\Z", before) or (not named and before.endswith((".", "-"))):
        return []
    if regex.match(r"\w|[-/.]\d|\s?[%€$£]", after):
        return []
    if sum(map(str.isdigit, candidate)) < 8:
        return []
    if candidate.startswith(("+", "00")):
        number = "+" + candidate[2:] if candidate.startswith("00") else candidate
        return [(start, end)] if _exists(number) else []
    if named:
        regions, leniency = REGIONS, phonenumbers.Leniency.VALID
    else:
        regions = next((regions for form, regions in _FORMS if form.match(candidate)), ())
        leniency = phonenumbers.Leniency.STRICT_GROUPING
        # in a table of numbers some have the form of a telephone number
        if candidate.isdigit() or regex.search(r"\d[ \t]\Z", before) or regex.match(r"[ \t]\d", after):
            return []
    best: list[tuple[int, int]] = []
    for region in regions:
        matches = phonenumbers.PhoneNumberMatcher(candidate, region, leniency=leniency)
        # without its area code, one country's number may be another's
        best = max(best, [(start + m.start, start + m.end) for m in matches], key=_length)
        if _length(best) == end - start:
            break
    return best


def _length(parts: Sequence[tuple[int, int]]) -> int:
    return sum(stop - begin for begin, stop in parts)


def _exists(number: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False


CHECKS: dict[str, Check] = {check.__name__: check for check in (email, credit_card, iban, us_ssn, ip, phone)}
"""By the name that a pattern's `check` has in YAML."""
