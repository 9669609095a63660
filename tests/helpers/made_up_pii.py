"""Made-up personal data and secrets of twelve kinds, in the forms of six countries, among what only looks like them.

Nothing here is taken from the package. Numbers with check digits are computed by this file's own arithmetic.
"""

import string
from random import Random

HEX, ALNUM = "0123456789abcdef", string.ascii_letters + string.digits
URL_SAFE, BASE64 = ALNUM + "-_", ALNUM + "+/"


def _of(draw, letters, size):
    return "".join(draw.choice(letters) for _ in range(size))


def _digits(draw, form):
    """A form with its `#` replaced by digits, and its `N` by digits from 2 to 9."""
    return "".join({"#": draw.choice(string.digits), "N": draw.choice("23456789")}.get(c, c) for c in form)


# ---- kinds


def email(draw):
    first, last = draw.choice(["ann", "josé", "li.wei", "o'neil", "Priya", "j"]), _of(draw, string.ascii_lowercase, 6)
    host = draw.choice(
        ["example.com", "mail.example.co.uk", "firma-müller.de", "correo.example.com.br", "x.io", "exemple.fr"]
    )
    return f"{first}{draw.choice(['', '.', '_', '+', '-'])}{last}{draw.choice(['', '7', '1984'])}@{host}"


PHONES = {
    "US": ("(N##) N##-####", "N##-N##-####", "N##.N##.####", "+1 N## N## ####", "+1-N##-N##-####", "1-N##-N##-####"),
    "GB": ("020 7### ####", "0161 496 0###", "07911 1#####", "+44 20 7### ####", "+44 (0)20 7### ####", "+447911 1#####"),
    "DE": ("030 23##########"[:12], "0151 2#######", "089/2#######", "+49 151 2#######", "+49 30 2#######", "0049 89 2#######"),
    "FR": ("01 42 ## ## ##", "06 12 ## ## ##", "06.12.##.##.##", "+33 6 12 ## ## ##", "+33 1 42 ## ## ##", "0033 6 12 ## ## ##"),
    "IN": ("98### #####", "098### #####", "+91 98### #####", "+91-98###-#####", "011 2### ####", "+9198########"),
    "BR": ("(11) 9####-####", "(21) 9####-####", "+55 11 9####-####", "11 9####-####", "(11) 3###-####", "+55 (11) 9####-####"),
}  # fmt: skip
AREAS = ("212", "415", "312", "617", "206", "305", "713", "404")


def phone(draw, country):
    form = draw.choice(PHONES[country])
    if country == "US":
        form = form.replace("N##", draw.choice(AREAS), 1)
    if country == "BR":
        form = form.replace(" 9####", " 98###").replace(")9####", ")98###")
    return _digits(draw, form)


def ipv4(draw):
    return ".".join(str(draw.randint(1, 254)) for _ in range(4))


def ipv6(draw):
    groups = [f"{draw.randint(0x1000, 0xFFFF):x}" for _ in range(8)]
    return draw.choice([":".join(groups), "2001:db8::" + ":".join(groups[:3]), ":".join(groups[:4]) + "::1"])


def _checked(draw, start, length):
    """A card number with its check digit: every second digit from the right is doubled, and the sum ends in 0."""
    body = start + _of(draw, string.digits, length - len(start) - 1)
    for last in string.digits:
        total = 0
        for place, digit in enumerate(reversed(body + last)):
            value = int(digit) * (1 + place % 2)
            total += value - 9 if value > 9 else value
        if total % 10 == 0:
            return body + last
    raise AssertionError


def credit_card(draw):
    start, groups = draw.choice(
        [("4", (4, 4, 4, 4)), ("52", (4, 4, 4, 4)), ("2223", (4, 4, 4, 4)), ("37", (4, 6, 5)), ("6011", (4, 4, 4, 4)),
         ("36", (4, 6, 4)), ("3530", (4, 4, 4, 4))]
    )  # fmt: skip
    number, separator = _checked(draw, start, sum(groups)), draw.choice(["", " ", "-"])
    parts, at = [], 0
    for size in groups:
        parts.append(number[at : at + size])
        at += size
    return separator.join(parts)


