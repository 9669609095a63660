"""Labels against the truth, straight from files."""

import gzip

import pytest
from helpers.made_up import authors
from helpers.tiny import tiny_tokenizer, write_jsonl
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from axolotl_slung.config import SlungConfig
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.sources import SourceError
from axolotl_slung.label_stats.gold import qa_files
from axolotl_slung.label_stats.qa_names import name_spans
from axolotl_slung.labeling import LabelerError


@pytest.mark.parametrize(
    ("text", "names", "pieces"),
    [
        ("Anna Berg met Anna and Bergs.", ["Anna Berg"], ["Anna Berg", "Anna", "Berg", "Anna"]),
        ("Ji-Yeon's, Ji and Park-Ji", ["Ji-Yeon Park"], ["Ji-Yeon", "Ji", "Park"]),
        ("Sara van Dyke, van Gogh", ["Sara van Dyke"], ["Sara", "Sara van Dyke", "Dyke"]),
        ("J. R. Ewing (R)", ["J. R. Ewing"], ["J. R. Ewing", "Ewing"]),
        ("C++ [x] (a|b)", ["C++", "(a|b)"], ["C++", "(a|b)"]),
        ("anything", ["", " ", "-"], []),
    ],
)
def test_where_names_stand(text, names, pieces):
    found = name_spans(text, names)
    assert sorted(text[s.start : s.end] for s in found) == sorted(pieces)
    whole = {text[s.start : s.end] for s in name_spans(text, names, parts=False)}
    assert whole == {name for name in names if name.strip() and name in text and name != "-"}


@pytest.mark.parametrize(
    ("text", "names", "pieces"),
    [
        ("MARIA HERNANDEZ, maria_hernandez", ["María Hernández"], ["MARIA HERNANDEZ", "maria_hernandez"]),
        ("_María Hernandez_², **Maria** Hernández™", ["Maria Hernandez"], ["María Hernandez", "Maria** Hernández"]),
        ("Ma\u00adria\u200b Hernandez", ["Maria Hernandez"], ["Ma\u00adria\u200b Hernandez"]),
        (r"Hi,\nMaria\u0020Hern\u00e1ndez", ["Maria Hernandez"], [r"Maria\u0020Hern\u00e1ndez"]),
        (r"Maria\\nHernandez", ["Maria Hernandez"], [r"Maria\\nHernandez"]),
        ("Maria&nbsp;Hern&aacute;ndez", ["Maria Hernandez"], ["Maria&nbsp;Hern&aacute;ndez"]),
        (r"O\u0027Neil \ud83d\ude00O&#39;Neil", ["O’Neil"], [r"O\u0027Neil", "O&#39;Neil"]),
        ("Will WILL will Wíll", ["Will"], ["Will", "WILL", "Wíll"]),
        ("Marian Hernandez; Maria Hernandez2", ["Maria Hernandez"], []),
        ("王小明说", ["王小明"], ["王小明"]),
        ("STRASSE Straße", ["Straße"], ["STRASSE", "Straße"]),
        ("Mariа Hernandez, Μaria Hernandez", ["Maria Hernandez"], ["Mariа Hernandez", "Μaria Hernandez"]),
        ("Maria <b>Hernandez</b>", ["Maria Hernandez"], ["Maria <b>Hernandez"]),
        (
            "maria-hernandez, maria.hernandez@x.org, MariaHernandez",
            ["Maria Hernandez"],
            ["maria-hernandez", "maria.hernandez", "MariaHernandez"],
        ),
        (
            "Maria\n> Hernandez, Hernan-\ndez Maria, HERNANDEZ, Maria",
            ["Maria Hernandez"],
            ["Maria\n> Hernandez", "Hernan-\ndez Maria", "HERNANDEZ, Maria"],
        ),
        (
            "J. R. R. Tolkien; J.R.R. Tolkien; JRR Tolkien; Tolkien, J.R. R.",
            ["J.R.R. Tolkien"],
            ["J. R. R. Tolkien", "J.R.R. Tolkien", "JRR Tolkien", "Tolkien, J.R. R."],
        ),
        (
            "Sammy Davis, Jr. sang; Davis Jr, Davis, Sammy, Jr",
            ["Sammy Davis Jr."],
            ["Sammy Davis, Jr.", "Davis, Sammy, Jr"],
        ),
        ("Mueller MULLER Muller Müllers", ["Müller"], ["Mueller", "MULLER", "Muller"]),
        ("Lukasz Soren", ["Łukasz", "Søren"], ["Lukasz", "Soren"]),
        ("田中 太郎 田中\n太郎と田中太郎", ["田中太郎"], ["田中 太郎", "田中\n太郎", "田中太郎"]),
        ("ジョン スミス、ジョンスミス", ["ジョン・スミス"], ["ジョン スミス", "ジョンスミス"]),
        ("An\x00na A̲nna Anna① Jean—Luc", ["Anna", "Jean-Luc"], ["An\x00na", "A̲nna", "Anna", "Jean—Luc"]),
    ],
)
def test_spellings_that_a_reader_takes_for_the_name(text, names, pieces):
    found = name_spans(text, names, parts=False)
    assert [text[s.start : s.end] for s in found] == pieces


