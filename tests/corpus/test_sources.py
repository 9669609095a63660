"""Which files are read, what their names promise, and what is told about the others."""

import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from itertools import pairwise

import pyarrow as pa
import pytest
import zstandard
from helpers.tiny import put
from pyarrow import parquet

from axolotl_slung.corpus import run
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.sources import Source, SourceError
from axolotl_slung.labeling.dolma import DolmaLabeler

LINES = b"".join(json.dumps({"text": f"ab {n}"}).encode() + b"\n" for n in range(50))


def found(folder):
    """The names of the sources of a folder, and what was said to be left out."""
    return [source.name for source in find_sources([str(folder)])]


PACKED = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".zstd": zstandard.compress,
          ".bz2": bz2.compress, ".xz": lzma.compress}  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "B.JSONL", "c.jsonlines", "d.Json", "e.ndjson"])
@pytest.mark.parametrize("suffix", [*PACKED, ".GZ", ".Bz2"])
def test_every_suffix_is_read_and_written_so_that_datasets_knows_it(tmp_path, label, name, suffix):
    half = PACKED[suffix.lower()](LINES[:600]), PACKED[suffix.lower()](LINES[600:])
    source = put(tmp_path / "in" / f"{name}{suffix}", b"".join(half))
    result = label(source)
    assert result.exit_code == 0, result.output
    stem, kind = name.lower().split(".")
    packed = {"": "", ".gz": ".gz"}.get(suffix.lower(), ".zst")
    [out] = [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert out.name.lower() == f"{stem}.{kind.replace('jsonlines', 'jsonl')}{packed}"
    assert out.suffixes == [one.lower() for one in out.suffixes]
    data = out.read_bytes()
    data = gzip.decompress(data) if packed == ".gz" else data
    if packed == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    assert [json.loads(line)["text"] for line in data.splitlines()] == [f"ab {n}" for n in range(50)]


def test_what_is_left_out_of_a_folder_is_told_by_kind_and_number(tmp_path, caplog):
    folder = tmp_path / "in"
    for name in ("a.jsonl", "n.snappy.parquet", "deep/b.json.gz"):
        put(folder / name, b"")
    for name in ("f.csv", "g.CSV", "h.jl", "i.warc.gz", "j.parquet.gz", "k", "l.\x1b[2J", "m.q r", ".git/x.json",
                 ".hidden.jsonl", "__MACOSX/a.jsonl", "__x.jsonl", ".slung/job.json"):  # fmt: skip
        put(folder / name, b"")
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "gone.jsonl").symlink_to("nowhere")
    assert found(folder) == ["a.jsonl", "deep/b.json.gz", "n.snappy.jsonl.zst"]
    [record] = caplog.records
    told = record.getMessage().split("left out: ")[1].split(", ")
    assert sorted(told) == [
        "1 .jl", "1 .parquet.gz", "1 .warc.gz", "1 links to nothing", "1 pipes (FIFO)", "2 .csv", "2 hidden files",
        "2 hidden folders", "3 without a known suffix",
    ]  # fmt: skip


def test_a_folder_without_anything_to_read_says_what_it_has(tmp_path):
    put(tmp_path / "in" / "a.csv", b"")
    with pytest.raises(SourceError, match=r"no files in this folder end in .*; it has 1 \.csv; give another"):
        found(tmp_path / "in")


def test_links_to_folders_are_followed_once(tmp_path, caplog):
    folder = tmp_path / "in"
    put(folder / "real" / "a.jsonl", b"")
    put(tmp_path / "elsewhere" / "deep" / "b.jsonl", b"")
    (folder / "A-link-inside").symlink_to("real")
    (folder / "loop").symlink_to(".")
    (folder / "real" / "up").symlink_to("..")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "link2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    assert found(folder) == ["link/deep/b.jsonl", "real/a.jsonl"]
    assert "5 links to folders that are read already" in caplog.text


