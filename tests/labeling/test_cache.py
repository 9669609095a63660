"""The cache of spans: exact, private, shared by processes, and never in the way."""

import os
import random
import sqlite3
import stat
import subprocess
import sys

import numpy as np
import pytest

from axolotl_slung.labeling.base import Labeler, Span
from axolotl_slung.labeling.cache import SpanCache


class Counting(Labeler):
    """Marks every x, and counts the texts it was asked about."""

    name = "counting"

    def __init__(self, cache):
        super().__init__("slung.labelers[0]")
        self.cache, self.asked = cache, []

    def label(self, texts, rows):
        self.asked += texts
        assert [row["text"] for row in rows] == list(texts)
        return [[Span(i, i + 1, (i + 1) / 10) for i, c in enumerate(text) if c == "x"] for text in texts]


def annotate(labeler, texts):
    return labeler.annotate(texts, [{"text": text} for text in texts])


def test_only_unknown_texts_are_labeled(tmp_path):
    draw = random.Random(0)
    texts = ["".join(draw.choices("xyé😀\ud800", k=draw.randint(0, 9))) for _ in range(3000)]
    plain = annotate(Counting(None), texts)
    first, second = (Counting(SpanCache("a" * 64, "counting", tmp_path)) for _ in range(2))
    assert annotate(first, texts[:2000]) == plain[:2000]
    assert annotate(second, texts) == plain
    assert set(second.asked) == set(texts[2000:]) - set(texts[:2000])
    assert annotate(first, []) == []


class Kinds(Counting):
    def label(self, texts, rows):
        found = super().label(texts, rows)
        return [[span._replace(kind=("", "e-mail", "ünï")[span.start % 3]) for span in spans] for spans in found]


def test_kinds_are_kept(tmp_path):
    texts = ["xxxx xx", "xx", "", "yx"]
    plain = annotate(Kinds(None), texts)
    assert {span.kind for spans in plain for span in spans} == {"", "e-mail", "ünï"}
    first, second = (Kinds(SpanCache("a" * 64, "counting", tmp_path)) for _ in range(2))
    assert annotate(first, texts) == annotate(second, texts) == plain and not second.asked


class Naming(Counting):
    """Marks every x under a name of its own, and says what each is."""

    def label(self, texts, rows):
        kinds = ["", "first", 'say "x"\n']
        return [
            [Span(s, e, p, ["", "mine"][s % 2], kinds[s % 3]) for s, e, p, *_ in spans]
            for spans in super().label(texts, rows)
        ]


def test_names_and_kinds_are_kept(tmp_path):
    plain = annotate(Naming(None), ["xxxxxxx"])
    assert len({span[3:] for span in plain[0]}) == 6 and {span.labeler for span in plain[0]} == {"counting", "mine"}
    for asked in (1, 0):
        labeler = Naming(SpanCache("a" * 64, "counting", tmp_path))
        assert annotate(labeler, ["xxxxxxx"]) == plain
        assert len(labeler.asked) == asked


def test_the_labelers_own_name_is_that_of_the_run(tmp_path):
    cache = SpanCache("a" * 64, "before", tmp_path)
    cache.fill(["x"], lambda some: [[Span(0, 1, 0.5, "before", "kind")]])
    renamed = SpanCache("a" * 64, "after", tmp_path)
    assert renamed.fill(["x"], lambda some: pytest.fail("labeled again")) == [[Span(0, 1, 0.5, "after", "kind")]]


def test_another_labeler_has_another_cache(tmp_path):
    one, other = (Counting(SpanCache(digest * 64, "counting", tmp_path)) for digest in "ab")
    annotate(one, ["x"])
    annotate(other, ["x"])
    assert other.asked == ["x"]


def test_the_file_holds_no_text(tmp_path):
    cache = SpanCache("a" * 64, "counting", tmp_path)
    annotate(Counting(cache), ["x Zebulon Featherstonehaugh"])
    del cache
    for file in tmp_path.iterdir():
        assert b"Zebulon" not in file.read_bytes()