IBANS = {"DE": "##################", "GB": "BARC##############", "FR": "###################KK##"[:23], "ES": "####################",
         "NL": "INGB##########", "BR": "#######################CC"[:23] + "P1"}  # fmt: skip


def iban(draw):
    country = draw.choice(sorted(IBANS))
    body = _digits(draw, IBANS[country]).replace("K", "A").replace("C", "7")
    letters = {letter: str(number) for number, letter in enumerate(string.ascii_uppercase, 10)}
    rest = int("".join(letters.get(c, c) for c in body + country + "00")) % 97
    number = f"{country}{98 - rest:02}{body}"
    spaced = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    return draw.choice([number, spaced])


def us_ssn(draw):
    area = draw.choice([draw.randint(1, 665), draw.randint(667, 899)])
    separator = draw.choice("- ") if draw.random() < 0.3 else "-"
    return f"{area:03}{separator}{draw.randint(1, 99):02}{separator}{draw.randint(1, 9999):04}"


def ssn_without_separators(draw):
    return f"{draw.randint(1, 665):03}{draw.randint(1, 99):02}{draw.randint(1, 9999):04}"


def url_credentials(draw):
    scheme = draw.choice(["https", "postgres", "mongodb+srv", "ftp", "redis"])
    return f"{scheme}://{draw.choice(['admin', 'svc_user', 'root'])}:{_of(draw, ALNUM, 12)}@"


def jwt(draw):
    return f"eyJ{_of(draw, URL_SAFE, 33)}.eyJ{_of(draw, URL_SAFE, 60)}.{_of(draw, URL_SAFE, 42)}a"


def private_key(draw):
    kind = draw.choice(["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY"])
    lines = [_of(draw, BASE64, 64) for _ in range(draw.randint(3, 12))]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, _of(draw, BASE64, 22) + "==", f"-----END {kind}-----"])


def api_key(draw):
    return draw.choice([
        "AKIA" + _of(draw, string.ascii_uppercase + "234567", 16), "ghp" + "_" + _of(draw, ALNUM, 36),
        "sk-" + "proj-" + _of(draw, ALNUM, 48), "AIza" + _of(draw, ALNUM, 35), "hf" + "_" + _of(draw, string.ascii_letters, 34),
        "glpat" + "-" + _of(draw, ALNUM, 20), "sk_" + "live_" + _of(draw, ALNUM, 24), "xoxb" + f"-{_of(draw, string.digits, 12)}-{_of(draw, ALNUM, 24)}",
    ])  # fmt: skip


KINDS = {
    "email": email,
    "phone": None,  # by country
    "ipv4": ipv4,
    "ipv6": ipv6,
    "credit_card": credit_card,
    "iban": iban,
    "us_ssn": us_ssn,
    "ssn_without_separators": ssn_without_separators,
    "url_credentials": url_credentials,
    "jwt": jwt,
    "private_key": private_key,
    "api_key": api_key,
}

AROUND = {
    "US": (
        "Please reach me at {} before noon.",
        "My record says {}, is that right?",
        "({})",
        "note={};",
        "- {}\n- next item",
    ),
    "GB": ("Kindly use {} for this.", "It was {}, I think.", "Ref: {}", '"{}"', "{} is mine."),
    "DE": ("Bitte nutzen Sie {} dafür.", "Meine Angabe ist {}.", "({})", "Eintrag: {}", "{} stimmt nicht."),
    "FR": ("Merci d'utiliser {} pour cela.", "C'est {}, je crois.", "« {} »", "Info : {}", "{} est à moi."),
    "IN": ("Kindly do the needful with {} today.", "Details: {}", "[{}]", "मेरा विवरण {} है", "{} only."),
    "BR": ("Por favor, use {} para isso.", "Meu dado é {}.", "({})", "Registro: {}", "{} não funciona."),
}
STARTS = {"ssn_without_separators": "SSN: "}
ENDS = {"url_credentials": "db.example.com/app"}
"""What stands before and after a kind and does not belong to it."""


