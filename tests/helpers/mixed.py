"""Small corpora for `slung mix`, and what it makes of them."""

import json
import os
import random
import signal
from pathlib import Path

import yaml
import zstandard
from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.cli.block import read_tokenizer
from axolotl_slung.mixing.config import read_mix
from axolotl_slung.mixing.inputs import find_inputs
from axolotl_slung.mixing.make import make
from helpers.tiny import TEXT, tiny_tokenizer, write_jsonl

CRITERIA = {"min_language": 0.5, "min_document": 0.3, "min_highest": 0.99, "max_lowest": 1.0e-4, "min_sentences": 2}


def base_rows(count: int, name: str) -> list[dict]:
    draw = random.Random(name)
    return [{"id": f"{name}-{n}", "text": f"{name} {n}. " + " ".join(draw.sample(TEXT, 2))} for n in range(count)]


def risky_rows(count: int) -> list[dict]:
    draw = random.Random(count)
    rows = []
    for number in range(count):
        first, second = draw.choice(TEXT), f" You are fool number {number}!"
        ends = len(first), len(first + second)
        spans = [[0, ends[0], draw.choice([0.0, 1e-5, 0.3])], [ends[0], ends[1], draw.choice([0.5, 0.995, 1.0])]]
        scores = {"english": draw.random(), "toxic": draw.random()}
        rows.append({"id": number, "text": first + second, "spans": spans, **scores})
    return rows


def settings(folder: Path, **others) -> dict:
    """The YAML of a mix of the corpora in a folder."""
    return {
        "tokenizer": str(tiny_tokenizer(folder)),
        "base": [{"path": str(folder / "base")}],
        "risky": [{"path": str(folder / "risky.jsonl"), "document_field": "toxic", "language_field": "english"}],
        "criteria": CRITERIA,
        "tokens": 30_000,
        "budgets": {"small": 600, "large": 2_500, "none": 0},
        "seeds": [0, 7],
        "heldout": {"base": 2_000, "risky": 500},
        **others,
    }


def corpora(folder: Path, risky: int = 1200) -> None:
    for name in ("one", "two"):
        rows = base_rows(300, name)
        # a text that is there often, and one that is also risky
        rows[5:15] = [{**rows[5], "id": f"again-{n}"} for n in range(10)]
        write_jsonl(folder / "base" / f"{name}.jsonl", rows)
    write_jsonl(folder / "risky.jsonl", risky_rows(risky))


def run_mix(settings: dict, output: Path, *arguments: str):
    """`slung mix` in this process."""
    path = output.with_suffix(".yml")
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    result = CliRunner().invoke(main, ["mix", str(path), "-o", str(output), "-j", "1", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def rows_of(path: Path) -> list[dict]:
    """The rows of a file of a mix, or of all files in a folder, in order."""
    if path.is_dir():
        return [row for one in sorted(path.iterdir()) for row in rows_of(one)]
    content = path.read_bytes()
    if path.suffix == ".zst":
        with zstandard.ZstdDecompressor().stream_reader(content) as stream:
            content = stream.read()
    return [json.loads(line) for line in content.splitlines()]


def files_of(folder: Path) -> dict[str, bytes]:
    """All files that a mix has for its users."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".slung" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def few(folder: Path, **others) -> dict:
    """The YAML of a small mix of the corpora in a folder."""
    return settings(folder, **{"tokens": 12_000, "budgets": {"a": 300, "b": 900}, "seeds": [3], **others})


def read_few(folder: Path, output: Path, **others):
    """`few` as a mix, with its inputs and its tokenizer."""
    mix = read_mix(few(folder, **others), "mix.yml")
    return mix, find_inputs(mix, output), read_tokenizer(mix.tokenizer)


def made_in(folder: Path, output: Path, workers: int = 1, **others) -> bool:
    """Build `few`."""
    return make(*read_few(folder, output, **others), output, workers, lambda *_: None)


def killed(when, work) -> int:
    """Do the work in a process that is killed at a moment at which it changes a file.

    Args:
        when: of the number of such moments so far, and the path that appears, whether it is killed.

    Returns:
        How many such moments there were until the end; -1 if it was killed.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        counted = [0]

        def counting(function):
            def counted_function(*arguments):
                counted[0] += 1
                if when(counted[0], str(arguments[-1])):
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments)

            return counted_function

        os.fsync, Path.replace = counting(os.fsync), counting(Path.replace)
        try:
            work()
            os.write(write, str(counted[0]).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    return -1 if os.WIFSIGNALED(status) else int(content)
