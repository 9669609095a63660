"""Risk outside of training, suspicious text, the order of documents, and corrections that become gold, in a browser."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.pages import SUSPICIOUS, THREE, labeled, random_documents
from helpers.tiny import write_jsonl

from axolotl_slung.cli import main
from axolotl_slung.inspection.effects import nearness
from axolotl_slung.inspection.suspects import suspects, untouched
from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.documents import LEFT_OUT_BY

TRAIN_ALL = (Bucket("fine", 0.5, Action.TRAIN), Bucket("risky", None, Action.MASK))


def test_risk_in_what_is_left_out_and_the_reason(open_page):
    document = labeled(
        ["Hi", " Zoë", ".", " She", " left", "</s>"], score=[0, 1, 0, 0.5, 0, 0], trainable=[0, 0, 0, 1, 1, 0]
    )
    document = replace(document, left_out_by=np.array([0, 0, 0, 0, 0, LEFT_OUT_BY.index("eos: mask")]))
    page = open_page([document])
    assert [("risk" in classes) for classes in page.classes()[0]] == [False, True, False, False, False, False]
    assert page.text("#risk output") == "1 token"
    meaning = page.js("return [...document.querySelectorAll('.bucket small')].at(-1).textContent")
    assert meaning == "Axolotl itself does not train on it; left out by eos: mask"
    for index, why in ((1, "Axolotl itself does not train on it. "), (5, "left out by eos: mask. ")):
        page.js("showTooltip(documents[0].rows[0].tokens[0][arguments[0]])", index)
        assert page.tooltip()[2][0].startswith(why)
    page = open_page([labeled(["a"])])
    assert not page.js("return document.getElementById('risk').checkVisibility()")


def test_the_documents_with_scores_near_a_threshold_come_first(open_page):
    documents = random_documents(8, 3, seed=3)
    page = open_page(documents)
    order = "return [...document.querySelectorAll('.document')].map((card) => Number(card.dataset.document))"
    assert page.js(order) == list(range(8))
    page.set("#sort", "nearness")
    near = [nearness(document, THREE) for document in documents]
    found = page.js(order)
    assert sorted(found) == list(range(8)) and [near[k] for k in found] == sorted(near)
    page.set("#sort", "order")
    assert page.js(order) == list(range(8))


def test_suspicious_text_that_is_trained(open_page):
    documents = [labeled(SUSPICIOUS), labeled(SUSPICIOUS, score=[0] * 7 + [1] * 3 + [0] * 6), labeled(["nothing"])]
    page = open_page(documents, TRAIN_ALL)
    shown = "return [...document.querySelectorAll('#suspect-list li')].map((item) => item.textContent)"
    expected = [
        f"{kind} {text}" + (f" {times} times" if times > 1 else "")
        for kind, text, times in untouched(documents, TRAIN_ALL)
    ]
    assert page.js(shown) == expected and "capitals Maria Hernandez" in expected
    assert {kind for kind, *_ in untouched(documents, TRAIN_ALL)} == {"address or handle", "key", "digits", "capitals"}
    page.js("document.querySelector('#suspect-list button').click()")
    assert page.shown() == [0, 1] and page.js("return document.getElementById('search').value") == "anna@b.org"
    page.js("document.querySelector('#suspect-list button').click()")
    assert page.shown() == [0, 1, 2]


@pytest.mark.parametrize(
    "text, kinds",
    [
        ("mail a.b-c@d.example now", ["address or handle"]),
        ("ask @zoe_9 or not", ["address or handle"]),
        ("call +49 30 1234567 or (030) 12", ["digits"]),
        ("in 1984 it cost 5 or 17", ["digits"]),
        ("token ghp_abcdefABCDEF0123456789abcdefABCDEF01", ["key"]),
        ("-----BEGIN RSA PRIVATE KEY-----", ["key"]),
        ("The end. Then he met Zoë O’Hara-Smith there.", ["capitals"]),
        ("nothing of the kind, 12 or 3.5, a-b", []),
        ("он увидел Анну там", ["capitals"]),
    ],
)
def test_what_is_suspicious(text, kinds):
    found = suspects(labeled(list(text)))
    assert [one.kind for one in found] == kinds
    assert all(text[one.first : one.last] == one.text == text[one.start : one.end] for one in found)


@pytest.mark.parametrize(
    "text, risky",
    [
        ("mail a.b@d.example. Then", "a.b@d.example"),
        ("mail <a.b@d.example->, then", "a.b@d.example"),
        ("is it, Zoë O’Hara’? No", "Zoë O’Hara"),
        ("is it, Zoë O’Hara- No", "Zoë O’Hara"),
    ],
)
def test_the_punctuation_after_a_masked_text_is_not_suspicious(text, risky):
    start = text.index(risky)
    score = [float(start <= at < start + len(risky)) for at in range(len(text))]
    assert untouched([labeled(list(text), score=score)], THREE) == []


def test_hostile_texts_are_searched_quickly_and_stay_texts(open_page):
    hostile = [
        "a" * 20_000 + "@",
        "1 " * 20_000,
        "A" * 20_000,
        "@" * 20_000,
        "-" * 20_000,
        "@" + "." * 20_000,
        "<img src=x>@evil.example",
    ]
    documents = [labeled([text]) for text in hostile]
    page = open_page(documents, TRAIN_ALL)
    assert page.js("return document.querySelectorAll('#suspect-list img').length") == 0


def test_corrections_are_gold_for_qa(open_page, tmp_path):
    tokens = ["🙂", " Maria", " Hern", "andez", " met", " Zoë", " and", " will"]
    documents = [
        labeled(tokens, {"entities": [0, 1, 1, 1, 0, 0, 0, 1]}, name="a"),
        labeled([" Ada", " left"], {"entities": [1, 0]}, name="b"),
        labeled(["not", " read"], name="c"),
    ]
    page = open_page(documents, TRAIN_ALL)
    assert page.js("return document.getElementById('export').disabled")
    page.classes()  # draws all
    # by the keyboard, by a button, and by a selection
    focus = "documents[0].rows[0].tokens[0][arguments[0]].focus()"
    key = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true, cancelable: true}))"
    page.js(focus, 5)
    page.js(key, "+")
    page.js(focus, 7)
    page.js("document.getElementById('mark-harmless').click()")
    page.js(
        "const [first, last] = [0, 4].map((i) => documents[0].rows[0].tokens[0][i]); const range = new Range();"
        "range.setStart(first, 0); range.setEnd(last, last.childNodes.length);"
        "getSelection().removeAllRanges(); getSelection().addRange(range);"
        "document.getElementById('mark-harmless').click()"
    )
    assert sum("marked_harmless" in classes for classes in page.classes()[0]) == 6
    page.js(focus, 2)
    page.js(key, "0")
    page.js(focus, 1)
    page.js(key, "+")
    page.js("documents[1].read.click()")
    assert page.text("#corrected") == "2 documents"

    lines = page.js("return goldLines()")
    rows = [json.loads(line) for line in lines.splitlines()]
    text = "".join(tokens)
    assert rows[0] == {"id": "a", "text": text, "gold": [[2, 12], [22, 25]]}
    assert [text[start:end] for start, end in rows[0]["gold"]] == ["Maria Hern", "Zoë"]
    assert rows[1]["gold"] == [[1, 4]] and len(rows) == 2
    page.js("document.getElementById('export').click()")  # the browser saves a file, and the page stays
    assert page.text("#corrected") == "2 documents"

    path = write_jsonl(tmp_path / "gold.jsonl", rows)
    (tmp_path / "names.txt").write_text("Maria Hernandez\nAda", encoding="utf-8")
    labeler = f"{{type: entities, path: {tmp_path / 'names.txt'}}}"
    done = CliRunner().invoke(main, ["qa", str(path), "--gold", "gold", "-l", labeler, "--json", "-", "--no-words"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["documents"] == 2