@given(
    st.text(st.sampled_from("\\\\&#;xudD8cnAa _*²\u00ad\u0301") | st.characters()), st.text(min_size=1), st.booleans()
)
def test_any_text_and_any_name(text, name, parts):
    for start, end, score, *_ in name_spans(f"{text} {name}", [name], parts):
        assert 0 <= start < end <= len(text) + 1 + len(name) and score == 1


def test_the_truth_is_not_the_labelers(tmp_path):
    """Names that the labeler's options leave out count as missed."""
    (tmp_path / "names.txt").write_text("María Hernández\n")
    path = write_jsonl(
        tmp_path / "rows.jsonl",
        [{"text": "María Hernández; Maria Hernandez; maría hernández", "who": "María Hernández"}],
    )
    recalls = []
    for options in ({}, {"diacritics": False}, {"case_sensitive": False, "diacritics": False}):
        labeler = {"type": "entities", "path": str(tmp_path / "names.txt"), **options}
        report = qa_files(
            sources(path), SlungConfig.model_validate({"labelers": [labeler]}), names_field="who", parts=False
        )
        recalls.append(report.combined.characters.points[0].recall)
    assert recalls == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


def test_a_row_without_names(tmp_path, block):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": "Anna", "who": None}])
    assert qa_files(sources(path), block, names_field="who").gold_spans == 0
    path = write_jsonl(tmp_path / "some.jsonl", [{"text": "Anna", "who": None}, {"text": "Bo", "who": [None, "Bo"]}])
    assert qa_files(sources(path), block, names_field="who").gold_spans == 1


# files

ROWS = [
    {"text": "you stupid fool", "gold": [[4, 10]], "who": "Anna Berg"},
    {"text": "Anna said: fine day 🙂 stupid", "gold": "[[22, 28, 1]]", "who": ["Anna Berg", "Bo Li"]},
    {"text": "", "gold": None, "who": []},
    {"text": "fool's gold", "gold": [{"start": 0, "end": 4, "score": None}], "who": "Bo"},
]


def test_gold_with_scores_is_refused(tmp_path, block):
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "stupid", "gold": [[0, 6, 0.7]]}])
    with pytest.raises(SourceError, match="line 1: 'gold': gold spans must not have scores; give .start, end."):
        qa_files(sources(tmp_path / "rows.jsonl"), block, gold_field="gold")


@pytest.fixture
def block(tmp_path):
    (tmp_path / "patterns.yml").write_text("insult: {pattern: 'stupid|gold', score: 0.8}\n")
    return SlungConfig.model_validate(
        {"labelers": [{"type": "patterns", "path": str(tmp_path / "patterns.yml")}], "overlap": "all"}
    )


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path_factory.mktemp("tokenizers"), "bytelevel"))


def sources(path):
    return find_sources([str(path)])


def test_files_with_gold_spans(tmp_path, block, tokenizer):
    path = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    report = qa_files(sources(path), block, gold_field="gold", tokenizer=tokenizer)
    assert (report.documents, report.gold_documents, report.gold_spans) == (4, 3, 3)
    point = report.combined.characters.points[0]
    # gold: stupid, stupid, fool; predicted: stupid, stupid, gold
    assert (point.found, point.predicted, report.combined.characters.gold) == (12, 16, 16)
    assert [row["word"] for row in report.missed] == ["fool's"] and [row["word"] for row in report.false] == ["gold"]
    texts = [row["text"] for row in ROWS]
    gold = [[(4, 10)], [(22, 28)], [], [(0, 4)]]
    expected = 0
    for text, spans in zip(texts, gold):
        for start, end in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]:
            expected += any(start < e and s < end for s, e in spans)
    assert report.combined.tokens.gold == expected
    assert report.overlap == "all"
    assert qa_files(sources(path), block, gold_field="gold", limit=2).documents == 2


