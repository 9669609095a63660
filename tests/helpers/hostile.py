"""Random and mutated input for `slung label`: no crash, every bad line counted, the rest labeled.

    PYTHONPATH=tests python -m helpers.hostile --inputs 100000 --seed 1

An input is a line or a row. A round has about 1000 of them: JSON lines, plain and compressed, whole and damaged, and
Parquet files of random types, whole and with changed bytes. It stops at the first round that fails, with its seed.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import zstandard
from click.testing import CliRunner
from pyarrow import parquet

from axolotl_slung.cli import main as slung
from helpers.arrow_values import random_type, random_value, reference

ROUND = 1000

SPECIAL = [
    b"", b" ", b"\r", b"{}", b"[]", b"null", b"3", b'"text"', b"{", b"\x00", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00",
    b'{"text": {"text": "a"}}', b'{"text": ["a"]}', b'{"text": true}', b'{"text": "a", "x": Infinity}', b"[" * 5000,
    b'{"text": "\\ud800"}', b'{"text": "a"} {"text": "b"}', b'{"text": "a",}', b"{'text': 'a'}", b'{"text": "a\x00"}',
    b'{"a":' * 2000 + b'1' + b"}" * 2000, b'{"text": "a", "n": ' + b"9" * 5000 + b"}", b'{"text": ""}',
    b'{"text": "Zo\xc3\xab", "text": "Zo\xc3\xab Zo\xc3\xab"}', b'{"text": "' + b"Zo\xc3\xab " * 3000 + b'"}',
]  # fmt: skip

PACKINGS = {"gz": gzip, "zst": zstandard, "bz2": bz2, "xz": lzma}


def hostile_text(draw: random.Random) -> str:
    return "".join(draw.choices(["Zoë", " ", "a", "😀", "\\", '"', "\t", "\u2028", "\x7f", "é"], k=draw.randint(0, 30)))


def hostile_lines(size: int, draw: random.Random) -> list[bytes]:
    """The first one is a document: a file that begins with other bytes may be refused as a whole."""
    lines = [b'{"text": "Zo\xc3\xab"}']
    for number in range(size - 1):
        line = bytearray(
            json.dumps({"id": number, "text": hostile_text(draw)}, ensure_ascii=draw.random() < 0.5).encode()
        )
        kind = draw.random()
        if kind < 0.3:
            line = bytearray(draw.choice(SPECIAL))
        elif kind < 0.8:
            for _ in range(draw.randint(1, 4)):
                place = draw.randrange(len(line) + 1)
                match draw.randrange(4):
                    case 0:
                        line[place:place] = draw.randbytes(draw.randint(1, 5))
                    case 1:
                        del line[place : place + draw.randint(1, 9)]
                    case 2:
                        line[place : place + 1] = draw.choice([b"\n", b"\\", b'"', b"\xed\xa0\x80", b"}", b"\x1b[2J"])
                    case 3:
                        line[place:] = line[:place]
        lines.append(bytes(line))
    return lines


def is_document(line: bytes) -> bool:
    """What a line must be to be labeled, once more and in the plainest way."""

    def refuse(constant):
        raise ValueError

    try:
        row = json.loads(line.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and isinstance(row.get("text"), str) and "spans" not in row


def hostile_table(size: int, draw: random.Random) -> tuple[pa.Table, list[dict | None]]:
    """A table with a column `text`, and its rows as JSON; None for those that are no documents."""
    kinds = {f"c{n}": random_type(draw, 3) for n in range(draw.randint(0, 4))}
    columns = {name: [random_value(kind, draw) for _ in range(size)] for name, kind in kinds.items()}
    texts = [None if draw.random() < 0.1 else hostile_text(draw).encode() for _ in range(size)]
    broken = {n for n in range(size) if texts[n] is not None and draw.random() < 0.1}
    for n in broken:
        texts[n] += b"\xff"
    binary = pa.array(texts, pa.binary())
    text = pa.Array.from_buffers(pa.string(), size, binary.buffers())
    table = pa.table({"text": text, **{name: pa.array(columns[name], kind) for name, kind in kinds.items()}})
    lists = {name: table[name].to_pylist() for name in kinds}
    rows = [
        None
        if texts[n] is None or n in broken
        else {"text": texts[n].decode(), **{name: reference(lists[name][n], kinds[name]) for name in kinds}}
        for n in range(size)
    ]
    return table, rows


def written(table: pa.Table, draw: random.Random) -> bytes:
    out = io.BytesIO()
    parquet.write_table(
        table,
        out,
        row_group_size=draw.choice([1, 7, 1000]),
        compression=draw.choice(["none", "snappy", "gzip", "zstd"]),
        use_dictionary=draw.random() < 0.5,
        data_page_size=draw.choice([100, 1 << 20]),
        data_page_version=draw.choice(["1.0", "2.0"]),
    )
    return out.getvalue()


class Round:
    """One folder of hostile input, and what has to come out.

    Args:
        folder: an empty folder.
        seed: of all that is random.
        size: about how many lines and rows.
    """

    def __init__(self, folder: Path, seed: int, size: int = ROUND):
        self.folder, self.draw, self.size = folder, random.Random(seed), size
        (folder / "names.txt").write_text("Zoë", encoding="utf-8")
        (folder / "in").mkdir()

    def run(self) -> None:
        """Raises AssertionError where the output is not what it has to be."""
        lines = {"plain.jsonl": hostile_lines(self.size // 2, self.draw)}
        whole, flipped = {"plain.jsonl"}, set()
        (self.folder / "in" / "plain.jsonl").write_bytes(b"\n".join(lines["plain.jsonl"]))
        for suffix, packing in PACKINGS.items():
            for number in range(2):
                name = f"{suffix}{number}.jsonl.{suffix}"
                lines[name] = hostile_lines(self.size // 32, self.draw)
                data = bytearray(packing.compress(b"\n".join(lines[name])))
                damage = self.draw.randrange(4) if number else 0
                if damage == 1:
                    del data[self.draw.randint(1, len(data)) :]
                elif damage == 2:
                    data[self.draw.randrange(8, len(data))] ^= 1 << self.draw.randrange(8)
                    flipped.add(name)
                elif damage == 3:
                    data += b"trailing"
                else:
                    whole.add(name)
                (self.folder / "in" / name).write_bytes(data)
        tables = {}
        for number in range(4):
            table, tables[f"t{number}.parquet"] = hostile_table(self.size // 16, self.draw)
            (self.folder / "in" / f"t{number}.parquet").write_bytes(written(table, self.draw))
        listed, code, output = self.label("in", "out")
        assert " documents labeled" in output, output
        for name, of_file in lines.items():
            if name in flipped:  # lines may have changed before the format's checksum, if it has one
                for row in self.read("out", name):
                    self._check_spans(row)
            else:
                self._check_lines(name, of_file, listed, name in whole)
        for name, rows in tables.items():
            self._check_rows(name, rows, listed)
        barren = [name for name in [*lines, *tables] if listed.get(name) and not self.read("out", name)]
        assert code == bool(barren), output
        self._changed_tables()

    def _changed_tables(self) -> None:
        """Parquet files with changed bytes: rows that come out are documents, or the command says what is wrong."""
        for number in range(4):
            table, _ = hostile_table(self.size // 64, self.draw)
            data = bytearray(written(table, self.draw))
            for _ in range(self.draw.randint(1, 3)):
                data[self.draw.randrange(4, len(data))] ^= 1 << self.draw.randrange(8)
            (self.folder / f"changed{number}").mkdir()
            (self.folder / f"changed{number}" / "a.parquet").write_bytes(data)
            self.label(f"changed{number}", f"out{number}")
            for row in self.read(f"out{number}", "a.parquet"):
                assert isinstance(row["text"], str) and isinstance(row["spans"], str)

    def label(self, source: str, out: str) -> tuple[dict[str, list[tuple[int, str]]], int, str]:
        """The bad lines of each file, the exit code, and what was printed."""
        entities = f"{{type: entities, path: {self.folder / 'names.txt'}}}"
        command = ["label", str(self.folder / source), "-o", str(self.folder / out), "-l", entities, "-j", "1"]
        result = CliRunner().invoke(slung, command)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (0, 1) and "\x1b" not in result.output and "Zo" not in result.output, result.output
        listed: dict[str, list[tuple[int, str]]] = {}
        for path in (self.folder / out / ".slung").glob("*.bad_lines.txt"):
            for line in path.read_bytes().decode().splitlines():
                assert "\x1b" not in line and "Zo" not in line
                place, number, reason = line.split(":", 2)
                listed.setdefault(Path(place).name, []).append((int(number), reason.strip()))
        return listed, result.exit_code, result.output

    def read(self, out: str, name: str) -> list[dict]:
        suffix = name.rpartition(".")[2]
        path = self.folder / out / (name if suffix in ("jsonl", "gz") else f"{name.split('.')[0]}.jsonl.zst")
        if suffix in ("bz2", "xz", "zst"):
            path = self.folder / out / f"{name.removesuffix(suffix)}zst"
        if not path.exists():
            return []
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
        return [json.loads(line) for line in data.split(b"\n") if line]

    def _check_lines(self, name: str, of_file: list[bytes], listed, whole: bool) -> None:
        lines = b"\n".join(of_file).split(b"\n")
        good = [line.strip() for line in lines if line.strip() and is_document(line.strip())]
        found = self.read("out", name)
        for row, line in zip(found, good):
            self._check_spans(row)
            # the last line before a cut may be a document that was none with its rest
            assert row == json.loads(line) or (not whole and row is found[-1]), name
        bad = [n for n, line in enumerate(lines, 1) if line.strip() and not is_document(line.strip())]
        told = [number for number, _ in listed.get(name, [])]
        if whole:
            assert len(found) == len(good) and told == bad, name
        elif len(found) < len(good):
            assert len(told) and told[:-2] == bad[: len(told[:-2])], name

    def _check_rows(self, name: str, rows: list[dict | None], listed) -> None:
        found = self.read("out", name)
        for row in found:
            self._check_spans(row)
        assert found == [row for row in rows if row is not None], name
        assert [number for number, _ in listed.get(name, [])] == [n for n, row in enumerate(rows, 1) if row is None]

    @staticmethod
    def _check_spans(row: dict) -> None:
        spans = json.loads(row.pop("spans"))["entities"]
        assert all(row["text"][start:end] == "Zoë" for start, end, _ in spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for number in range(0, options.inputs, ROUND):
        seed = options.seed + number
        with tempfile.TemporaryDirectory() as name:
            try:
                Round(Path(name), seed).run()
            except BaseException:
                print(f"seed {seed} fails")
                raise
        done = number + ROUND
        if done % (10 * ROUND) == 0 or done >= options.inputs:
            print(f"{done} inputs", flush=True)


if __name__ == "__main__":
    main()
