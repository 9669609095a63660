"""No model file crashes the process: a damaged one is refused by name, and one that is accepted can be used."""

import random
import struct
import subprocess
import sys

import fasttext
import pytest

from axolotl_slung.labeling import FastTextLabeler, LabelerError

LINES = ["__label__toxic you stupid fool\n", "__label__clean what a lovely day\n"] * 100
MODELS = {
    "unigrams": {},
    "bigrams": {"wordNgrams": 2, "bucket": 50},
    "subwords": {"wordNgrams": 2, "bucket": 40, "minn": 2, "maxn": 3},
    "tree": {"loss": "hs", "wordNgrams": 2, "bucket": 50},
    "one against all": {"loss": "ova"},
    "quantized": {"wordNgrams": 2, "bucket": 500},
    "pruned": {"wordNgrams": 2, "bucket": 500},
}
HEADER = ["magic", "version", "dim", "ws", "epoch", "minCount", "neg", "wordNgrams", "loss", "model", "bucket"]
HEADER += ["minn", "maxn", "lrUpdateRate", "t", "t", "entries", "words", "labels"]
"""The int32 at the beginning of a file; `t` is a double. Two int64 follow: the tokens and the pruned n-grams."""
VALUES = [-(2**31), -2, -1, 0, 1, 2, 3, 4, 10, 64, 1000, 10**9, 2**31 - 1]
WIDE = [-(2**63), -(2**40), -2, -1, 0, 1, 2, 2**20, 2**40, 2**62, 2**63 - 1]


def model(folder, name):
    (folder / "train.txt").write_text("".join(LINES))
    options = {"dim": 10, "epoch": 2, "thread": 11, "verbose": 0} | MODELS[name]
    trained = fasttext.train_supervised(str(folder / "train.txt"), **options)
    if name in ("quantized", "pruned"):
        cutoff = {"cutoff": 300} if name == "pruned" else {}
        trained.quantize(input=str(folder / "train.txt"), retrain=False, qnorm=name == "pruned", **cutoff)
    path = folder / f"{name}.bin"
    trained.save_model(str(path))
    return path.read_bytes()


def damaged(whole):
    """Files with one or two other numbers, other bytes, or a missing end."""
    draw = random.Random(0)
    for index in range(len(HEADER)):
        for value in VALUES:
            yield whole[: 4 * index] + struct.pack("<i", value) + whole[4 * index + 4 :]
    start = 4 * len(HEADER)
    for offset in (start, start + 8):
        for value in WIDE:
            yield whole[:offset] + struct.pack("<q", value) + whole[offset + 8 :]
    for _ in range(150):
        # a number anywhere: counts, sizes of matrices and of quantizers
        changed = bytearray(whole)
        for _ in range(draw.choice([1, 1, 2])):
            at = draw.choice([draw.randrange(len(whole) - 8), draw.randrange(400), 4 * draw.randrange(len(HEADER))])
            form, values = draw.choice([("<i", VALUES), ("<q", WIDE), ("<B", range(256))])
            struct.pack_into(form, changed, min(at, len(whole) - 8), draw.choice(values))
        yield bytes(changed)
    for size in [0, 4, 30, *(draw.randrange(len(whole)) for _ in range(30))]:
        yield whole[:size]
    yield whole + bytes(8)


CHILD = """
import resource, struct, sys
from pathlib import Path
import fasttext, numba
from axolotl_slung.labeling import FastTextLabeler, LabelerError

TEXTS = ["You stupid fool. What a lovely day!", "", "fool " * 300, "x" * 3000, "\\u6f22\\U0001f600 naïve"]

def use(path):
    labeler = FastTextLabeler("slung.labelers[0]", str(path))
    labeler.check()
    for spans in labeler.label(TEXTS, [{}] * len(TEXTS)):
        assert all(0 <= span.score <= 1 for span in spans)

path, files = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
path.write_bytes(Path(sys.argv[3]).read_bytes())
use(path)  # what is loaded and compiled needs memory of its own
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
accepted = at = 0
while at < len(files):
    size = struct.unpack_from("<q", files, at)[0]
    path.write_bytes(files[at + 8 : at + 8 + size])
    print(at, flush=True)
    at += 8 + size
    try:
        use(path)
        accepted += 1
    except LabelerError as error:
        message = str(error)
        assert message.startswith(f"slung.labelers[0].") and str(path) in message, message
print("accepted", accepted)
"""


@pytest.mark.parametrize("name", MODELS)
def test_no_file_crashes_the_process(tmp_path, monkeypatch, name):
    monkeypatch.setenv("AXOLOTL_SLUNG_CACHE", str(tmp_path / "cache"))
    whole = model(tmp_path, name)
    (tmp_path / "whole").write_bytes(whole)
    files = list(damaged(whole))
    (tmp_path / "files").write_bytes(b"".join(struct.pack("<q", len(file)) + file for file in files))
    arguments = [sys.executable, "-c", CHILD, tmp_path / "model.bin", tmp_path / "files", tmp_path / "whole"]
    run = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, f"{run.returncode}: {run.stdout[-100:]} {run.stderr[-2000:]}"
    accepted = int(run.stdout.split()[-1])
    assert 0 < accepted < len(files)


@pytest.fixture(scope="module")
def subwords(tmp_path_factory):
    return model(tmp_path_factory.mktemp("headers"), "subwords")


@pytest.mark.parametrize(
    ("field", "value"),
    [("dim", 0), ("dim", -1), ("bucket", 0), ("bucket", -1), ("bucket", 10**9), ("maxn", 10**9), ("maxn", -1)]
    + [("minn", -1), ("wordNgrams", -1), ("wordNgrams", 10**9), ("loss", 0), ("loss", 9), ("entries", -1)]
    + [("words", -1), ("labels", 0)],
)  # fmt: skip
def test_a_number_that_cannot_be_right_is_named(tmp_path, subwords, field, value):
    path = tmp_path / "broken.bin"
    at = 4 * HEADER.index(field)
    path.write_bytes(subwords[:at] + struct.pack("<i", value) + subwords[at + 4 :])
    with pytest.raises(LabelerError, match=r"^slung\.labelers\[0\]\.model: .*broken\.bin: ") as caught:
        FastTextLabeler("slung.labelers[0]", str(path)).check()
    assert "is not a valid fastText classifier: it is damaged: " in str(caught.value)
    assert str(caught.value).endswith("; replace it")
