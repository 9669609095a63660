"""`slung label` from files to files, by its command line."""

import gzip
import json
import random
from dataclasses import replace

import pyarrow
import pytest
import zstandard
from click.testing import CliRunner
from pyarrow import parquet

from axolotl_slung.cli import main
from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job, JobError
from axolotl_slung.corpus.run import label_sources
from axolotl_slung.corpus.sources import Source
from axolotl_slung.labeling.entities import EntitiesLabeler

NAMES = ["Ada Lovelace", "Zoë"]
TEXTS = [
    "Ada Lovelace wrote it, and Zoë read it.",
    "Nobody is named here.",
    'A "quoted" \\ back\u2028slash, a tab\t and 😀 Zoë.',
    "",
]


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("\n".join(NAMES), encoding="utf-8")
    return f"{{type: entities, path: {path}}}"


def label(*arguments):
    result = CliRunner().invoke(main, ["label", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def documents(size, seed=0):
    draw = random.Random(seed)
    return [
        {"id": f"d{n}", "text": " ".join(draw.choices(TEXTS, k=draw.randint(1, 20))), "n": n, "big": 2**70, "x": [1.5]}
        for n in range(size)
    ]


def as_lines(rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=row["n"] % 2 == 0) + "\n" for row in rows).encode()


def read(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return [json.loads(line) for line in data.splitlines()]


def expected(rows):
    """Each row with the spans that the labeler itself finds."""
    found = EntitiesLabeler("slung.labelers[0]", names=NAMES).label([row["text"] for row in rows], rows)
    spans = [json.dumps({"entities": [list(s[:3]) for s in spans]}, separators=(",", ":")) for spans in found]
    return [{**row, "spans": of_row} for row, of_row in zip(rows, spans)]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst", "json", "parquet"])
def test_every_kind_of_file_comes_out_with_its_spans(tmp_path, names, suffix, monkeypatch):
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 20_000)
    rows = documents(1200)
    for row in rows:
        row.update({"big": 2**40} if suffix == "parquet" else {})
    source = tmp_path / "in" / "deep" / f"a.{suffix}"
    source.parent.mkdir(parents=True)
    if suffix == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), source, row_group_size=700)
    else:
        packed = {"gz": gzip.compress, "zst": zstandard.compress}.get(suffix[6:], bytes)
        half = as_lines(rows[:600]), as_lines(rows[600:])
        source.write_bytes(b"".join(map(packed, half)))

    result = label(tmp_path / "in", "-o", tmp_path / "out", "-l", names)

    assert result.exit_code == 0, result.output
    out = tmp_path / "out" / "deep" / f"a.{'jsonl.zst' if suffix == 'parquet' else suffix}"
    assert read(out) == expected(rows)
    assert not list(tmp_path.rglob("*.part"))


def test_a_hub_data_set_is_read_as_a_stream(tmp_path, names, monkeypatch):
    """By `datasets.load_dataset`, to which a folder is as good as a hub's id."""
    monkeypatch.setattr("axolotl_slung.corpus.tables._HUB_ROWS", 7)
    (source,) = find_sources(["somebody/corpus"], tmp_path / "out", "en", "test", ["id", "text"])
    assert source == Source(
        "somebody--corpus--en--test.jsonl.zst", "somebody/corpus", "hub", "en", "test", ("id", "text")
    )
    rows = [{key: value for key, value in row.items() if key != "big"} for row in documents(40)]
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "test.jsonl").write_bytes(as_lines(rows))
    source = replace(source, path=str(tmp_path / "corpus"), subset=None)

    (output,) = label_sources([source], tmp_path / "out", Job(read_block(None, (names,))), workers=1)

    kept = [{"id": row["id"], "text": row["text"], "spans": row["spans"]} for row in expected(rows)]
    assert read(output.path) == kept


def test_a_document_is_written_as_it_was_read(tmp_path, names):
    line = b'{ "text" : "Zo\\u00eb \\ud83d\\ude00",  "pi": 3.14159265358979323846, "n": 1e400 ,"text2":"\xc3\xab" }'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n")
    assert label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", names).exit_code == 0
    spans = json.dumps(json.dumps({"entities": [[0, 3, 1.0]]}, separators=(",", ":")))
    assert (tmp_path / "out" / "a.jsonl").read_bytes() == line[:-2] + b', "spans": ' + spans.encode() + b"}\n"


def test_the_number_of_workers_does_not_show(tmp_path, names, monkeypatch):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(documents(6000))))
    for workers in (1, 3):
        assert label(tmp_path / "a.jsonl.gz", "-o", tmp_path / f"{workers}", "-l", names, "-j", workers).exit_code == 0
    assert (tmp_path / "1" / "a.jsonl.gz").read_bytes() == (tmp_path / "3" / "a.jsonl.gz").read_bytes()