def test_an_output_inside_the_input_through_a_link_is_refused(tmp_path, label):
    put(tmp_path / "in" / "a.jsonl", LINES)
    put(tmp_path / "out" / "old.jsonl", LINES)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    assert "has a link to it; choose another folder" in label(tmp_path / "in").output


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("corpus/train.jsonl", "corpus/train.jsonl: no such file or folder"),
        ("corpus/train.parquet", "corpus/train.parquet: no such file or folder"),
        ("nowhere/train.json.gz", "nowhere/train.json.gz: no such file or folder"),
        ("nowhere/train.csv", "nowhere/train.csv: no such file or folder"),
        ("corpus/train", "and the hub is not asked, because corpus exists here"),
        ("a/b/c", "a/b/c: no such file or folder"),
        ("./a", "./a: no such file or folder"),
        ("../a", "../a: no such file or folder"),
        ("/a/b", "/a/b: no such file or folder"),
        ("~/nowhere-at-all", "~/nowhere-at-all: no such file or folder"),
        ("a/", "a/: no such file or folder"),
        ("train", "train: no such file or folder"),
        ("-", "-: is standard input, not a file or a folder; save its content to a file"),
        ("pipe", "pipe: is a pipe (FIFO), not a file or a folder; save its content to a file"),
        ("/dev/null", "/dev/null: is a device, not a file"),
        ("broken", "broken: is a link to nothing"),
    ],
)
def test_a_path_never_goes_to_the_hub(tmp_path, monkeypatch, given, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    os.mkfifo("pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(SourceError) as error:
        find_sources([given])
    assert says in str(error.value)


def test_standard_input_is_told_plainly(tmp_path):
    command = [
        sys.executable,
        "-m",
        "axolotl_slung.cli",
        "label",
        "/dev/stdin",
        "-o",
        tmp_path / "o",
        "-l",
        "profanity",
    ]
    done = subprocess.run([*map(str, command)], input=b"{}", capture_output=True)
    assert done.returncode == 2 and b"/dev/stdin: is a pipe (FIFO), not a file or a folder" in done.stderr


def test_hub_ids_stay_hub_ids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("allenai/c4", "owner/name.v1.5", "o-w/n_a.2"):
        assert find_sources([given])[0].kind == "hub"


def test_columns_do_not_go_with_json_lines(tmp_path, label):
    put(tmp_path / "in" / "a.jsonl", LINES)
    assert "--columns: " in (result := label(tmp_path / "in", "--columns", "text")).output and result.exit_code == 2
    assert "is JSON lines, which are kept as they are" in result.output


def table(**columns):
    out = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns), out)
    return out.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.jsonl", gzip.compress(LINES, mtime=0), "expected lines of text, but its content is gzip; rename it so that its name ends in .gz"),
        ("a.jsonl", zstandard.compress(LINES), "is zstd; rename it so that its name ends in .zst"),
        ("a.jsonl", bz2.compress(LINES), "is bzip2; rename it so that its name ends in .bz2"),
        ("a.jsonl", lzma.compress(LINES), "is xz; rename it so that its name ends in .xz"),
        ("a.jsonl", table(text=["a"]), "is Parquet; rename it so that its name ends in .parquet"),
        ("a.jsonl", LINES.decode().encode("utf-16"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
        ("a.json", b"PK\x03\x04rest", "is a ZIP archive; unpack it"),
        ("a.jsonl.gz", LINES, "its name ends in .gz, but its content is not gzip; rename or replace it"),
        ("a.jsonl.zst", LINES, "its name ends in .zst, but its content is not zstd"),
        ("a.jsonl.bz2", LINES, "its name ends in .bz2, but its content is not bzip2"),
        ("a.jsonl.xz", LINES, "its name ends in .xz, but its content is not xz"),
        ("a.jsonl.GZ", zstandard.compress(LINES), "its name ends in .gz, but its content is zstd; rename it"),
        ("a.jsonl.zst", gzip.compress(LINES, mtime=0), "its name ends in .zst, but its content is gzip; rename it"),
        ("a.jsonl.gz", gzip.compress(gzip.compress(LINES, mtime=0), mtime=0), "inside its gzip it is gzip"),
        ("a.jsonl.gz", gzip.compress(b"x" * 257 + b"ustar" + b"x" * 400, mtime=0), "inside its gzip it is a tar archive"),
        ("a.parquet", LINES, "not a complete Parquet file"),
        ("a.parquet", b"", "not a complete Parquet file"),
        ("a.parquet", table(text=["a"])[:-9], "not a complete Parquet file"),
    ],
)  # fmt: skip
def test_content_that_is_not_what_the_name_says_stops_before_anything_is_labeled(tmp_path, label, name, content, says):
    put(tmp_path / "in" / "0.jsonl", LINES)
    put(tmp_path / "in" / name, content)
    result = label(tmp_path / "in")
    assert result.exit_code == 1 and says in result.output and name in result.output
    assert not (tmp_path / "out").exists()


