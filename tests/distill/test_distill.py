"""`slung distill`, from a few made-up rows to labels."""

import json
import random
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from helpers.tiny import tiny_tokenizer

from axolotl_slung.cli import main
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.distill.fit import fit_student
from axolotl_slung.distill.measure import measured
from axolotl_slung.distill.rows import Document, documents_of, targets_of
from axolotl_slung.distill.uncertain import uncertain
from axolotl_slung.errors import SlungError
from axolotl_slung.labeling import StudentLabeler
from axolotl_slung.labeling.base import Span
from axolotl_slung.labeling.student import file
from axolotl_slung.labeling.student.words import words_of

BAD = ("blockhead", "nitwit", "dunderhead", "numbskull", "clodpole")
PLAIN = [
    "the",
    "a",
    "train",
    "garden",
    "on",
    "under",
    "reads",
    "walks",
    "green",
    "slow",
    "my",
    "our",
    "letter",
    "river",
    "never",
    "and",
]


def row(number, rate=0.6):
    pick = random.Random(number)
    words = pick.choices(PLAIN, k=pick.randint(4, 12))
    if pick.random() < rate:
        words[pick.randrange(len(words))] = pick.choice(BAD)
    text, spans = "", []
    for word in words:
        if word in BAD:
            spans.append([len(text), len(text) + len(word)])
        text += word + " "
    return {"id": number, "text": text.strip() + ".", "spans": spans}


ROWS = [row(number) for number in range(200)]


def documents(rows=ROWS):
    return [Document("x", one["text"], [Span(*span, 1.0) for span in one["spans"]]) for one in rows]


def write(path, rows=ROWS):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A student and the list of uncertain spans, made by the command."""
    folder = tmp_path_factory.mktemp("student")
    result = run("distill", write(folder / "rows.jsonl"), "-o", folder / "s.npz", "--name", "insults", "--uncertain", 3)
    assert result.exit_code == 0, result.output
    return folder, result


def test_the_command_says_how_good_the_student_is(made):
    folder, result = made
    card = file.read("x", folder / "s.npz").card
    at = card["held_out"]["at"]["low cut"]
    assert card["name"] == "insults" and at["f1"] > 0.95 and at["mean_f1"] > 0.9
    assert card["data"]["documents"] == 200 and 20 <= card["held_out"]["documents"] <= 60
    assert f"{at['f1']:.3f}" in result.output and "use it as {type: student, model:" in result.output
    said = result.output + (folder / "s.npz").read_bytes().decode("latin1") + json.dumps(card)
    assert not any(word in said for word in (*BAD, "garden"))


def test_the_figures_are_those_of_the_labeler(made, tmp_path):
    """`slung qa` on the held-out rows, with the student from before the last fit, gives the card's figures."""
    fitted = fit_student(documents())
    path = tmp_path / "trial.npz"
    file.write(path, fitted.trial)
    held = write(tmp_path / "held.jsonl", [one for one in ROWS if documents([one])[0].place(0) < 0.2])
    figures = tmp_path / "qa.json"
    low = fitted.student.card["cuts"][0]
    spec = f"{{type: student, model: {path}}}"
    result = run("qa", held, "--gold", "spans", "-l", spec, "-t", low, "--json", figures)
    assert result.exit_code == 0, result.output
    said = json.loads(figures.read_text())
    (point,) = [one for one in said["combined"]["characters"]["points"] if one["threshold"] == low]
    at = fitted.student.card["held_out"]["at"]["low cut"]
    assert [round(point[key], 4) for key in ("precision", "recall", "f1", "mean_f1")] == [
        at[key] for key in ("precision", "recall", "f1", "mean_f1")
    ]


def test_of_equal_thresholds_the_middle_one_is_the_cut():
    """Words that are well apart have the same F1 at many thresholds. The lowest would mark whatever is hardly risky."""
    words = ["nitwit", "river", "garden", "stone"]
    texts = [" ".join([*words[number % 4 :], *words[: number % 4]]) for number in range(120)]
    rows = [{"text": text, "spans": [[text.index("nitwit"), text.index("nitwit") + 6]]} for text in texts]
    low, high = fit_student(documents(rows)).student.card["cuts"]
    assert 0.3 < low < 0.7 and low < high < 0.9