def test_only_the_owner_may_read_it(tmp_path):
    folder = tmp_path / "labels"
    cache = SpanCache("a" * 64, "counting", folder)
    annotate(Counting(cache), ["x"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    # a file of an earlier version
    cache.store.path.chmod(0o644)
    annotate(Counting(SpanCache("a" * 64, "counting", folder)), ["x"])
    assert stat.S_IMODE(cache.store.path.stat().st_mode) == 0o600


def test_a_file_of_another_user_is_not_used(tmp_path, monkeypatch, caplog):
    annotate(Counting(SpanCache("a" * 64, "counting", tmp_path)), ["x"])
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    labeler = Counting(SpanCache("a" * 64, "counting", tmp_path))
    assert annotate(labeler, ["x"]) == [[Span(0, 1, 1 / 10, "counting")]]
    assert labeler.asked == ["x"]
    assert "it belongs to another user" in caplog.text


ROW = np.dtype([("start", "<u4"), ("end", "<u4"), ("score", "<f8")])


@pytest.mark.parametrize(
    "row",
    [
        [(5, 4_000_000_000, 7.5)],
        [(0, 4, 0.5)],
        [(1, 1, 0.5)],
        [(2, 1, 0.5)],
        [(0, 1, 1.5)],
        [(0, 1, -0.1)],
        [(0, 1, float("nan"))],
        [(0, 1, float("inf"))],
        [(2, 3, 0.5), (0, 1, 0.5)],
        b"kind",
        np.array([(0, 1, 0.5)], ROW).tobytes() + b"\0\0\0\0a\1\0\0\0kind",
        b"\1\0\0\0kind",
        b"\xff\xff\xff\xffkind",
        np.array([(0, 1, 0.5)], ROW).tobytes() + b"\2\0\0\0a\0b\1\0\0\0kind",
        np.array([(0, 1, 0.5)], ROW).tobytes() + b"\0\0\0\0\xff\1\0\0\0kind",
        b"12 Elm St",
        "text",
        7,
        None,
    ],
)
def test_a_row_that_does_not_fit_its_text_is_not_believed(tmp_path, caplog, row):
    annotate(Counting(SpanCache("a" * 64, "counting", tmp_path)), ["x y"])
    store = SpanCache("a" * 64, "counting", tmp_path).store
    blob = np.array(row, ROW).tobytes() if isinstance(row, list) else row
    with sqlite3.connect(store.path) as database:
        database.execute("UPDATE spans SET spans = ?", (blob,))
    labeler = Counting(SpanCache("a" * 64, "counting", tmp_path))
    for _ in range(2):
        assert annotate(labeler, ["x y", "x y"]) == [[Span(0, 1, 1 / 10, "counting")]] * 2
    assert labeler.asked == ["x y", "x y"]  # then it is stored again
    assert caplog.text.count("do not fit their text") == 1
    assert "Elm" not in caplog.text


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_cache_that_cannot_be_read_is_done_without(tmp_path, damage, caplog):
    cache = SpanCache("a" * 64, "counting", tmp_path)
    cache.store.path.write_bytes(damage)
    assert annotate(Counting(cache), ["x", "y"]) == [[Span(0, 1, 1 / 10, "counting")], []]
    assert ("is not used" in caplog.text) == bool(damage)


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = SpanCache("a" * 64, "counting", tmp_path / "file" / "labels")
    assert annotate(Counting(cache), ["x"]) == [[Span(0, 1, 1 / 10, "counting")]]
    assert caplog.text.count("is not used") == 1


def test_many_processes_share_it(tmp_path):
    program = f"""
import sys
from pathlib import Path
from axolotl_slung.labeling.base import Span
from axolotl_slung.labeling.cache import SpanCache
cache = SpanCache("a" * 64, "n", Path({str(tmp_path)!r}))
for batch in range(20):
    texts = [f"{{batch}} {{n}}" for n in range(200)]
    found = cache.fill(texts, lambda some: [[Span(0, 3, i / 200, "n")] for i in some])
    assert found == [[Span(0, 3, i / 200, "n")] for i in range(200)]
assert not cache.store.broken
"""
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
