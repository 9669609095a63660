"""Which spellings count as the same name, after docs/labelers.md; compared with a slow reference."""

import json

import pytest
from helpers.reference_names import find
from helpers.tiny import write_jsonl
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from axolotl_slung.labeling import EntitiesLabeler

NAMES = [
    "Maria Hernández",
    "Ana",
    "Jean-Luc O'Neil",
    "Ludwig van Beethoven",
    "Straße",
    "İbrahim",
    "Γιώργος",
    "王小明",
    "Acme™ Øst",
]
PIECES = [
    "Maria", "MARIA", "maria", "Marian", "Hernández", "HERNÁNDEZ", "Hernandez", "HERNANDEZ", "Hernande\u0301z", "Herna\u0301ndez",
    "Ana", "ANA", "Anna", "Jean-Luc", "JEAN\u2011LUC", "O’Neil", "O'NEIL", "Ludwig", "LUDWIG", "van", "VAN", "Beethoven", "BEETHOVEN",
    "Straße", "STRASSE", "STRAßE", "STRAẞE", "strasse", "İbrahim", "Ibrahim", "IBRAHIM", "İBRAHİM", "ibrahim", "I\u0307brahim",
    "Γιώργος", "ΓΙΏΡΓΟΣ", "ΓΙΩΡΓΟΣ", "γιωργοσ", "王小明", "说", "Acme", "ACME™", "Øst", "Ost", "ØST", "Ａｎａ", "Ⓐna",
]  # fmt: skip
BETWEEN = [
    " ",
    "  ",
    "\n",
    "\u00a0",
    "_",
    "__",
    "*",
    "**",
    "-",
    ".",
    ",",
    "’s",
    "'",
    "\u200b",
    "\u00ad",
    "\ufe0f",
    "\u2060",
    "²",
    "™",
    "®",
]
BETWEEN += ["†", "①", "ᵃ", "₂", "ª", "2", "a", "é", "\u0301", "ﬁ", "😀", "\ud800", "\\", "(", "♥"]
texts = st.lists(st.sampled_from(PIECES) | st.sampled_from(BETWEEN), max_size=9).map("".join)


def found(text, names=NAMES, **options):
    (spans,) = EntitiesLabeler("key", names=names, **options).annotate([text], [{}])
    return [(span.start, span.end) for span in spans]


def outermost(spans):
    kept, reach = [], 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if end > reach:
            kept.append((start, end))
            reach = end
    return kept


@settings(max_examples=500)
@given(texts, st.booleans(), st.booleans())
@example("Maria *\n* Hernández", True, True)
@example("* Ana\n* Maria **Hernández**", True, True)
@example("\u200bAna\u200ba", True, True)
@example("*\u0301Ana", False, True)
@example("\xad\ufe0f\u0301Ana", True, True)
def test_as_the_reference_finds_them(text, case_sensitive, diacritics):
    # the reference does not join lines; test_line_ends_order_and_invisible_characters does
    assume("\xad\n" not in text)
    options = {"case_sensitive": case_sensitive, "diacritics": diacritics}
    (spans,) = EntitiesLabeler("key", names=NAMES, **options).label([text], [{}])
    assert [(span.start, span.end) for span in spans] == outermost(find(text, NAMES, **options))


def pieces(text, names=("Maria Hernandez",), **options):
    return [text[start:end] for start, end in found(text, list(names), **options)]


MARIA = "Maria Hernandez"


@pytest.mark.parametrize(
    "text",
    [
        "_{}_", "__{}__", "*{}*", "***{}***", "__*{}*__", "~~{}~~", "`{}`", "see {}_2", "id_{}", "2*{}*3",
        "{}™", "{}®", "{}©", "{}℠", "{}²", "{}¹⁰", "{}₂", "{}ᵃ", "{}ª", "{}①", "{}❶", "{}†", "{}*", "{}⁽¹⁾", "{}½",
        "\u200b{}\u200b", "\ufeff{}", "\u200e{}\u200f", "{}\ufe0f", "\u2068{}\u2069", "\u00ad{}\u00ad", "\U000e0061{}\U000e007f",
        "Hi,\\n{} says", "\\t{}\\n", "C:\\new\\{}", "C:\\{}", "\\\\n{}", "\\\\\\\\n{}", "\\u003cb\\u003e{}\\u003c/b\\u003e",
        "&lt;b&gt;{}&lt;/b&gt;", "&amp;lt;b&amp;gt;{}", "\\u0026nbsp;{}", "\\x1b[31m{}\\x1b[0m", "\x1b[31m{}\x1b[0m", "q=%20{}",
    ],
)  # fmt: skip
def test_neighbors_that_are_no_part_of_a_word(text):
    assert pieces(text.format(MARIA)) == [MARIA]


