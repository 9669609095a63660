"""Killed at random moments and run again: the output of an undisturbed run."""

import bz2
import gzip
import json
import lzma
import random
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from axolotl_slung.corpus.found import Found
from axolotl_slung.corpus.job import Labeled
from axolotl_slung.corpus.output import Output, OutputError
from axolotl_slung.corpus.sources import Source

SLOW_LABELER = """
import time

class Slow:
    def label(self, texts, rows):
        time.sleep(0.002 * len(texts))
        return [[(0, 1, 0.5)] if text else [] for text in texts]
"""


def command(tmp_path, out):
    labeler = f"{{type: custom, class_path: '{tmp_path / 'slow.py'}:Slow'}}"
    program = [sys.executable, "-m", "axolotl_slung.cli", "label", tmp_path / "in", "-o", out, "-j", "2", "-l", labeler]
    # a chunk of a few kilobytes and a journal entry after each, so that there is much to interrupt
    prelude = "import axolotl_slung.corpus.chunks as s, axolotl_slung.corpus.output as o; s.CHUNK_BYTES = 4000; "
    prelude += "o._COMMIT_EVERY = 0.02; from axolotl_slung.cli import main; main()"
    return [program[0], "-c", prelude, *map(str, program[3:]), "--no-cache"]


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and ".slung" not in p.parts
    }


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments(tmp_path, kills):
    draw = random.Random(kills)
    (tmp_path / "slow.py").write_text(SLOW_LABELER)
    (tmp_path / "in").mkdir()
    pack = {"jsonl": bytes, "gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
    for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.jsonl.bz2", "e.jsonl.xz"):
        rows = [json.dumps({"id": f"{name}-{n}", "text": "ab " * draw.randint(0, 60)}) for n in range(250)]
        rows[7] = rows[200] = "{broken"
        (tmp_path / "in" / name).write_bytes(pack[name.split(".")[-1]]("\n".join(rows).encode()))
    for name, group in (("f.parquet", 1000), ("g.parquet", 37)):
        texts = [None if n in (7, 200) else "ab " * draw.randint(0, 60) for n in range(250)]
        table = pyarrow.table({"text": texts, "day": [datetime(2020, 1, 1) + timedelta(n) for n in range(250)]})
        parquet.write_table(table, tmp_path / "in" / name, row_group_size=group)
    start = time.monotonic()
    undisturbed = subprocess.run(command(tmp_path, tmp_path / "whole"), capture_output=True, text=True)
    duration = time.monotonic() - start
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert len(outputs(tmp_path / "whole")) == 7

    out, killed = tmp_path / "out", 0
    for _ in range(10 * kills):
        process = subprocess.Popen(command(tmp_path, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            process.communicate(timeout=draw.uniform(0.1, 1.0) * duration)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        else:
            assert process.returncode == 0
            assert outputs(out) == outputs(tmp_path / "whole")
            listed = sorted((tmp_path / "whole" / ".slung").glob("*.bad_lines.txt"))
            assert len(listed) == 7
            for path in listed:
                assert (out / ".slung" / path.name).read_text() == path.read_text()
            if killed >= kills:
                return
            out = tmp_path / f"out{killed}"
    pytest.fail(f"{killed} of {kills} kills")


def test_workers_do_not_outlive_a_killed_command(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW_LABELER)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "ab"}\n' * 5000)
    process = subprocess.Popen(command(tmp_path, tmp_path / "out"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    part = tmp_path / "out" / "a.jsonl.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.communicate()
    while any(_alive(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_two_runs_do_not_write_one_output(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    source = Source("a.jsonl", str(tmp_path / "a.jsonl"), "json")
    first = Output(tmp_path / "out", source, {"job": 1})
    first.open()
    with pytest.raises(OutputError, match="another run is writing it"):
        Output(tmp_path / "out", source, {"job": 1}).open()
    first.close()
    Output(tmp_path / "out", source, {"job": 1}).open()


def test_an_output_shorter_than_its_journal_is_not_gone_on_with(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n')
    source = Source("a.jsonl", str(tmp_path / "a.jsonl"), "json")
    output = Output(tmp_path / "out", source, {"job": 1})
    output.open()
    output.add(Labeled(b"x" * 100, 1, [], Found({}, {}), {}, {}), {"line": 1, "byte": 13}, 13)
    output._commit()
    output.close()
    (tmp_path / "out" / "a.jsonl.part").write_bytes(b"x" * 50)
    with pytest.raises(OutputError, match="shorter than its journal says; delete it"):
        Output(tmp_path / "out", source, {"job": 1}).open()
