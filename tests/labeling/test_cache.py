"""The cache of spans: exact, private, shared by processes, and never in the way."""

import random
import subprocess
import sys

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
        return [[Span(i, i + 1, (i + 1) / 7) for i, c in enumerate(text) if c == "x"] for text in texts]


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


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_cache_that_cannot_be_read_is_done_without(tmp_path, damage, caplog):
    cache = SpanCache("a" * 64, "counting", tmp_path)
    cache.store.path.write_bytes(damage)
    assert annotate(Counting(cache), ["x", "y"]) == [[Span(0, 1, 1 / 7, "counting")], []]
    assert ("is not used" in caplog.text) == bool(damage)


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = SpanCache("a" * 64, "counting", tmp_path / "file" / "labels")
    assert annotate(Counting(cache), ["x"]) == [[Span(0, 1, 1 / 7, "counting")]]
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
    found = cache.fill(texts, lambda some: [[Span(0, i + 1, i / 200, "n")] for i in some])
    assert found == [[Span(0, i + 1, i / 200, "n")] for i in range(200)]
assert not cache.store.broken
"""
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