@pytest.mark.parametrize(
    "text",
    [
        "Maria_Hernandez", "Maria__Hernandez", "Maria_ _Hernandez", "Maria** Hernandez", "Maria* *Hernandez", "M**aria Hernandez",
        "Maria \u200b Hernandez", "Ma\u00adria Hernan\u00addez", "Maria\u2060 Hernandez", "Ma\u034fria Hernandez", "Maria\u3164 Hernandez",
        "Maria² Hernandez", "Maria™ Hernandez", "Maria†‡ Hernandez", "Ⓜaria Ｈernandez",
        "MARIA HERNANDEZ", "MARIA_HERNANDEZ", "Maria HERNANDEZ", "MARIA Hernandez", "MARİA HERNANDEZ",
        "Maria\\u0020Hernandez", "Maria\\nHernandez", "Maria\\\\nHernandez", "Maria\\x20Hernandez", "Maria\\_Hernandez", "Maria\\ Hernandez",
        "\\u004daria Hernandez", "Ma\\u00adria Hernandez", "Maria&nbsp;Hernandez", "Maria&#32;Hernandez", "Maria&#x20;Hernandez",
        "Mar&#105;a Hernandez", "Maria&amp;nbsp;Hernandez", "Maria\\u0026nbsp;Hernandez", "Maria%20Hernandez", "Ma\x1b[1mria Hernandez",
    ],
)  # fmt: skip
def test_spellings_of_one_name(text):
    assert pieces(f"“{text}”") == [text]


@pytest.mark.parametrize(
    "text",
    [
        "Hernandez, Maria", "Hernandez,\nMaria", "HERNANDEZ, Maria", "HERNANDEZ, MARIA", "Hernandez,&nbsp;Maria", "Hernandez,\\nMaria",
        "Maria\n> Hernandez", "Maria\r\n> > Hernandez", "Maria\n>> Hernandez", "Maria\n# Hernandez", "Maria\n    // Hernandez", "Maria\n| Hernandez",
        "Maria\n&gt; Hernandez", "Maria\\n> Hernandez", "Maria\n;; Hernandez", "Maria \n>\n> Hernandez",
        "Hernan-\ndez, Maria", "Maria Hernan-\ndez", "Maria Hernan-\r\n  dez", "Ma-\n> ria Hernandez", "Maria Hernan\u00ad\ndez", "MARIA HERNAN-\nDEZ",
        "Maria Hernan\u2010\ndez", "Ma-\nria Hernan-\ndez", "Maria\n\u200bHernandez", "Maria\u200bHernandez", "Maria\ufeffHernandez",
        "Maria\u00a0\u200bHernandez", "Maria\u200b\u00a0Hernandez", "Maria\u2028Hernandez", "Maria\u2800Hernandez", "Maria\u0085Hernandez",
        "M\u0332a\u0332r\u0332ia Hernandez", "Maria H\u0336ernandez", "Ma\x00ria Hernandez", "Maria\x00Hernandez",
    ],
)  # fmt: skip
def test_line_ends_order_and_invisible_characters(text):
    assert pieces(f"“{text}”") == [text]


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("J. R. R. Tolkien", ["J.R.R. Tolkien", "J R R Tolkien", "JRR Tolkien", "Tolkien, J.R.R.", "J. R. R. TOLKIEN", "J.\nR.\u00a0R. Tolkien"]),
        ("J.R.R. Tolkien", ["J. R. R. Tolkien", "JRR Tolkien", "TOLKIEN, J. R. R."]),
        ("John F. Kennedy", ["John F Kennedy", "Kennedy, John F.", "KENNEDY, John F"]),
        ("John F Kennedy", ["John F. Kennedy"]),
        ("Sammy Davis Jr.", ["Sammy Davis, Jr.", "Sammy Davis Jr", "Sammy Davis, Jr", "Davis, Sammy, Jr.", "SAMMY DAVIS, JR.", "Davis, Sammy"]),
        ("Sammy Davis, Jr.", ["Sammy Davis Jr.", "Sammy Davis Jr"]),
        ("Henry Ford III", ["Henry Ford, III", "Ford, Henry III"]),
        ("Hernández, María José", ["María José Hernández", "MARÍA JOSÉ HERNÁNDEZ", "Hernández,\nMaría José"]),
        ("Ludwig van Beethoven", ["Beethoven, Ludwig van", "van Beethoven, Ludwig", "BEETHOVEN, Ludwig van"]),
        ("Jean-Luc", ["Jean—Luc", "Jean―Luc", "Jean-\nLuc", "Jean-\n> Luc", "JEAN-LUC", "Jean﹣Luc"]),
        ("Min-jung Kim", ["Min-\njung Kim", "Kim, Min-jung"]),
        ("ジョン・スミス", ["ジョン･スミス", "ジョン スミス", "ジョン\nスミス", "ジョンスミス", "ジョン·スミス", "ジョン•スミス", "ジョン゠スミス"]),
        ("ジョン スミス", ["ジョン・スミス", "ジョンスミス"]),
        ("田中 太郎", ["田中太郎", "田中\u3000太郎", "田中\n太郎"]),
        ("田中太郎", ["田中 太郎"]),
        ("约翰·史密斯", ["约翰・史密斯", "约翰史密斯", "约翰•史密斯"]),
        ("김 철수", ["김철수", "김\n철수"]),
        ("Gal·la Pi", ["GAL·LA PI", "Gal•la Pi"]),
        ("Иван Петров", ["Петров, Иван", "ПЕТРОВ, Иван", "Иван Пет-\nров"]),
    ],
)  # fmt: skip
def test_forms_of_one_name(name, forms):
    for form in [name, *forms]:
        assert pieces(f"({form})", [name]) == [form], form