def test_zstd_of_any_window_is_read(tmp_path, label):
    for log in (10, 27, 31):
        parameters = zstandard.ZstdCompressionParameters(window_log=log, enable_ldm=True)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()  # size unknown: window as asked
        put(tmp_path / "in" / f"{log}.jsonl.zst", packer.compress(LINES) + packer.flush())
        attributes = b"".join(b'{"id": "%d", "attributes": {"x": [[0, 1, 1]]}}\n' % n for n in range(5))
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        path = put(tmp_path / "attributes" / f"{log}.jsonl.zst", packer.compress(attributes) + packer.flush())
        assert len(DolmaLabeler("key", str(path), "x").documents) == 5
    result = label(tmp_path / "in")
    assert result.exit_code == 0 and "150 documents" in result.output, result.output


def test_a_file_that_gives_nothing_is_told_as_a_file(tmp_path, label):
    put(tmp_path / "in" / "a.jsonl", LINES)
    put(tmp_path / "in" / "b.json", b'{\n "description": "x"\n}\n')
    put(tmp_path / "in" / "c.jsonl", b"")
    put(tmp_path / "in" / "d.jsonl.gz", gzip.compress(LINES)[:4])
    for _ in range(2):  # the second run has nothing to do, and says so again
        result = label(tmp_path / "in")
        assert result.exit_code == 1 and "50 documents" in result.output
        assert f"1 sources are empty: {tmp_path / 'in' / 'c.jsonl'}" in result.output
        assert (
            f"{tmp_path / 'in' / 'b.json'} (3 lines), {tmp_path / 'in' / 'd.jsonl.gz'} (1 lines): gave no"
            in result.output
        )
    assert (tmp_path / "out" / "a.jsonl").read_bytes().count(b"\n") == 50


def test_a_run_whose_first_lines_give_nothing_stops_with_the_reason(tmp_path, label, monkeypatch):
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 10_000)
    put(tmp_path / "in" / "a.jsonl", LINES * 300)
    result = label(tmp_path / "in", "--text-field", "txt")
    assert result.exit_code == 1
    number = int(result.output.split("none of the first ")[1].split()[0])
    assert run.HOPELESS_LINES <= number < 1500
    assert (
        "such as --text-field. The first reasons: " in result.output and "a.jsonl:1: no column 'txt'" in result.output
    )
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    # nothing is left that would refuse the corrected command
    assert label(tmp_path / "in").exit_code == 0


def test_few_lines_that_give_nothing(tmp_path, label):
    put(tmp_path / "in" / "a.jsonl", LINES)
    result = label(tmp_path / "in", "--text-field", "txt")
    assert result.exit_code == 1 and "none of the 50 lines could be labeled" in result.output
    assert label(tmp_path / "in").exit_code == 0


