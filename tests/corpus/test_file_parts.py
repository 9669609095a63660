"""Files cut into tasks: each line in exactly one part, and the joined output that of `slung label`, byte for byte."""

import json
import random

import pytest

from axolotl_slung.config import SlungConfig
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job
from axolotl_slung.corpus.output import STATE, Output, OutputError
from axolotl_slung.corpus.parts import Part, is_done, join, tasks
from axolotl_slung.corpus.progress import progress_of, write_plan
from axolotl_slung.corpus.record import claim
from axolotl_slung.corpus.run import label_sources


def odd_lines(seed, number=40):
    """Lines of very different lengths, some of them no documents, as one file's bytes."""
    draw = random.Random(seed)
    lines = []
    for n in range(number):
        text = " ".join(draw.choices(["Zoë", "said", "nothing.", "\n", "Ada"], k=draw.choice([0, 1, 5, 200])))
        line = json.dumps({"id": str(n), "text": text}, ensure_ascii=draw.random() < 0.5).encode()
        odd = [b"", b"{broken", b"\xef\xbb\xbf" + line, b"[]", b"\xff\xff", line + b"\r"]
        lines.append(draw.choice(odd) if draw.random() < 0.3 else line)
    return b"\n".join(lines) + b"\n" * (draw.random() < 0.5)


@pytest.fixture
def job(tmp_path):
    (tmp_path / "names.txt").write_text("Zoë\nAda", encoding="utf-8")
    return Job(SlungConfig(labelers=[{"type": "entities", "path": str(tmp_path / "names.txt")}]))


def label_in_tasks(folder, job, number, order=None):
    """As `datatrove.LabelFiles` does it, one task after the other."""
    out = folder / "tasks"
    divided = tasks(find_sources([str(folder / "in")], out), number)
    write_plan(out, divided)
    claim(out, job)
    for task in order or range(number):
        label_sources([item for item in divided[task] if not isinstance(item, Part)], out, job, workers=1, barren=True)
        for part in (item for item in divided[task] if isinstance(item, Part)):
            label_sources([part], out / STATE / part.folder, job, workers=1, barren=True)
            parts = [
                other for items in divided for other in items if isinstance(other, Part) and other.name == part.name
            ]
            join(out, sorted(parts, key=lambda other: other.start), job.identity())
    return divided


def written(folder):
    """The outputs and the lists of bad lines, without what belongs to parts."""
    kept = [path for path in folder.rglob("*") if path.is_file() and "parts" not in path.relative_to(folder).parts]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in kept
        if path.name.endswith((".jsonl", ".zst", ".gz", ".bad_lines.txt"))
    }


@pytest.mark.parametrize("seed", range(8))
def test_parts_join_to_the_whole(tmp_path, job, seed):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.jsonl").write_bytes(odd_lines(seed))
    (tmp_path / "in" / "deep" / "b.jsonl").write_bytes(odd_lines(seed + 100, 6))
    (tmp_path / "in" / "empty.jsonl").write_bytes(b"")
    label_sources(find_sources([str(tmp_path / "in")]), tmp_path / "whole", job, workers=1)

    number = [2, 3, 7, 13, 40, 200, 400, 5][seed]
    order = random.Random(seed).sample(range(number), number)
    divided = label_in_tasks(tmp_path, job, number, order)
    assert written(tmp_path / "tasks") == written(tmp_path / "whole")
    if number > 2:
        assert any(isinstance(item, Part) for task in divided for item in task)

    # `slung label` takes the joined output for its own, and does not label again
    source = find_sources([str(tmp_path / "in" / "a.jsonl")])[0]
    joined, whole = (Output(tmp_path / folder, source, job.identity()).recorded() for folder in ("tasks", "whole"))
    assert joined[1] == whole[1] and joined[0].documents == whole[0].documents and joined[0].size == whole[0].size
    before = (tmp_path / "tasks" / "a.jsonl").stat().st_mtime_ns
    label_sources(find_sources([str(tmp_path / "in")]), tmp_path / "tasks", job, workers=1)
    assert (tmp_path / "tasks" / "a.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize("number", [2, 5, 30])
def test_parquet_is_cut_between_row_groups(tmp_path, job, number):
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    table = pyarrow.table({"text": [f"{n} Zoë {'said ' * (n % 50)}" for n in range(3000)]})
    parquet.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=700)
    label_sources(find_sources([str(tmp_path / "in")]), tmp_path / "whole", job, workers=1)
    divided = label_in_tasks(tmp_path, job, number)
    assert written(tmp_path / "tasks") == written(tmp_path / "whole")
    assert sum(len(task) for task in divided) == min(2 * number, 5)