def test_the_same_rows_give_the_same_bytes(made, tmp_path):
    folder, _ = made
    mixed = random.Random(5).sample(ROWS, len(ROWS))
    assert (
        run("distill", write(tmp_path / "m.jsonl", mixed), "-o", tmp_path / "s.npz", "--name", "insults").exit_code == 0
    )
    assert (tmp_path / "s.npz").read_bytes() == (folder / "s.npz").read_bytes()


def test_it_labels_through_a_config_and_its_cuts_are_recorded(made, tmp_path):
    folder, _ = made
    texts = write(tmp_path / "t.jsonl", [{"text": "My nitwit walks on."}, {"text": "The river."}])
    config = tmp_path / "config.yml"
    block = {"labelers": [{"type": "student", "model": str(folder / "s.npz"), "name": "insults"}], "method": "masked"}
    config.write_text(yaml.safe_dump({"slung": block}))
    result = run("label", texts, "-o", tmp_path / "out", "-c", config, "-j", 1)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "t.jsonl").read_text().splitlines()]
    spans = [json.loads(one["spans"])["insults"] for one in rows]
    low, high = file.read("x", folder / "s.npz").card["cuts"]
    assert [(start, end) for start, end, score in spans[0] if score >= low] == [(3, 9)]
    assert not [one for one in spans[1] if one[2] >= low]
    assert yaml.safe_load((tmp_path / "out" / ".slung" / "cuts.yml").read_text()) == {"insults": [low, high]}
    swept = run("sweep", tmp_path / "out", "--tokenizer", tiny_tokenizer(tmp_path), "-t", low, "--json", "-")
    assert swept.exit_code == 0, swept.output
    assert '"documents": 2' in swept.output and "nitwit" not in swept.output


def test_a_student_learns_the_scores_of_another_labeler(made, tmp_path):
    """The scores of a column that `slung label` wrote are targets as they are."""
    folder, _ = made
    rows = [
        {"text": one["text"], "spans": json.dumps({"slow": [[*s, 0.7] for s in one["spans"]], "other": [[0, 3, 1]]})}
        for one in ROWS
    ]
    data = write(tmp_path / "rows.jsonl", rows)
    assert run("distill", data, "-o", tmp_path / "s.npz", "--kind", "slow").exit_code == 0
    labeler = StudentLabeler("x", str(tmp_path / "s.npz"))
    (spans,) = labeler.label(["The nitwit reads my letter."], [{}])
    assert [(span.start, span.end) for span in spans if span.score > 0.4] == [(4, 10)]
    assert max(span.score for span in spans) < 0.85
    result = run("distill", data, "-o", tmp_path / "n.npz", "--kind", "slwo")
    assert result.exit_code == 2 and "--kind: slwo: no span has this name; the column has other, slow" in result.output


def test_targets_are_mean_scores_of_characters():
    text = "ab cdef gh"
    spans = [Span(0, 2, 1.0), Span(3, 5, 0.5), Span(4, 6, 0.25)]
    words = words_of(["", text, text])
    both = [Document("x", "", []), Document("x", text, []), Document("x", text, spans)]
    expected = [0, 0, 0, 1, (0.5 + 0.5 + 0.25) / 4, 0]
    np.testing.assert_allclose(targets_of(both, words.starts, words.ends), expected)


def test_more_documents_are_never_held_out():
    more = [Document("x", f"What a clodpoll you are {number}.", [Span(7, 15, 1.0)]) for number in range(30)]
    fitted = fit_student(documents(), more)
    plain = {one.text for one in documents()}
    assert {one.text for one in fitted.held_out} <= plain
    assert fitted.student.card["also"]["documents"] == 30
    words = words_of([one.text for one in fitted.held_out])
    assert measured(fitted.held_out, words, fitted.trial).card == fitted.student.card["held_out"]