@pytest.mark.parametrize(
    ("columns", "options", "says"),
    [
        ({"txt": ["a"]}, [], "--text-field: {}: no column 'text'; choose from txt"),
        ({"text": [b"a"]}, [], "'text': expected a string, got a column of type binary"),
        ({"text": [["a"]]}, [], "'text': expected a string, got a list"),
        ({"text": ["a"], "n": [1]}, ["--columns", "n"], "--text-field: {}: no column 'text'; choose from n"),
        ({"text": ["a"]}, ["--columns", "text,m"], "--columns: 'm': not a column of {}; choose from text"),
        ({"text": ["a"]}, ["--form", "dolma"], "--id-field: {}: no column 'id'; choose from text"),
    ],
)
def test_what_the_schema_tells_stops_before_the_first_row(tmp_path, label, columns, options, says):
    put(tmp_path / "in" / "b.parquet", table(**columns))
    result = label(tmp_path / "in", *options)
    assert result.exit_code == 1 and says.format(tmp_path / "in" / "b.parquet") in result.output
    assert not (tmp_path / "out").exists()


def test_columns_with_dots_in_their_names(tmp_path):
    put(tmp_path / "a.parquet", table(**{"text": ["x"], "a.b": [1], "a": [{"b": 2}], "c": [3]}))
    for columns in (None, ["text", "a.b"], ["text", "a"]):
        [source] = find_sources([str(tmp_path / "a.parquet")], columns=columns)
        [chunk] = source.chunks()
        row = {"text": "x", "a.b": 1, "a": {"b": 2}, "c": 3}
        assert json.loads(chunk.content[0]) == {key: row[key] for key in columns or row}


def test_names_that_are_not_utf8(tmp_path, label):
    name = os.fsdecode(b"a\xff.jsonl")
    put(tmp_path / "in" / name, LINES + b"{broken")
    result = label(tmp_path / "in")
    assert result.exit_code == 0 and "1 lines could not be labeled" in result.output
    assert label(tmp_path / "in").exit_code == 0


def test_a_record_that_a_kill_has_cut(tmp_path, label):
    put(tmp_path / "in" / "a.jsonl", LINES)
    for content in (b"", b"{", b"[]", b'{"job": 1, "made_from": 2}', b'{"job": {"labelers": {}}}'):
        put(tmp_path / "out" / ".slung" / "job.json", content)
        assert label(tmp_path / "in").exit_code == 0
        shutil.rmtree(tmp_path / "out")


def test_tables_are_cut_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 10_000)
    texts = ["x" * size for size in [10] * 2000 + [9000] * 20 + [200_000] + [10] * 50]
    put(tmp_path / "a.parquet", table(text=texts, n=list(range(len(texts)))))
    [source] = find_sources([str(tmp_path / "a.parquet")])
    chunks = list(source.chunks())
    assert [json.loads(line)["n"] for chunk in chunks for line in chunk.content] == list(range(len(texts)))
    assert all(sum(map(len, chunk.content[:-1])) < 10_000 for chunk in chunks) and len(chunks) > 30
    for chunk, after in pairwise(chunks):  # a run that resumes reads the same chunks
        assert next(iter(source.chunks(chunk.end))) == after


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hub_rows_keep_their_times_and_are_cut_by_bytes(tmp_path, monkeypatch, kind):
    """`datasets` reads a folder as it reads a hub's data set, and makes times of strings that look like times."""
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 5_000)
    rows = [{"text": f"{n} " * 50, "at": "2019-04-25T12:57:54", "n": n} for n in range(300)]
    if kind == "jsonl":
        put(tmp_path / "hub" / "train.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    else:
        times = pa.array([row["at"] for row in rows]).cast(pa.timestamp("ms"))
        rows = [{**row, "at": f"{row['at']}.000", "raw": "AA==", "score": None} for row in rows]
        columns = {"text": [row["text"] for row in rows], "at": times, "n": list(range(300)),
                   "raw": [b"\0"] * 300, "score": [float("nan")] * 300}  # fmt: skip
        put(tmp_path / "hub" / "train.parquet", table(**columns))
    source = Source("x.jsonl.zst", str(tmp_path / "hub"), "hub", split="train")
    chunks = list(source.chunks())
    assert [json.loads(line) for chunk in chunks for line in chunk.content] == rows
    assert len(chunks) > 8 and all(sum(map(len, chunk.content[:-1])) < 5_000 for chunk in chunks)
    assert source.check()["at"].startswith("a column of type timestamp")
    assert next(iter(source.chunks(chunks[3].end))) == chunks[4]
