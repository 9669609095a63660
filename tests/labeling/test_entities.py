import pickle

import pytest

from axolotl_slung.labeling import EntitiesLabeler, LabelerError, Span
from axolotl_slung.storage import FileError

KEY = "slung.labelers[0]"


def found(text, names, **options):
    """What the labeler finds, as the pieces of the text."""
    (spans,) = EntitiesLabeler(KEY, names=names, **options).label([text], [{}])
    assert all(span.score == 1.0 for span in spans)
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "names", "pieces"),
    [
        ("I met Anna Berg today.", ["Anna Berg"], ["Anna Berg"]),
        ("Anna Berg", ["Anna Berg"], ["Anna Berg"]),
        ("Joanna Bergman, Anna Bergs, xAnna Berg", ["Anna Berg"], []),
        ("Anna Berg's hat, Anna Berg’s hat", ["Anna Berg"], ["Anna Berg", "Anna Berg"]),
        ("(Anna Berg) “Anna Berg” Anna Berg-Hansen", ["Anna Berg"], ["Anna Berg"] * 3),
        (
            "Anna\nBerg; Anna\r\n  Berg; Anna\u00a0Berg",
            ["Anna Berg"],
            ["Anna\nBerg", "Anna\r\n  Berg", "Anna\u00a0Berg"],
        ),
        ("Rene\u0301 and René, not Rene", ["René"], ["Rene\u0301", "René"]),
        ("René", ["Rene"], []),
        ("Rene\u0301", ["Rene"], []),
        ("Ａｎｎａ met Sofﬁa", ["Anna", "Soffia"], ["Ａｎｎａ", "Sofﬁa"]),
        ("O’Brien, O'Brien, O\u02bcBrien", ["O'Brien"], ["O’Brien", "O'Brien", "O\u02bcBrien"]),
        ("Jean\u2011Luc, Jean\u2013Luc, Jean-Luc", ["Jean-Luc"], ["Jean\u2011Luc", "Jean\u2013Luc", "Jean-Luc"]),
        ("王小明说他不知道", ["王小明"], ["王小明"]),
        ("田中さんと田中", ["田中"], ["田中", "田中"]),
        ("김철수 씨, 김철수는", ["김철수"], ["김철수"]),
        ("Sammy Davis Jr. sang", ["Sammy Davis Jr."], ["Sammy Davis Jr."]),
        ("😀Anna😀", ["Anna"], ["Anna"]),
        ("a\ud800 Anna", ["Anna"], ["Anna"]),
        ("\0Anna\0", ["Anna"], ["Anna"]),
        ("محـــمد ومحمد محمدــ،", ["محمد"], ["محـــمد", "محمدــ"]),
        ("مُحَمَّد", ["محمد"], []),
        ("Will will", ["Will"], ["Will"]),
        ("", ["Anna"], []),
        ("---", ["---", "Anna"], []),
    ],
)
def test_names_in_literal_texts(text, names, pieces):
    assert found(text, names) == pieces