def test_several_labelers_keep_their_names(tmp_path, names):
    patterns = tmp_path / "patterns.yml"
    patterns.write_text("email: {pattern: '\\w+@\\w+', score: 0.5}", encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"text": "Zoë: me@here"}\n', encoding="utf-8")
    labelers = ["-l", names, "-l", f"{{type: patterns, path: {patterns}, name: mail}}", "-l", names]
    assert label(tmp_path / "a.jsonl", "-o", tmp_path / "out", *labelers).exit_code == 0
    (row,) = read(tmp_path / "out" / "a.jsonl")
    assert json.loads(row["spans"]) == {
        "entities": [[0, 3, 1.0]],
        "mail": [[5, 12, 0.5, "email"]],
        "entities_2": [[0, 3, 1.0]],
    }


def test_attribute_files_are_what_the_dolma_labeler_reads(tmp_path, names):
    rows = documents(30)
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(as_lines(rows)))
    assert label(tmp_path / "a.json.gz", "-o", tmp_path / "out", "-l", names, "--form", "dolma").exit_code == 0

    (tmp_path / "documents").mkdir()
    (tmp_path / "a.json.gz").rename(tmp_path / "documents" / "a.json.gz")
    dolma = f"{{type: dolma, path: {tmp_path / 'out'}, attribute: entities, name: entities}}"
    result = label(tmp_path / "documents", "-o", tmp_path / "again", "-l", dolma)
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "again" / "a.json.gz") == expected(rows)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("swapped", ["chunks", "resumed", "in order"])
def test_the_order_of_attribute_files_holds_across_chunks(tmp_path, names, monkeypatch, workers, swapped):
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 1000)
    # lines of one length; the last one has the id of the first one
    rows = [{"id": f"d{n % 59:02}", "text": f"{n % 10} {TEXTS[0]}" * 4, "n": 1} for n in range(60)]
    (tmp_path / "a.jsonl").write_bytes(as_lines(rows))
    assert label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", names, "--form", "dolma").exit_code == 0
    cuts = [chunk.end["line"] for chunk in Source("a.jsonl", str(tmp_path / "a.jsonl"), "json").chunks()]
    middle = cuts[len(cuts) // 2]
    if swapped != "in order":  # each chunk has the files' order
        rows = rows[middle:] + rows[:middle]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(as_lines(rows))
    dolma = f"{{type: dolma, path: {tmp_path / 'out'}, attribute: entities}}"
    sources, job = find_sources([str(tmp_path / "in")]), Job(read_block(None, [dolma]))
    if swapped == "resumed":
        monkeypatch.setattr("axolotl_slung.corpus.output._COMMIT_EVERY", -1)

        def stop(source, progress):
            if progress.documents:
                raise KeyboardInterrupt

        for _ in range(60):  # one chunk per run
            try:
                label_sources(sources, tmp_path / "again", job, 1, stop)
            except (KeyboardInterrupt, JobError) as error:
                if isinstance(error, JobError):
                    break
    if swapped == "in order":
        label_sources(sources, tmp_path / "again", job, workers)
        return
    with pytest.raises(
        JobError, match=r"in/a\.jsonl: its documents are not in the order of the files of the labeler 'dolma'; do not"
    ):
        label_sources(sources, tmp_path / "again", job, workers)


def test_what_cannot_be_labeled_is_listed_and_the_rest_is_labeled(tmp_path, names, monkeypatch):
    monkeypatch.setattr("axolotl_slung.corpus.chunks.LONGEST_LINE", 1000)
    good = json.dumps({"text": "Zoë", "n": 0}).encode()
    bad = {
        b'{"text": "Zo': "not valid JSON: Unterminated string",
        b'{"text": "\xff"}': "not valid UTF-8 at byte 10",
        b'["text"]': "expected an object, got a list",
        b'{"txt": "secret"}': "no column 'text'",
        b'{"text": null}': "'text': expected a string, got null",
        b'{"text": 7}': "'text': expected a string, got a number",
        b'{"text": "a", "n": NaN}': "not valid JSON: NaN",
        b"[" * 900: "its lists and objects are nested too deeply|not valid JSON: Expecting value",
        b'{"text": "' + b"x" * 5000 + b'"}': "longer than 1000 bytes",
        b'{"text": "a", "spans": []}': "'spans': already in the document; choose another --spans-field",
    }
    lines = [line for one in bad for line in (good, one)]
    cut = gzip.compress(b"\n".join(lines) + b"\n" + good * 50)
    (tmp_path / "a.jsonl.gz").write_bytes(cut[:-12])

    result = label(tmp_path / "a.jsonl.gz", "-o", tmp_path / "out", "-l", names)

    assert result.exit_code == 0, result.output
    assert len(read(tmp_path / "out" / "a.jsonl.gz")) == len(bad)
    listed = (tmp_path / "out" / ".slung" / "a.jsonl.gz.bad_lines.txt").read_text().splitlines()
    places = [line.removeprefix(f"{tmp_path / 'a.jsonl.gz'}:").partition(": ") for line in listed]
    assert [int(number) for number, _, _ in places] == [2 * n for n in range(1, len(bad) + 1)] + [
        2 * len(bad) + 1,
        2 * len(bad) + 2,
    ]
    ends = ["not valid JSON: Extra data", "the file cannot be decompressed beyond this line: its end is missing"]
    for (_, _, reason), says in zip(places, [*bad.values(), *ends]):
        assert any(reason.startswith(one) for one in says.split("|")), (reason, says)
    assert "secret" not in result.output


def test_the_reason_is_the_true_one(tmp_path, names):
    lines = [
        b'{"text": "Zo\xc3\xab", "n": ' + b"9" * 5000 + b"}",
        b'{"text": "Zo\xc3\xab", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'[{"text": "Zo\xc3\xab"},',
        b"{",
        b'{"text": "Zo\xc3\xab"}',
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    result = label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", names)
    assert result.exit_code == 0, result.output
    listed = (tmp_path / "out" / ".slung" / "a.jsonl.bad_lines.txt").read_text().splitlines()
    reasons = [line.partition("a.jsonl:")[2] for line in listed]
    assert reasons[:2] == ["1: a number has more than 4,300 digits", "2: its lists and objects are nested too deeply"]
    assert all(line.endswith("; write one object per line, and no array around them") for line in reasons[2:])


def test_a_labeler_that_refuses_a_row_does_not_take_the_others_with_it(tmp_path):
    rows = [{"text": "abc", "marks": [[0, 2, 0.5]]}, {"text": "abc", "marks": [[0, 9, 0.5]]}, {"text": "abc"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", "{type: spans, field: marks}")
    assert "2 lines could not be labeled" in result.output
    assert "a.jsonl:2: not labeled: slung.labelers[0].field: 'marks', span 0: [0, 9)" in result.output
    assert [json.loads(row["spans"]) for row in read(tmp_path / "out" / "a.jsonl")] == [{"spans": [[0, 2, 0.5]]}]


@pytest.mark.parametrize(
    "arguments, says",
    [
        (
            ["nothing.jsonl", "-o", "out", "-l", "{type: entities, path: names.txt}"],
            "nothing.jsonl: no such file or folder",
        ),
        (["in", "-o", "in/out", "-l", "{type: entities, path: names.txt}"], "--output: in/out: lies in the input in"),
        (["in/a.jsonl", "-o", "in", "-l", "{type: entities, path: names.txt}"], "--output: in: would overwrite"),
        (["in/a.txt", "-o", "out", "-l", "{type: entities, path: names.txt}"], "in/a.txt: unknown kind of file"),
        (
            ["in", "in/a.jsonl", "-o", "out", "-l", "{type: entities, path: names.txt}"],
            "would also be written to a.jsonl",
        ),
        (
            ["in", "-o", "out", "-l", "{type: entities, path: nowhere.txt}"],
            "slung.labelers[0].path: cannot read nowhere",
        ),
        (["in", "-o", "out", "-l", "{type: entities}"], "slung.labelers[0]: give either `path`"),
        (["in", "-o", "out"], "--labeler: no labeler given; pass --config FILE"),
        (["in", "-o", "out", "-c", "names.txt"], "names.txt: no `slung:` block in it"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "names.txt").write_text("- Zoë\n", encoding="utf-8")
    result = label(*arguments)
    assert result.exit_code and says in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_the_output_of_another_job_is_not_gone_on_with(tmp_path, names):
    source = tmp_path / "a.jsonl"
    source.write_bytes(as_lines(documents(3)))
    assert label(source, "-o", tmp_path / "out", "-l", names).exit_code == 0
    before = (tmp_path / "out" / "a.jsonl").read_bytes()
    assert label(source, "-o", tmp_path / "out", "-l", names).exit_code == 0  # nothing to do

    other = label(source, "-o", tmp_path / "out", "-l", names[:-1] + ", case_sensitive: false}")
    assert "was labeled with other settings, files or versions of entities; choose another" in other.output
    source.write_bytes(as_lines(documents(4)))
    assert "has changed since; choose another --output" in label(source, "-o", tmp_path / "out", "-l", names).output
    assert (tmp_path / "out" / "a.jsonl").read_bytes() == before

    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "a.jsonl").write_text("mine")
    assert "exists, but not from this command" in label(source, "-o", tmp_path / "foreign", "-l", names).output
    assert (tmp_path / "foreign" / "a.jsonl").read_text() == "mine"


def test_a_deleted_output_is_labeled_again(tmp_path, names):
    (tmp_path / "a.jsonl").write_bytes(as_lines(documents(3)))
    assert label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", names).exit_code == 0
    before = (tmp_path / "out" / "a.jsonl").read_bytes()
    (tmp_path / "out" / "a.jsonl").unlink()
    assert label(tmp_path / "a.jsonl", "-o", tmp_path / "out", "-l", names).exit_code == 0
    assert (tmp_path / "out" / "a.jsonl").read_bytes() == before
