"""Made-up values: the same for the same original, unlike it, and usable by nobody."""

import ipaddress
import os
import re
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling.pattern_files import builtin_names
from axolotl_slung.labels.made_up import FAMILIES, GIVEN, HEADS, TAILS, family_of, made_up

ORIGINALS = {
    "person": "Maria Hernandez",
    "email": "maria@corp.com",
    "phone": "+49 89 5551234",
    "ip": "93.184.216.34",
    "credit_card": "4556 7375 8689 9855",
    "iban": "DE89 3704 0044 0532 0130 00",
    "us_ssn": "212-34-5678",
    "api_keys": "sk-proj-Q7fh2LmZp0aWx81TbR4c",
    "order": "Ünit-47 ж",
}


def values(kind, count=300):
    return [made_up(f"{ORIGINALS[kind]}{n}", kind, 7) for n in range(count)]


@pytest.mark.parametrize(
    "kind, form",
    [
        ("person", r"[A-Z][a-z]+ [A-Z][a-z]+"),
        ("email", r"[a-z]+\.[a-z]+\d\d@example\.(com|net|org)"),
        ("phone", r"\+1-[2-9]\d\d-555-01\d\d"),
        ("us_ssn", r"666-(?!00)\d\d-(?!0000)\d{4}"),
        ("iban", r"XX\d\d \d{4} \d{4} \d{4} \d{4} \d+"),
        ("api_keys", r"sk-proj-[A-Z]\d[a-z]{2}\d[A-Z][a-z][A-Z][a-z]\d[a-z][A-Z][a-z]\d{2}[A-Z][a-z][A-Z]\d[a-z]\d+"),
        ("order", r"[A-Z][a-z]{3}-\d\d [a-z]\d+"),
    ],
)
def test_forms(kind, form):
    assert all(re.fullmatch(form, value) for value in values(kind))


def test_addresses_of_machines_are_for_documentation():
    nets = [ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    assert all(any(ipaddress.ip_address(value) in net for net in nets) for value in values("ip"))
    six = [made_up(f"2606:4700::{n}", "ip", 7) for n in range(50)]
    assert all(ipaddress.ip_address(value) in ipaddress.ip_network("2001:db8::/32") for value in six)


def luhn(digits):
    """The check of ISO/IEC 7812, from the right: every second digit is doubled, and the digits of the results summed."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += sum(map(int, str(int(digit) * (1 + place % 2))))
    return total % 10 == 0


def test_cards_have_a_wrong_check_digit():
    for length in (13, 15, 16, 19):
        for n in range(200):
            value = made_up(str(10**length + n)[-length:], "credit_card", n)
            assert len(value) == length and not luhn(value)
    assert all(re.fullmatch(r"\d{4} \d{4} \d{4} \d+", value) for value in values("credit_card"))


def test_telephone_numbers_are_nobodys():
    for value in values("phone", 50):
        number = phonenumbers.parse(value, "US")
        assert 5550100 <= number.national_number % 10**7 <= 5550199


@pytest.mark.parametrize(
    "kind, spellings",
    [
        (
            "person",
            ["Maria Hernandez", "MARIA  HERNANDEZ", "Maria\nHernandez", "Ma\u200bria Hernandez", "HERNANDEZ, Maria"],
        ),
        (
            "email",
            ["maria@corp.com", "Maria@Corp.com", "maria%40corp.com", "maria&#64;corp.com", "maria\\u0040corp.com"],
        ),
        ("phone", ["+49 89 5551234", "+49-89-555-1234", "+49895551234", "+４９ 89 5551234"]),
        ("credit_card", ["4556 7375 8689 9855", "4556737586899855", "4556-7375-8689-9855"]),
        ("iban", ["DE89 3704 0044 0532 0130 00", "de89370400440532013000"]),
    ],
)
def test_spellings_of_one_original_have_one_value(kind, spellings):
    found = {re.sub(r"\W", "", made_up(spelling, kind, 7)).lower() for spelling in spellings}
    assert len(found) == 1


def test_keys_and_other_values_are_the_same_only_in_the_same_case():
    assert made_up("abcDEF123", "api_keys", 7).lower() != made_up("ABCdef123", "api_keys", 7).lower()


def test_the_seed_and_the_kind_decide():
    assert len({made_up("Maria Hernandez", "person", seed) for seed in range(40)}) == 40
    assert made_up("5551234567", "order", 7) != made_up("5551234567", "ssn", 7)
    assert made_up("a@b.org", "email", 7) == made_up("a@b.org", "EMAIL_ADDRESS", 7)


def test_every_process_makes_up_the_same():
    code = (
        "import sys; from axolotl_slung.labels.made_up import made_up\n"
        f"print([made_up(text, kind, 7) for kind, text in {ORIGINALS!r}.items()])"
    )
    here = str([made_up(text, kind, 7) for kind, text in ORIGINALS.items()])
    for salt in ("1", "2"):  # of Python's own hashes, which must not count
        environment = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert run.stdout.strip() == here, run.stderr


@settings(max_examples=400, deadline=None)
@given(st.text(min_size=1, max_size=40), st.sampled_from([*ORIGINALS, "private_key"]))
def test_a_value_is_never_the_original(original, kind):
    value = made_up(original, kind, 7)
    assert value and value != original and value == made_up(original, kind, 7)
    words = {word for word in re.findall(r"\w{6,}", original.casefold()) if not re.match("sk|hf|akia", word)}
    assert not words & set(re.findall(r"\w{6,}", value.casefold()))


@pytest.mark.parametrize(
    "original", ["\\n", "%20", "-", "!?", "\u200b", "AKIA", "sk-", "https://", "-----BEGIN PRIVATE KEY-----"]
)
@pytest.mark.parametrize("kind", ["api_keys", "credit_card", "iban", "phone", "x"])
def test_what_has_nothing_to_change_is_changed(original, kind):
    assert made_up(original, kind, 7) not in ("", original)


def test_a_secret_keeps_only_what_everybody_knows():
    assert re.fullmatch(r"https://[a-z]{5}:[a-z]{6}\d@", made_up("https://maria:hunter2@", "url_credentials", 7))
    assert "JANE" not in made_up("-----BEGIN JANE DOE-----", "secret", 7)
    assert "jane" not in made_up("jane://x:yyy@", "url_credentials", 7)
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/=\n-----END RSA PRIVATE KEY-----"
    assert re.fullmatch(
        r"-----BEGIN RSA PRIVATE KEY-----\n[A-Z]{3}[A-Z][a-z]{2}\+/=\n-----END RSA PRIVATE KEY-----",
        made_up(key, "private_key", 7),
    )


def test_kinds():
    assert {family_of(name) for name in builtin_names()} == {*FAMILIES} - {"person"}
    for kind in ("PERSON", "entities", "entities_2", "Persons"):
        assert family_of(kind) == "person"
    assert family_of("EMAIL_ADDRESS") == family_of("e-mail") == "email" and family_of("ipv4") == "ip"
    assert family_of("order number") == family_of("") == family_of("patterns") == "other"


def test_few_originals_share_a_value():
    """As docs/objectives.md says."""
    assert len(GIVEN) == len(set(GIVEN)) == 131 and len(set(HEADS)) * len(set(TAILS)) == 2048
    assert len(set(values("email", 2000))) == 2000 and len(set(values("person", 2000))) > 1980
    assert len(set(values("ip", 2000))) <= 768