def test_a_file_that_is_no_list_of_names(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("Ada\n" + "secret" * 100_000)
    says = r"^k\.path: .*rows\.jsonl: line 2 has more than 1,000 characters; write one name per line$"
    with pytest.raises(LabelerError, match=says):
        EntitiesLabeler("k", path=str(path)).check()


def test_vowel_signs_are_diacritics():
    labeler = EntitiesLabeler("k", names=["محمد", "أحمد", "שרה", "عليّ"], diacritics=False)
    text = "مُحَمَّد، احمد؛ שָׂרָה علي"
    (spans,) = labeler.label([text], [{}])
    assert [text[span.start : span.end] for span in spans] == ["مُحَمَّد", "احمد", "שָׂרָה", "علي"]


def test_offsets_are_the_original_texts():
    labeler = EntitiesLabeler(KEY, names=["Anna Berg"])
    assert labeler.label(["ﬁﬁ  😀 Ａｎｎａ \n Berg!", "Anna Berg"], [{}, {}]) == [[Span(6, 17, 1.0)], [Span(0, 9, 1.0)]]


def test_the_longest_of_nested_names_and_all_that_merely_overlap():
    names = ["Anna", "Anna Berg", "Anna Bergman", "Berg Hansen"]
    assert found("Anna Berg came", names) == ["Anna Berg"]
    assert found("Anna Bergmann came", names) == ["Anna"]
    assert found("Anna Berg Hansen came", names) == ["Anna Berg", "Berg Hansen"]


def test_case():
    assert found("WILL Straße", ["will", "STRASSE"], case_sensitive=False) == ["WILL", "Straße"]
    assert found("WILL Straße", ["will", "STRASSE"]) == ["WILL"]
    assert found("Will strasse", ["will", "STRASSE"]) == []


def test_parts():
    names = ["J. R. Ewing", "Ludwig van Beethoven", "Anne-Marie al-Sayed", 'Bo "The Duke" Li', "Dr. Åsa O’Neil Jr."]
    text = "J Ewing van Beethoven Anne Marie al Sayed The Duke Bo Li Dr Jr Åsa O'Neil Neil"
    parts = ["Ewing", "Beethoven", "Anne", "Marie", "Sayed", "Duke", "Bo", "Li", "Åsa", "O'Neil"]
    assert found(text, names, parts=True) == parts
    assert found(text, names) == []


def test_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff# people\r\n\r\nAnna Berg\r\n  # more\n  Bo Li  \n".encode())
    labeler = EntitiesLabeler(KEY, path=str(path))
    labeler.check()
    assert labeler.files() == [path]
    assert labeler.label(["Anna Berg, Bo Li, people"], [{}]) == [[Span(0, 9, 1.0), Span(11, 16, 1.0)]]
    pickled = pickle.dumps(labeler)
    assert b"Anna" not in pickled
    assert pickle.loads(pickled).label(["Bo Li"], [{}]) == [[Span(0, 5, 1.0)]]


def test_errors_name_the_key_and_no_names(tmp_path):
    path = tmp_path / "names.txt"
    with pytest.raises(FileError, match=r"slung\.labelers\[0\]\.path: cannot read .*names\.txt"):
        EntitiesLabeler(KEY, path=str(path)).check()
    path.write_text("# nothing\n\n---\n")
    with pytest.raises(LabelerError, match=r"slung\.labelers\[0\]\.path: .* has no names"):
        EntitiesLabeler(KEY, path=str(path)).check()
    path.write_bytes("Anna\nRené".encode("latin-1"))
    with pytest.raises(FileError, match="not UTF-8") as caught:
        EntitiesLabeler(KEY, path=str(path)).check()
    assert "Anna" not in str(caught.value)
    with pytest.raises(LabelerError, match=r"slung\.labelers\[0\]\.names: the list has no names"):
        EntitiesLabeler(KEY, names=[]).check()
    for neither_or_both in ({}, {"path": str(path), "names": ["Anna"]}):
        with pytest.raises(LabelerError, match="not both"):
            EntitiesLabeler(KEY, **neither_or_both)


def test_inline_names_are_warned_of_without_being_said(caplog):
    EntitiesLabeler(KEY, names=["Anna Berg"]).check()
    assert "slung.labelers[0].names" in caplog.text
    assert "Anna" not in caplog.text


def test_fifty_thousand_names():
    syllables = ["An", "Ber", "Ka", "Lo", "Mi", "Ra", "Ston", "Wil", "Der", "Son", "Ley", "Ma", "Gre", "To", "Ni"]
    names = [
        f"{a}{b.lower()} {c}{d.lower()}" for a in syllables for b in syllables for c in syllables for d in syllables
    ]
    labeler = EntitiesLabeler(KEY, names=names[:50_000], parts=True)
    text = "the quick brown fox met Anber Kalo in the park; nobody else was there.\n\n" * 10_000
    assert len(labeler.label([text], [{}])[0]) == 10_000