def test_a_packed_file_reads_the_same(tmp_path, block):
    plain = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes()))
    reports = [qa_files(sources(path), block, gold_field="gold").to_json() for path in (plain, packed)]
    assert reports[0] == reports[1]


def test_files_with_names(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("Anna Berg\n")
    block = SlungConfig.model_validate({"labelers": [{"type": "entities", "path": str(names), "parts": True}]})
    rows = [
        {"question": "Who is Anna Berg?", "answer": "Anna is Bo's sister.", "author": ["Anna Berg", "Bo Li"]},
        {"question": "Who is Cy?", "answer": "Berg did not say.", "author": "Cy"},
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    report = qa_files(sources(path), block, text_fields=["question", "answer"], names_field="author")
    point = report.combined.characters.points[0]
    assert report.documents == 4
    # gold: Anna Berg, Anna, Bo, Cy; predicted: Anna Berg, Anna, Berg
    assert (report.combined.characters.gold, point.predicted, point.found) == (9 + 4 + 2 + 2, 9 + 4 + 4, 9 + 4)
    whole = qa_files(sources(path), block, text_fields=["question", "answer"], names_field="author", parts=False)
    assert whole.combined.characters.gold == 9 + 2


@pytest.mark.parametrize(
    ("lines", "options", "error", "message"),
    [
        ([b'{"text": "SECRET"}'], {"gold_field": "gold"}, SourceError, r"line 1: no column 'gold'; choose from text"),
        ([b'{"body": "SECRET"}'], {"gold_field": "gold"}, SourceError, r"line 1: no text in a column 'text'"),
        ([b'{"text": ["SECRET"]}'], {"gold_field": "gold"}, SourceError, "no text in a column 'text'"),
        ([b'{"text": "a", "who": 3}'], {"names_field": "who"}, SourceError, "line 1: 'who': expected a name or a list of names"),
        ([b'{"text": "a", "gold": []}', b'{"SECRET'], {"gold_field": "gold"}, SourceError, r"line 2: not valid JSON \(JSON"),
        ([b'["SECRET"]'], {"gold_field": "gold"}, SourceError, "line 1: not a JSON object"),
        ([b'{"text": "SECRET\xff"}'], {"gold_field": "gold"}, SourceError, r"line 1: not valid JSON \(Unicode"),
        ([b"[" * 100_000], {"gold_field": "gold"}, SourceError, r"line 1: not valid JSON \("),
        ([b'{"text": "SECRET", "gold": [[0, 9]]}'], {"gold_field": "gold"}, LabelerError, r"line 1, 'gold', span 0"),
        ([b'{"text": "a"}'], {}, ValueError, "gold_field, names_field, gold_label: expected one of them; give a column of gold spans"),
        ([b'{"text": "a"}'], {"gold_field": "a", "names_field": "b"}, ValueError, "gold_label: expected one of them"),
        ([b'{"text": "a"}'], {"gold_label": "b", "names_field": "b"}, ValueError, "gold_label: expected one of them"),
        ([b"{}"], {"gold_field": "a", "text_fields": ("b", "c")}, ValueError, "expected one column for the spans in 'a', got 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_without_quoting_it(tmp_path, block, lines, options, error, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(error, match=message) as caught:
        qa_files(sources(path), block, **options)
    chain = [caught.value]
    while chain[-1] is not None and len(chain) < 9:
        chain.append(chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__))
    held = [str(one) + str(getattr(one, "doc", "")) + str(getattr(one, "object", "")) for one in chain]
    assert "SECRET" not in "".join(held)


def test_two_thousand_questions_on_a_hundred_authors(tmp_path, tokenizer):
    rows = authors(100)
    path = write_jsonl(tmp_path / "authors.jsonl", rows)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(sorted({row["author"] for row in rows})), encoding="utf-8")
    block = SlungConfig.model_validate({"labelers": [{"type": "entities", "path": str(names), "parts": True}]})
    report = qa_files(
        sources(path), block, text_fields=["question", "answer"], names_field="author", tokenizer=tokenizer
    )
    point = report.combined.tokens.points[0]
    assert point.recall > 0.999 and point.precision > 0.99


# chats and nested texts


def test_each_message_of_a_chat_is_a_document(tmp_path, block, tokenizer):
    chats = [
        {
            "id": 1,
            "messages": [
                {"role": "user", "content": "you stupid fool", "gold": [[4, 10]]},
                {"role": "assistant", "content": None, "gold": None},
                {"role": "user", "content": [{"type": "text", "text": "stu"}, {"type": "text", "text": "pid!"}], "gold": [[0, 6]]},
            ],
        },
        {"messages": [{"role": "user", "content": "fool", "gold": "[[0, 4]]"}]},
    ]  # fmt: skip
    path = write_jsonl(tmp_path / "chats.jsonl", chats)
    options = {"gold_field": "gold", "messages_field": "messages", "text_fields": ("content",), "tokenizer": tokenizer}
    report = qa_files(sources(path), block, **options)
    assert (report.documents, report.gold_spans, report.characters) == (3, 3, 15 + 7 + 4)
    flat = [
        {"text": text, "gold": gold}
        for text, gold in (("you stupid fool", [[4, 10]]), ("stupid!", [[0, 6]]), ("fool", [[0, 4]]))
    ]
    same = qa_files(sources(write_jsonl(tmp_path / "flat.jsonl", flat)), block, gold_field="gold", tokenizer=tokenizer)
    assert report == same

    write_jsonl(path, [{"messages": [{"content": "a"}, {"content": "b", "gold": [[0, 3]]}]}])
    with pytest.raises(SourceError, match=r"line 1, messages\[0\]: no column 'gold'"):
        qa_files(sources(path), block, **options)
    write_jsonl(path, [{"messages": [{"content": "a", "gold": []}, {"content": "b", "gold": [[0, 3]]}]}])
    with pytest.raises(LabelerError, match=r"line 1, messages\[1\], 'gold', span 0"):
        qa_files(sources(path), block, **options)
    write_jsonl(path, [{"text": "a"}])
    with pytest.raises(SourceError, match="line 1: no list of messages in a column 'messages'; choose from text"):
        qa_files(sources(path), block, **options)


def test_a_row_that_a_labeler_rejects_is_named_by_its_line(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"text": "ab", "gold": [], "spans": [[0, n]]} for n in (1, 2, 3)])
    block = SlungConfig.model_validate({"labelers": [{"type": "spans"}]})
    with pytest.raises(SourceError, match=r"rows.jsonl, line 3: slung.labelers\[0\].field: 'spans', span 0"):
        qa_files(sources(path), block, gold_field="gold")


def test_texts_in_nested_mappings(tmp_path, block):
    rows = [{"post": {"body": row["text"]}, "gold": row["gold"]} for row in ROWS]
    nested = qa_files(
        sources(write_jsonl(tmp_path / "a.jsonl", rows)), block, gold_field="gold", text_fields=("post.body",)
    )
    assert nested == qa_files(sources(write_jsonl(tmp_path / "b.jsonl", ROWS)), block, gold_field="gold")


# whole documents


@pytest.mark.parametrize(
    "rule, values",
    [
        ("toxic", [True, False, True, 0]),
        ("toxic", ["1", "0", "1", 0.0]),
        ("toxic=hateful", ["hateful", "non-hateful", "hateful", None]),
        ("toxic=2", [2, 1, "2", "1"]),
        ("toxic>=0.5", [0.5, 0.4999, 1, False]),
    ],
)
def test_truth_about_whole_documents(tmp_path, block, rule, values):
    texts = ["stupid and stupid", "gold rush", "a fool", "fine"]
    rows = [{"text": text, "toxic": value} for text, value in zip(texts, values)]
    report = qa_files(sources(write_jsonl(tmp_path / "a.jsonl", rows)), block, gold_label=rule, thresholds=[0.8])
    assert report.whole_documents and (report.documents, report.gold_documents) == (4, 2)
    [point] = [point for point in report.combined.characters.points if point.threshold == 0.8]
    assert (point.predicted, point.found, point.precision, point.recall, point.mean_f1) == (2, 1, 0.5, 0.5, 0.5)
    assert report.missed is None and report.tokens is None and report.combined.calibration.spans[8] == 2


@pytest.mark.parametrize(
    "rule, value, says",
    [
        ("toxic", "SECRET", "line 1: 'toxic': expected true or false, or 1 or 0, got str; say which values are risky"),
        ("toxic", 0.5, "expected true or false, or 1 or 0, got float"),
        ("toxic>=0.5", None, "'toxic': expected a number, got NoneType"),
        ("label", 1, "line 1: no column 'label'; choose from text, toxic"),
        ("toxic>=high", 1, "gold_label: toxic>=high: expected a number after >="),
    ],
)
def test_documents_without_a_clear_label(tmp_path, block, rule, value, says):
    path = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "toxic": value}])
    with pytest.raises(ValueError, match=says) as caught:
        qa_files(sources(path), block, gold_label=rule)
    assert "SECRET" not in str(caught.value)