def test_documents_are_read_as_other_commands_read_them(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    some = [{"text": "Zoë is a nitwit.", "spans": [[9, 15]]}, {"text": "My train.", "spans": None}]
    write(folder / "a.jsonl", some)
    table = pa.table(
        {"text": [one["text"] for one in some], "spans": pa.array([[[9, 15]], []], pa.list_(pa.list_(pa.int64())))}
    )
    pq.write_table(table, folder / "b.parquet")
    found = list(documents_of(find_sources([str(folder)]), "text", "spans"))
    assert [(one.text, [span[:3] for span in one.spans]) for one in found] == 2 * [
        ("Zoë is a nitwit.", [(9, 15, 1.0)]),
        ("My train.", []),
    ]
    chats = [{"messages": [{"content": "You nitwit.", "spans": [[4, 10]]}, {"content": "Sorry.", "spans": []}]}]
    sources = find_sources([str(write(tmp_path / "chats.jsonl", chats))])
    found = list(documents_of(sources, "content", "spans", messages_field="messages"))
    assert [(one.text, len(one.spans)) for one in found] == [("You nitwit.", 1), ("Sorry.", 0)]


# ---- spans that are worth a look


def test_the_list_of_uncertain_spans_is_private(made):
    folder, result = made
    path = folder / "s.npz.uncertain.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"{path}: " in result.output and "it quotes texts, and only you can read it" in result.output


def test_uncertain_spans_are_the_closest_to_the_cut_each_word_once(made, tmp_path):
    folder, _ = made
    student = file.read("x", folder / "s.npz")
    pool = [
        Document("p", text, []) for text in ("a nitwhit reads", "A NITWHIT reads on", "the dunderpate", "river nitwit")
    ]
    rows = uncertain(pool, student, 10)
    words = [one["text"][slice(*one["spans"][0][:2])].lower() for one in rows]
    assert len(words) == len(set(words)) and "nitwit" in words
    low = student.card["cuts"][0]
    away = [abs(np.log(s / (1 - s)) - np.log(low / (1 - low))) for s in (one["spans"][0][2] for one in rows)]
    assert away == sorted(away)
    assert rows[:1] == uncertain(pool, student, 1)
    # a person corrects it, and it is read again
    again = list(documents_of(find_sources([str(write(tmp_path / "u.jsonl", rows))]), "text", "spans"))
    assert [one.text for one in again] == [one["text"] for one in rows]


# ---- what is refused


@pytest.mark.parametrize(
    "rows, options, says",
    [
        (ROWS[:8], [], "documents to learn from have a span, and 5 are needed"),
        ([{"text": "a"}], [], "no column 'spans'; choose from text"),
        ([{"text": "a", "spans": [[0, 2]]}], [], "outside the text"),
        ([{"words": "a", "spans": []}], [], "no text in a column 'text'"),
        (ROWS, ["--pool", "x.jsonl"], "--pool: has no effect without --uncertain"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_before_the_work(rows, options, says, tmp_path):
    result = run("distill", write(tmp_path / "rows.jsonl", rows), "-o", tmp_path / "s.npz", *options)
    assert result.exit_code == 2 and says in result.output, result.output
    assert not (tmp_path / "s.npz").exists()


def test_another_kind_of_file_is_not_replaced(tmp_path):
    other = tmp_path / "mine.npz"
    other.write_bytes(b"mine")
    result = run("distill", write(tmp_path / "rows.jsonl"), "-o", other)
    assert result.exit_code != 0 and "is another kind of file, which is not replaced" in result.output
    assert other.read_bytes() == b"mine"
    (tmp_path / "s.npz.uncertain.jsonl").write_text("mine")
    result = run("distill", tmp_path / "rows.jsonl", "-o", tmp_path / "s.npz", "--uncertain", 1)
    assert result.exit_code == 2 and "is another kind of file, which is not replaced" in result.output


def test_students_need_something_to_find():
    with pytest.raises(SlungError, match="0 documents to learn from have a span"):
        fit_student(documents([{"text": one["text"], "spans": []} for one in ROWS]))