def _lookalike(draw):
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(1950, 2030)
    return draw.choice([
        f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{month:02}/{day:02}/{year}", f"{day:02}/{month:02}/{year} {draw.randint(0, 23):02}:{draw.randint(0, 59):02}:07",
        f"{draw.randint(1, 999)},{draw.randint(100, 999)},{draw.randint(100, 999)}.{draw.randint(10, 99)}", f"{draw.randint(1, 999)}.{draw.randint(100, 999)},00 €",
        "v" + ".".join(str(draw.randint(0, 40)) for _ in range(draw.choice([3, 4]))), f"order {_of(draw, string.digits, draw.randint(6, 12))}",
        f"978-3-16-{_of(draw, string.digits, 6)}-{draw.randint(0, 9)}", "-".join(_of(draw, HEX, n) for n in (8, 4, 4, 4, 12)), _of(draw, HEX, 40),
        f"{draw.uniform(-90, 90):.5f}, {draw.uniform(-180, 180):.5f}", ":".join(_of(draw, HEX, 2) for _ in range(6)), f"pages {draw.randint(100, 400)}-{draw.randint(401, 900)}",
        f"{year}-{year + 1}", f"1Z{_of(draw, string.digits, 16)}", f"{draw.randint(10, 99)} % of {draw.randint(1000, 9999)}", f"std::vector<int>::iterator, face::{draw.choice(['bad', 'add'])}",
        f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}", f"@{_of(draw, string.ascii_lowercase, 8)}", f"#{draw.randint(1, 99999)}", f"A{draw.randint(10, 99)}-{draw.randint(1000, 9999)}-{draw.randint(10, 99)}",
        f"{draw.randint(1, 50)} x {draw.randint(1, 50)} x {draw.randint(1, 50)} mm", f"sku {draw.randint(100, 999)}-{draw.randint(1000, 9999)}", f"section {draw.randint(1, 9)}.{draw.randint(1, 9)}.{draw.randint(1, 9)}.{draw.randint(1, 9)}",
        f"{draw.randint(1000, 9999)} {draw.randint(1000, 9999)}", "  ".join(_of(draw, string.digits, draw.randint(2, 5)) for _ in range(6)), "a@b, @home, me@localhost", "AKIA is a prefix, and so is eyJ",
        "https://example.com:8080/a@b", f"{draw.randint(1, 9)}e-{draw.randint(10, 20)}", f"port {draw.randint(1024, 65535)}", f"({draw.randint(1, 20)}) see {draw.randint(1, 9)}.{draw.randint(1, 9)}",
    ])  # fmt: skip


def rows(count: int, seed: int = 0):
    """Texts with what they hold: `[(text, [(start, end, kind)])]`. A fifth of them holds only what looks like it."""
    draw, made = Random(seed), []
    for _ in range(count):
        text, spans = "", []
        for _ in range(draw.randint(1, 3)):
            country = draw.choice(sorted(AROUND))
            before, _, after = draw.choice(AROUND[country]).partition("{}")
            text += before
            if draw.random() < 0.2:
                text += _lookalike(draw)
            else:
                kind = draw.choice(sorted(KINDS))
                text += STARTS.get(kind, "")
                value = phone(draw, country) if kind == "phone" else KINDS[kind](draw)
                spans.append((len(text), len(text) + len(value), kind))
                text += value + ENDS.get(kind, "")
            text += after + draw.choice([" ", "\n", " And then: " + _lookalike(draw) + ". "])
        made.append((text, spans))
    return made


def quality(found, truth):
    """Precision, recall by kind, and what was wrong and what was missed.

    A true span is found if its characters are, all but separators at its ends. A found span is right if at least half of
    its characters are in a true one.

    Args:
        found: for each text its spans, `[(start, end)]`.
        truth: see `rows`.
    """
    right, all_found, by_kind = 0, 0, {kind: [0, 0] for kind in KINDS}
    wrong, missed = [], []
    for spans, (text, true) in zip(found, truth, strict=True):
        covered = {at for start, end in spans for at in range(start, end)}
        risky = {at for start, end, _ in true for at in range(start, end)}
        for start, end in spans:
            all_found += 1
            if 2 * len(risky & set(range(start, end))) >= end - start:
                right += 1
            else:
                wrong.append(text[start:end])
        for start, end, kind in true:
            by_kind[kind][1] += 1
            if set(range(start, end)) <= covered:
                by_kind[kind][0] += 1
            else:
                missed.append((kind, text[start:end]))
    return right / all_found, {kind: hits / number for kind, (hits, number) in by_kind.items() if number}, wrong, missed