def test_tasks_are_even(tmp_path):
    """4 large files among 64 tasks; small files and compressed ones stay whole."""
    (tmp_path / "in").mkdir()
    for n in range(4):
        (tmp_path / "in" / f"{n}.jsonl").write_bytes(b"x" * 100_000)
    (tmp_path / "in" / "small.jsonl").write_bytes(b"x" * 10)
    (tmp_path / "in" / "packed.jsonl.gz").write_bytes(b"x" * 30_000)
    sources = find_sources([str(tmp_path / "in")])
    divided = tasks(sources, 64)
    loads = [sum(item.size for item in task) for task in divided]
    assert sum(loads) == 430_010 and sorted(loads)[-2] <= 2 * 430_010 / 64 and min(loads) > 0
    whole = {item.name for task in divided for item in task if not isinstance(item, Part)}
    assert whole == {"small.jsonl", "packed.jsonl.gz"}
    assert tasks(sources, 64) == divided and tasks(sources, 1) == [sources]


def test_a_join_that_was_killed_begins_again(tmp_path, job, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(odd_lines(1))
    label_sources(find_sources([str(tmp_path / "in")]), tmp_path / "whole", job, workers=1)
    with monkeypatch.context() as broken:
        broken.setattr("shutil.copyfileobj", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            label_in_tasks(tmp_path, job, 3)
    assert not (tmp_path / "tasks" / "a.jsonl").exists()
    label_in_tasks(tmp_path, job, 3)
    assert written(tmp_path / "tasks") == written(tmp_path / "whole")
    # a task that is started again has nothing to do, and labels nothing
    label = Job.label
    monkeypatch.setattr(Job, "label", lambda *_: 1 / 0)
    divided = tasks(find_sources([str(tmp_path / "in")], tmp_path / "tasks"), 3)
    assert is_done(Output(tmp_path / "tasks", divided[0][0].whole, job.identity()))
    monkeypatch.setattr(Job, "label", label)


def test_another_jobs_parts_are_refused(tmp_path, job):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(odd_lines(1))
    label_in_tasks(tmp_path, job, 3)
    (tmp_path / "names.txt").write_text("Ada")
    other = Job(SlungConfig(labelers=[{"type": "entities", "path": str(tmp_path / "names.txt")}]))
    with pytest.raises(OutputError, match="was labeled with other settings, files or versions"):
        label_in_tasks(tmp_path, other, 3)


def test_progress_over_tasks(tmp_path, job):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(odd_lines(1))
    (tmp_path / "in" / "b.jsonl").write_bytes(odd_lines(2, 3))
    with pytest.raises(OutputError, match="no labeling job has written here"):
        progress_of(tmp_path / "tasks")
    divided = label_in_tasks(tmp_path, job, 3, order=[1])
    states = [task.finished for task in progress_of(tmp_path / "tasks")]
    assert states == [False, True, False] and progress_of(tmp_path / "tasks")[0].written is None
    label_in_tasks(tmp_path, job, 3)
    found = progress_of(tmp_path / "tasks")
    assert all(task.finished and task.read == task.size for task in found)
    assert [task.size for task in found] == [sum(item.size for item in task) for task in divided]
    lines = sum(line.count(b"\n") for line in written(tmp_path / "tasks").values())
    assert sum(task.documents + task.bad for task in found) == lines

    # without tasks, as `slung label` writes it: by file
    label_sources(find_sources([str(tmp_path / "in")]), tmp_path / "whole", job, workers=1)
    assert [task.name for task in progress_of(tmp_path / "whole")] == ["a.jsonl", "b.jsonl"]
