"""One store under both caches: files of earlier versions, many keys, one warning; files that appear whole or not at all."""

import pickle
import sqlite3

import numpy as np
import pytest

from axolotl_slung.evals.services.answers import AnswerCache
from axolotl_slung.labeling.base import Span
from axolotl_slung.labeling.cache import SpanCache
from axolotl_slung.storage import Store, replacing

TABLE = "things (key BLOB PRIMARY KEY, value BLOB)"


def test_more_keys_than_a_statement_takes(tmp_path):
    store = Store(tmp_path / "new" / "store.sqlite", TABLE, "delete it")
    rows = [(str(n).encode(), str(n * n).encode()) for n in range(1201)]
    store.put(rows)
    asked = (key for key, _ in [*rows, *rows, (b"other", None)])
    assert store.get(asked) == pickle.loads(pickle.dumps(store)).get(dict(rows)) == dict(rows)
    assert store.get([]) == {} and not store.broken


def test_deleted_values_are_gone_and_others_stay(tmp_path):
    store = Store(tmp_path / "store.sqlite", TABLE, "delete it")
    keys = [bytes([i]) for i in range(5)]
    store.put([(key, key) for key in keys])
    store.delete([*keys[:2], b"unknown"])
    assert store.get(keys) == {key: key for key in keys[2:]}


def test_a_broken_store_stays_broken_through_a_pickle_and_warns_once(tmp_path, caplog):
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database" * 100)
    store = Store(path, TABLE, "delete it, or set `cache: false`")
    for _ in range(3):
        assert store.get([b"a"]) == {}
        store.put([(b"a", b"b")])
        assert store.broken
        store = pickle.loads(pickle.dumps(store))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"slung: the cache {path} is not used: ")
    assert record.getMessage().endswith("; delete it, or set `cache: false`")


def test_files_of_earlier_versions_are_read(tmp_path):
    digest, key = "ab" * 32, bytes.fromhex("706860d9e8c7ee1c65261bc1e5b75631")
    with sqlite3.connect(tmp_path / f"{digest[:32]}.sqlite") as database:
        database.execute("CREATE TABLE spans (text BLOB PRIMARY KEY, spans BLOB) WITHOUT ROWID")
        row = np.array([(2, 5, 0.25)], [("start", "<u4"), ("end", "<u4"), ("score", "<f8")])
        database.execute("INSERT INTO spans VALUES (?, ?)", (key, row.tobytes()))
    cache = SpanCache(digest, "old", tmp_path)
    assert cache.fill(["a text"], lambda missing: pytest.fail("labeled again")) == [[Span(2, 5, 0.25, "old")]]

    with sqlite3.connect(tmp_path / "answers.sqlite") as database:
        database.execute("CREATE TABLE answers (request BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")
        database.execute("INSERT INTO answers VALUES (?, ?)", (b"asked", "[0.5]"))
    assert AnswerCache(tmp_path / "answers.sqlite").read([b"asked", b"not asked"]) == {b"asked": [0.5]}


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    with replacing(path) as part:
        part.write_bytes(b"one")
        assert not path.exists() and part.parent == path.parent

    def fail():
        with replacing(path) as part:
            part.write_bytes(b"ha")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"one" and list(path.parent.iterdir()) == [path]
