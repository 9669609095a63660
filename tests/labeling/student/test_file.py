import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from axolotl_slung.errors import SlungError
from axolotl_slung.labeling.student import file
from axolotl_slung.labeling.student.file import Student

CARD = {"format": 1, "kind": "student", "name": "s", "cuts": [0.25, 0.75], "floor": 0.1}


def student(**changed):
    card = {**CARD, **changed.pop("card", {})}
    arrays = {"weights": np.ones(256, np.float32), "intercept": np.float32([1]), "context": np.ones(10, np.float32)}
    return Student(card, **{**arrays, **changed})


def test_what_is_written_is_read(tmp_path):
    path, again = tmp_path / "a.npz", tmp_path / "b.npz"
    file.write(path, student())
    file.write(again, student())
    assert path.read_bytes() == again.read_bytes()
    found = file.read("x", path)
    assert found.card == CARD
    assert all((mine == its).all() for mine, its in zip(student()[1:], found[1:]))


def refused(path, says):
    with pytest.raises(SlungError, match=f"^here: .*{says}") as error:
        file.read("here", path)
    assert len(str(error.value)) < 400 and "secret" not in str(error.value)


@pytest.mark.parametrize(
    "changed, says",
    [
        ({"weights": np.ones(300, np.float32)}, "power of two"),
        ({"weights": np.ones(16, np.float32)}, "weights: has another shape"),
        ({"weights": np.ones((256, 2), np.float32)}, "weights: has another shape"),
        ({"weights": np.full(256, np.nan, np.float32)}, "weights are not finite"),
        ({"intercept": np.float32([np.inf])}, "intercept are not finite"),
        ({"context": np.ones(9, np.float32)}, "context: has another shape"),
        ({"context": np.full(10, 1e30, np.float32)}, "too large"),
        ({"card": {"kind": "n-grams"}}, "no card of a student"),
        ({"card": {"format": 2}}, "another version"),
        ({"card": {"cuts": [0.75, 0.25]}}, "do not ascend"),
        ({"card": {"cuts": [0.25, float("nan")]}}, "no `cuts`"),
        ({"card": {"cuts": ["a", "b"]}}, "no `cuts`"),
        ({"card": {"cuts": None}}, "no `cuts`"),
        ({"card": {"floor": 0.0}}, "do not ascend"),
        ({"card": {"floor": True}}, "no `cuts` or no `floor`"),
    ],
)
def test_a_wrong_content_is_refused(changed, says, tmp_path):
    path = tmp_path / "student.npz"
    file.write(path, student(**changed))
    refused(path, says)


def member(array=None, header=None, body=b""):
    if array is not None:
        with io.BytesIO() as written:
            np.lib.format.write_array(written, array, version=(1, 0))
            return written.getvalue()
    head = (header + " " * (-len(header) % 64) + "\n").encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + body


def archive(path, compression=zipfile.ZIP_DEFLATED, **members):
    made = {
        "card": member(np.frombuffer(json.dumps(CARD).encode(), np.uint8)),
        "weights": member(np.ones(256, np.float16)),
        "intercept": member(np.ones(1, np.float32)),
        "context": member(np.ones(10, np.float32)),
    }
    with zipfile.ZipFile(path, "w", compression) as out:
        for name, content in {**made, **members}.items():
            if content is not None:
                out.writestr(f"{name}.npy", content)
    return path


def test_the_archive_of_the_test_is_read(tmp_path):
    assert file.read("here", archive(tmp_path / "a.npz")).card == CARD


@pytest.mark.parametrize(
    "members",
    [
        {"weights": None},
        {"weights": b""},
        {"weights": member(np.ones(256, np.float16))[:-2]},
        {"weights": member(np.ones(256, np.float16)) + b"\0\0"},
        {"weights": member(header="{'descr': '<f2', 'fortran_order': False, 'shape': (-1,), }")},
        {"weights": member(header="{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000,), }")},
        {
            "weights": member(
                header="{'descr': '|O', 'fortran_order': False, 'shape': (256,), }", body=b"\x80\x04." * 300
            )
        },
        {"weights": member(header="{'descr': '<f2', 'fortran_order': False, 'shape': 256, }")},
        {"weights": member(header="__import__('os').system('false')")},
        {"weights": member(header="{'secret': " * 500)},
        {"card": member(np.frombuffer(b"{" * 100_000, np.uint8))},
        {"card": member(np.frombuffer(b"[" * 1_000_000, np.uint8))},
        {"card": member(np.frombuffer(b"\xff\xfe", np.uint8))},
        {"card": member(np.frombuffer(b"[1]", np.uint8))},
    ],
)
def test_a_hostile_archive_is_refused(members, tmp_path):
    refused(archive(tmp_path / "student.npz", **members), "student")


def test_a_bomb_takes_no_memory(tmp_path):
    """64 MB of zeros in 64 kB: no more is unpacked than the header says."""
    path = tmp_path / "student.npz"
    header = "{'descr': '<f2', 'fortran_order': False, 'shape': (256,), }"
    with (
        zipfile.ZipFile(archive(path, weights=None), "a", zipfile.ZIP_DEFLATED, compresslevel=1) as out,
        out.open("weights.npy", "w") as entry,
    ):
        entry.write(member(header=header))
        for _ in range(64):
            entry.write(bytes(1 << 20))
    tracemalloc.start()
    refused(path, "another size")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}", bytes(1000)])
def test_another_kind_of_file_is_refused(content, tmp_path):
    path = tmp_path / "student.npz"
    path.write_bytes(content)
    refused(path, "is not a usable student: it is damaged")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "student.npz"
    file.write(path, student(weights=np.random.default_rng(0).normal(size=4096).astype(np.float32)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    refused(path, "damaged")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "it is not a file")
    refused(tmp_path, "it is not a file")


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.npz", "No such file or directory; check the path")