def test_parts_of_names_without_spaces():
    names = ["约翰·史密斯", "田中 太郎", "ジャン＝リュック"]
    assert pieces("史密斯; 太郎さん; リュック", names, parts=True) == ["史密斯", "太郎", "リュック"]
    assert pieces("la Gal", ["Gal·la"], parts=True) == []


@given(st.lists(st.sampled_from(["Shakes", "peare", "-\n", " ", "-", "; ", "Jean", "luc", "x"]), max_size=12))
def test_a_hyphen_at_a_line_end_is_read_both_ways(texts):
    """Whatever stands in the text with all such hyphens kept, or with all of them removed, is found.

    A hyphen with another one before it or on the next line divides no word.
    """
    names, text = ["Shakespeare", "Jean-luc", "Jeanluc"], "".join(texts)
    assume("-\n-" not in text and "--\n" not in text)
    here = pieces(text, names)
    for kept in ("-", ""):
        read = [one.replace("-\n", kept) for one in here]
        for name in pieces(text.replace("-\n", kept), names):
            assert name in read


@pytest.mark.parametrize(
    "text",
    [
        "Marian Hernandez", "Maria Hernandezs", "Maria Hernandez2", "xMaria Hernandez", "2Maria Hernandez", "maria hernandez", "mARIA Hernandez",
        "Maria Hernández", "Maria\u00ad Hernan\u00addezs", "MariaHernandez", "Maria-Hernandez", "Maria.Hernandez", "* Maria\n* Hernandez",
        "Maria \\* Hernandez", "Maria Hernandez\u0301", "Maria\\nHernandezs", "Maria &amp; Hernandez", "\\x41Maria Hernandez",
    ],
)  # fmt: skip
def test_other_words(text):
    assert pieces(text) == []


def test_snake_case_by_the_option():
    assert pieces("maria_hernandez = Maria_hernandez", case_sensitive=False) == ["maria_hernandez", "Maria_hernandez"]
    assert pieces("maria_hernandez") == []


@pytest.mark.parametrize(
    ("name", "capitals"),
    [
        (
            "Ludwig van Beethoven",
            ["LUDWIG VAN BEETHOVEN", "LUDWIG van BEETHOVEN", "Ludwig van BEETHOVEN", "Ludwig VAN BEETHOVEN"],
        ),
        ("Ronald McDonald", ["RONALD MCDONALD", "RONALD McDONALD"]),
        ("Groß", ["GROSS", "GROß", "GROẞ"]),
        ("İbrahim Çelik", ["İBRAHİM ÇELİK", "IBRAHIM ÇELIK", "I\u0307BRAHI\u0307M ÇELI\u0307K", "Ibrahim Çelik"]),
        ("Işık", ["IŞIK"]),
        ("Ǆemal ǆ", ["ǄEMAL Ǆ"]),
        ("ǅemal", ["ǄEMAL"]),
        ("Γιώργος", ["ΓΙΏΡΓΟΣ", "ΓΙΩΡΓΟΣ"]),
        ("Sofﬁa", ["SOFFIA"]),
        ("Ольга Чайковская", ["ОЛЬГА ЧАЙКОВСКАЯ", "Ольга ЧАЙКОВСКАЯ"]),
        ("Bo", ["BO"]),
        ("a b c d e f g h Iu", ["A B C D E F G H IU"]),
    ],
)
def test_capitals(name, capitals):
    for form in capitals:
        assert pieces(f"({form})", [name]) == [form]
    assert pieces("(GROSSE, XBO, İBRAHİMLER)", [name]) == []


