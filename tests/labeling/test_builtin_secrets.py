"""The package's own patterns for secrets, on made-up secrets and on what only looks like one."""

import random
import string

import pytest

from axolotl_slung.labeling import PatternsLabeler

HEX, ALNUM = "0123456789abcdef", string.ascii_letters + string.digits
BASE64, URL_SAFE, BASE32 = ALNUM + "+/", ALNUM + "-_", string.ascii_uppercase + "234567"
UPPER = string.ascii_uppercase + string.digits


@pytest.fixture(scope="module")
def secrets():
    labeler = PatternsLabeler("slung.labelers[0]", builtin=["url_credentials", "jwt", "private_key", "api_keys"])
    labeler.check()
    return labeler


def some(draw, letters, size):
    """Random letters whose first and last are alphanumeric, so that a word ends there."""
    return draw.choice(ALNUM if set(letters) > set(ALNUM) else letters) + "".join(
        draw.choice(letters) for _ in range(size - 2)
    ) + draw.choice(ALNUM if set(letters) > set(ALNUM) else letters)  # fmt: skip


def key_block(draw, kind, *headers, end=True):
    lines = [some(draw, BASE64, 64) for _ in range(4)] + [some(draw, BASE64, 21) + "=="]
    head = [*headers, ""] if headers else []
    return "\n".join([f"-----BEGIN {kind}-----", *head, *lines] + [f"-----END {kind}-----"] * end)


def made_up(draw):
    """Pairs of a pattern's name and a secret. They are put together here, so that no scanner takes one for real."""

    def of(letters, size):
        return some(draw, letters, size)

    return [
        ("private_key", key_block(draw, "RSA PRIVATE KEY")),
        ("private_key", key_block(draw, "PRIVATE KEY").replace("\n", "\r\n")),
        ("private_key", key_block(draw, "OPENSSH PRIVATE KEY")),
        ("private_key", key_block(draw, "EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0A1B")),
        ("private_key", key_block(draw, "PGP PRIVATE KEY BLOCK", "Version: GnuPG v2", "Comment: none")),
        ("private_key", key_block(draw, "PRIVATE KEY").replace("\n", "\n    ")),
        ("private_key", key_block(draw, "ENCRYPTED PRIVATE KEY", end=False)),
        ("json_web_token", ".".join(["eyJ" + of(URL_SAFE, 33), "eyJ" + of(URL_SAFE, 70), of(URL_SAFE, 43)])),
        ("aws_access_key", "AKIA" + of(BASE32, 16)),
        ("aws_access_key", "ASIA" + of(BASE32, 16)),
        ("google_api_key", "AIza" + of(URL_SAFE, 35)),
        ("google_oauth", "GOCSPX" + "-" + of(URL_SAFE, 28)),
        ("google_oauth", "ya29" + "." + of(URL_SAFE, 120)),
        ("azure_storage_key", "AccountKey=" + of(BASE64, 86) + "=="),
        ("digitalocean_token", "dop_v1_" + of(HEX, 64)),
        ("databricks_token", "dapi" + of(HEX, 32)),
        ("openai_key", "sk-" + of(ALNUM, 48)),
        ("openai_key", "sk-" + of(HEX, 32)),
        ("openai_key", "sk-" + "a7" + of(ALNUM, 20)),
        ("openai_key", "sk-" + "proj-" + of(URL_SAFE, 120)),
        ("anthropic_key", "sk-" + "ant-api03-" + of(URL_SAFE, 95)),
        ("openrouter_key", "sk-" + "or-v1-" + of(HEX, 64)),
        ("hugging_face_token", "hf_" + of(string.ascii_letters, 34)),
        *(("github_token", f"gh{kind}_" + of(ALNUM, 36)) for kind in "pousr"),
        ("github_token", "github_" + "pat_" + of(ALNUM, 22) + "_" + of(ALNUM, 59)),
        ("gitlab_token", "glpat" + "-" + of(URL_SAFE, 20)),
        ("npm_token", "npm_" + of(ALNUM, 36)),
        ("pypi_token", "pypi-" + "AgE" + of(URL_SAFE, 150)),
        ("slack_token", "xoxb" + f"-{of(string.digits, 12)}-{of(string.digits, 12)}-{of(ALNUM, 24)}"),
        ("slack_token", "xoxe" + f".xoxp-1-{of(ALNUM, 120)}"),
        ("slack_token", "xapp" + f"-1-A{of(UPPER, 10)}-{of(string.digits, 13)}-{of(HEX, 64)}"),
        ("slack_webhook", "https://hooks.slack.com/" + f"services/T{of(UPPER, 8)}/B{of(UPPER, 8)}/{of(ALNUM, 24)}"),
        ("discord_webhook", "https://discord.com/api/" + f"webhooks/{of(string.digits, 18)}/{of(URL_SAFE, 68)}"),
        ("telegram_bot_token", of(string.digits, 10) + ":" + "AA" + of(URL_SAFE, 33)),
        ("sendgrid_key", "SG" + f".{of(URL_SAFE, 22)}.{of(URL_SAFE, 43)}"),
        ("mailgun_key", "key" + "-" + of(HEX, 32)),
        ("twilio_key", "SK" + of(HEX, 32)),
        ("stripe_key", "sk_" + "live_" + of(ALNUM, 24)),
        ("stripe_key", "rk_" + "test_" + of(ALNUM, 99)),
        ("stripe_key", "whsec" + "_" + of(ALNUM, 32)),
        ("shopify_token", "shpat" + "_" + of(HEX, 32)),
        ("aws_secret_key", "aws_secret_access_key = " + of(BASE64, 40)),
        ("aws_secret_key", 'AWS_SECRET_ACCESS_KEY: "' + of(BASE64, 40)),
        ("password_in_url", "postgres://admin:" + of(ALNUM, 12) + "@"),
    ]


