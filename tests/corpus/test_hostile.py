"""Random and mutated input: no crash, every bad line counted, the rest labeled."""

import gzip
import json
import random

import pytest
import zstandard
from click.testing import CliRunner

from axolotl_slung.cli import main

SPECIAL = [
    b"", b" ", b"\r", b"{}", b"[]", b"null", b"3", b'"text"', b"{", b"\x00", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00",
    b'{"text": {"text": "a"}}', b'{"text": ["a"]}', b'{"text": true}', b'{"text": "a", "x": Infinity}', b"[" * 5000,
    b'{"text": "\\ud800"}', b'{"text": "a"} {"text": "b"}', b'{"text": "a",}', b"{'text': 'a'}", b'{"text": "a\x00"}',
    b'{"a":' * 2000 + b'1' + b"}" * 2000, b'{"text": "a", "n": ' + b"9" * 5000 + b"}", b'{"text": ""}',
    b'{"text": "Zo\xc3\xab", "text": "Zo\xc3\xab Zo\xc3\xab"}', b'{"text": "' + b"Zo\xc3\xab " * 3000 + b'"}',
]  # fmt: skip


def hostile_lines(size: int, draw: random.Random) -> list[bytes]:
    lines = []
    for number in range(size):
        text = "".join(
            draw.choices(["Zoë", " ", "a", "😀", "\\", '"', "\t", "\u2028", "\x7f", "é"], k=draw.randint(0, 30))
        )
        line = bytearray(json.dumps({"id": number, "text": text}, ensure_ascii=draw.random() < 0.5).encode())
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


@pytest.mark.parametrize("size", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_hostile_lines(tmp_path, size):
    names = tmp_path / "names.txt"
    names.write_text("Zoë", encoding="utf-8")
    folder, draw = tmp_path / "in", random.Random(size)
    folder.mkdir()
    plain = b"\n".join(hostile_lines(size // 2, draw))
    (folder / "plain.jsonl").write_bytes(plain)
    packed = {}
    for number in range(10):
        lines = hostile_lines(size // 20, draw)
        name = f"{number}.jsonl.{'gz' if number % 2 else 'zst'}"
        whole = (gzip.compress if number % 2 else zstandard.compress)(b"\n".join(lines))
        damaged = bytearray(whole[: draw.randint(1, len(whole))] if number < 6 else whole)
        if number in (4, 5):
            damaged[draw.randrange(len(damaged))] ^= 0xFF
        if number in (6, 7):
            damaged += b"trailing"
        (folder / name).write_bytes(damaged)
        packed[name] = lines

    entities = f"{{type: entities, path: {names}}}"
    result = CliRunner().invoke(main, ["label", str(folder), "-o", str(tmp_path / "out"), "-l", entities, "-j", "1"])

    assert result.exit_code == 0, (result.output, result.exception)
    listed = [
        line for path in (tmp_path / "out/.slung").glob("*.txt") for line in path.read_bytes().decode().splitlines()
    ]
    assert not any("\x1b" in line or "Zo" in line for line in listed)
    lines = [line.removeprefix(b"\xef\xbb\xbf") if n == 0 else line for n, line in enumerate(plain.split(b"\n"))]
    bad = [number for number, line in enumerate(lines, 1) if line.strip() and not is_document(line.strip())]
    start = f"{folder / 'plain.jsonl'}:"
    assert [int(line[len(start) :].split(":")[0]) for line in listed if line.startswith(start)] == bad
    good = [line.strip() for line in lines if line.strip() and is_document(line.strip())]
    labeled = (tmp_path / "out/plain.jsonl").read_bytes().splitlines()
    assert len(labeled) == len(good) and len(good) > size // 20
    for line, of in zip(labeled, good):
        row = json.loads(line)
        spans = json.loads(row.pop("spans"))["entities"]
        assert row == json.loads(of)
        assert all(row["text"][start:end] == "Zoë" for start, end, _ in spans)

    for name, lines in packed.items():
        # a damaged file is labeled up to its damage, which is listed
        data = (tmp_path / "out" / name).read_bytes()
        unpacked = gzip.decompress(data) if name.endswith("gz") else _unzstd(data)
        whole = [line.strip() for line in b"\n".join(lines).split(b"\n") if line.strip() and is_document(line.strip())]
        found = [{k: v for k, v in json.loads(line).items() if k != "spans"} for line in unpacked.splitlines()]
        assert found == [json.loads(line) for line in whole[: len(found)]]
        if name[0] in "89":
            assert len(found) == len(whole)
        elif name[0] in "67":
            assert len(found) == len(whole) and any(f"{name}:" in line and "decompressed" in line for line in listed)


def _unzstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