def test_other_cases_by_the_option():
    text = "γιωργος ΓΙΏΡΓΟΣ γιώργοσ, straße STRASSE, ibrahim İBRAHİM i\u0307brahim, ışık IŞIK, ǆemal ǄEMAL"
    names = ["Γιώργος", "Straße", "İbrahim", "Işık", "ǅemal"]
    assert pieces(text, names, case_sensitive=False) == text.replace(",", "").split()[1:]


def test_diacritics_by_the_option():
    text = "García GARCÍA Garci\u0301a Garcia GARCIA Lukasz Łukasz Soren Søren"
    assert pieces(text, ["Garcia", "Łukasz", "Sören"]) == ["Garcia", "GARCIA", "Łukasz"]
    assert pieces(text, ["Garcia", "Łukasz", "Sören"], diacritics=False) == text.split()
    assert pieces("が か", ["か"], diacritics=False) == ["か"]


def test_signs_in_the_list():
    assert pieces("Acme Acme™ ACME® Acme², Acme ™", ["Acme™"]) == ["Acme", "Acme", "ACME", "Acme", "Acme"]
    assert pieces("Acme Corp; Acme™ Corp", ["Acme® Corp ©"]) == ["Acme Corp", "Acme™ Corp"]
    assert pieces("Mª José; Ma José", ["Mª José"]) == ["Mª José", "Ma José"]
    assert pieces("H2O H₂O", ["H₂O"]) == ["H2O", "H₂O"]
    assert pieces("Anna, An\u00adna", ["A\u200bnna_\ufeff"]) == ["Anna", "An\u00adna"]


def test_parts_between_dots():
    assert pieces("スミスさん, JEAN", ["ジョン・スミス", "Jean-Luc"], parts=True) == ["スミス", "JEAN"]


@given(texts, st.booleans())
def test_escaped_json_hides_no_name(text, ascii):
    text = text.encode("utf-8", "replace").decode()
    written = [json.dumps(char, ensure_ascii=ascii)[1:-1] for char in text]
    starts = [sum(map(len, written[:i])) for i in range(len(text) + 1)]
    inside = found("".join(written))
    for start, end in found(text):
        assert any(a <= starts[start] and starts[end] <= b for a, b in inside)


def test_both_readings_of_a_text():
    """A token's score is the highest of what overlaps it: nothing that a text says as it stands is lost."""
    names = ["Maria", "Maria Hernandez", "O'Neil"]
    assert found(r"Maria\u0020Hernandez O\u0027Neil", names) == [(0, 5), (0, 20), (21, 32)]
    assert found(r"Maria Hernandez\n", names) == [(0, 15)]


@pytest.mark.parametrize("tools", [False, True])
def test_through_axolotl(slung, tmp_path, tools):
    """In completions, and in a tool call that a template prints with `tojson`, no token of the name is trained."""
    from helpers.axolotl_run import base_config, prepare_in_process

    said = "Hi,\nMaria Hernandez and _Maria Hernandez_² and MARIA HERNANDEZ"
    if tools:
        call = {"type": "function", "function": {"name": "send", "arguments": {"body": said, "to": "all"}}}
        rows = [
            {
                "messages": [
                    {"role": "user", "content": "write"},
                    {"role": "assistant", "content": "", "tool_calls": [call]},
                ]
            }
        ]
        dataset = {"type": "chat_template", "chat_template": "qwen3"}
    else:
        rows, dataset = [{"text": json.dumps({"body": said, "to": "all"})}], {"type": "completion"}
    path = write_jsonl(tmp_path / "rows.jsonl", rows * 3)
    config = base_config(
        tmp_path, sequence_len=512, datasets=[{"path": str(path), "ds_type": "json", **dataset}], **slung()
    )
    prepared = prepare_in_process(config)
    row = prepared.train_dataset[0]
    trained = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label == token]
    text = prepared.tokenizer.decode(trained)
    assert "aria" not in text and "ARIA" not in text and "ernandez" not in text
    assert " and" in text and "all" in text