AROUND = [
    "{}",
    "my key is {}, keep it",
    "KEY={}\n",
    "('{}')",
    '{{"key": "{}"}}',
    "see ({}).",
    "é {} 漢字",
    "\u200b{}\t",
]


def test_each_pattern_finds_its_secrets_whole(secrets):
    draw = random.Random(0)
    missed, named = [], set()
    for _ in range(4):
        for name, secret in made_up(draw):
            for around in AROUND:
                text = around.format(secret)
                start = text.index(secret)
                (spans,) = secrets.label([text], [{}])
                # a block's last line break may count
                whole = [span for span in spans if span.start <= start and span.end >= start + len(secret)]
                extra = [span for span in spans if span.start < start or span.end > start + len(secret) + 4]
                if not whole or extra:
                    missed.append((name, around, spans))
                (pattern,) = (pattern for pattern in secrets.patterns if pattern.name == name)
                found = [match for match in pattern.pattern.finditer(text) if match.start() == start]
                named.add(name)
                if not found:
                    missed.append((name, around))
    assert missed == []
    assert named == {pattern.name for pattern in secrets.patterns}


def test_escaped_secrets_are_found(secrets):
    draw = random.Random(1)
    block = key_block(draw, "PRIVATE KEY")
    text = '{"private_key": "' + block.replace("\n", "\\n") + '\\n"}'
    (spans,) = secrets.annotate([text], [{}])
    assert any(text[span.start : span.end].startswith("-----BEGIN") and span.end > len(text) - 6 for span in spans)


LOOKALIKES = [
    "AKIA is a prefix of AWS, as in AKIA1234 or TAKIAMARIA, and BAKIAABCDEFGHIJKLMNOP too",
    "sk-learn, sk-internationalization, class sk-estimator-doc-link-wrapper, sk-toggleable__content-arrow, sk_live_",
    "task-management-system-for-large-organizations, risk-adjusted-return-on-capital-2024, ask-1234567890123456789",
    "ghp_ and gho_ are prefixes; ghp_short; the ghpages_branch_that_has_a_very_long_name_for_no_reason",
    "xoxo, xoxo-hugs-and-kisses, xoxs-and-kisses-for-everybody, xoxb-, hugs xoxoxoxoxoxoxoxo",
    "AIza, an AIzawa, AIzaSy...",
    "eyJ is base64 of an object; eyJhbGciOiJub25lIn0 alone, eyJ.eyJ.x, heyJude.heyJude.heyJude",
    "a file that begins with -----BEGIN RSA PRIVATE KEY----- is a private key, and ends with -----END RSA PRIVATE KEY-----",
    "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 40 + "\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\n" + "MIIB" * 40 + "\n-----END PUBLIC KEY-----",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b, md5 d41d8cd98f00b204e9800998ecf8427e, 550e8400-e29b-41d4-a716-446655440000",
    "hf_transformers_model_with_a_rather_long_name, hf_hub_download, npm_config_registry_of_some_organization",
    "https://example.org:8080/a@b, mailto:ann@example.org, ssh://git@example.org:22/x, http://[::1]:80/@",
    "the key-value store, key-0123, monkey-deadbeef, a key-deadbeefdeadbeef",
    "SG.1, SG. Company, MSG.abc.def, SKODA, SK1234, 12:30:AA, 12345678:AB",
    "aws_secret_access_key = os.environ['AWS_SECRET'], aws_secret_access_key: <your key here>",
    "glpat-, glucose-level-of-a-hundred-and-twenty, glrt-x; npm_lifecycle_event; shpat_; whsec_; dapi; do_v1_",
    "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAUA" * 4,
]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_lookalikes_are_left(secrets, text):
    assert [text[span.start : span.end] for span in secrets.annotate([text], [{}])[0]] == []


def test_all_of_them_are_linear(secrets):
    assert [pattern.name for pattern in secrets.patterns if pattern.linear is None] == []
