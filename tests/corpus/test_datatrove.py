"""The labeling as datatrove steps, by the example's own command line; its files are `slung label`'s, byte for byte."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

pytest.importorskip("datatrove", reason="pip install '.[datatrove]'")

EXAMPLE = ROOT / "example_configs" / "label_with_datatrove.py"
BIN = Path(sys.executable).parent


@pytest.fixture
def corpus(tmp_path):
    """A folder of four files, a config, and what `slung label` makes of them."""
    draw = random.Random(1)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for number in range(4):
        texts = [" ".join(draw.choices(["Zoë", "said", "nothing.", "Zoë?"], k=30)) for _ in range(50)]
        lines = [json.dumps({"id": f"{number}-{n}", "text": text}) for n, text in enumerate(texts)] + ["{broken"]
        folder = tmp_path / "in" / ("deep" if number % 2 else "")
        (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (tmp_path / "names.txt").write_text("Zoë\nBo Li", encoding="utf-8")
    config = tmp_path / "config.yml"
    config.write_text(f"slung: {{labelers: [{{type: entities, path: {tmp_path / 'names.txt'}}}]}}")
    slung = [BIN / "slung", "label", tmp_path / "in", "-o", tmp_path / "single", "-c", config]
    subprocess.run(slung, check=True, capture_output=True)
    return tmp_path


def run(folder, executor, environment=(), options=()):
    command = [sys.executable, EXAMPLE, folder / "in", folder / "out", "--config", folder / "config.yml"]
    command += ["--executor", executor, "--tasks", "3", "--logs", folder / "logs", *options]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **dict(environment)}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    labeled = (".jsonl", ".gz", ".zst", ".bad_lines.txt", ".never_found.txt")
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name.endswith(labeled))
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_local(corpus):
    run(corpus, "local")
    assert files(corpus / "out") == files(corpus / "single") and len(files(corpus / "out")) == 9
    assert files(corpus / "out")[".slung/entities.never_found.txt"] == b"# never found\n2\tBo Li\n"
    logs = "".join(path.read_text() for path in (corpus / "logs" / "logs").iterdir())
    assert logs.count("slung: entities: 1 of 2 listed names were never found") == 1
    stats = json.loads((corpus / "logs" / "stats.json").read_text())
    assert stats[0]["stats"]["documents"]["total"] == 200 and stats[0]["stats"]["bad_lines"]["total"] == 4


def test_slurm(corpus):
    """A stand-in for sbatch keeps the script; each task of the array is then run as Slurm would run it."""
    tools = corpus / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text(
        f'#!/bin/sh\nfor last; do :; done\ncp "$last" {corpus}/$$.slurm\necho Submitted batch job 7\n'
    )
    (tools / "srun").write_text('#!/bin/sh\nwhile [ "$1" != launch_pickled_pipeline ]; do shift; done\nexec "$@"\n')
    (tools / "scontrol").write_text("#!/bin/sh\necho localhost\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    path = {"PATH": f"{tools}:{BIN}:{os.environ['PATH']}"}
    big = corpus / "in" / "big.jsonl"
    big.write_text("\n".join(json.dumps({"text": f"{n} Zoë said nothing."}) for n in range(2000)))
    subprocess.run([BIN / "slung", "label", big, "-o", corpus / "single", "-c", corpus / "config.yml"], check=True)
    wanted = {"--partition": "gpu", "--time": "3:00:00", "--cpus": 4, "--mem-per-cpu": 8, "--gpus": 1}
    options = [str(word) for pair in wanted.items() for word in pair]
    options += ["--sbatch-arg", "account=nlp", "--sbatch-arg", "exclusive", "--sbatch-arg", "qos=long"]
    told = run(corpus, "slurm", path, options)
    assert "3 tasks, " in told and "1 files are cut into parts" in told

    script = (corpus / "logs" / "launch_script.slurm").read_text()
    asked = dict(
        line.removeprefix("#SBATCH --").split("=")
        for line in script.splitlines()
        if line.count("=") == 1 and "#SBATCH" in line
    )
    # all tasks at once
    assert asked["array"] == "0-2%3"
    assert asked["partition"] == "gpu" and asked["time"] == "3:00:00" and asked["gpus"] == "1"
    assert asked["cpus-per-task"] == "4" and asked["mem-per-cpu"] == "8G"
    assert asked["account"] == "nlp" and asked["qos"] == "long" and "#SBATCH --exclusive\n" in script
    assert any(submitted.read_text() == script for submitted in corpus.glob("*.slurm"))
    for task in range(3):
        environment = {**os.environ, **path, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_NODELIST": "localhost"}
        subprocess.run(["bash", corpus / "logs/launch_script.slurm"], check=True, env=environment, capture_output=True)
    assert files(corpus / "out") == files(corpus / "single")


def test_help_shows_defaults():
    done = subprocess.run([sys.executable, EXAMPLE, "--help"], capture_output=True, text=True, check=True)
    shown = " ".join(done.stdout.split())
    for name, default in {
        "--workers": "0",
        "--partition": "cpu",
        "--time": "10:00:00",
        "--cpus": "1",
        "--gpus": "0",
    }.items():
        assert f"(default: {default})" in shown.partition(f" {name} {name[2:].upper()} ")[2].split(" --")[0], name
    assert "default: None" not in shown and "slung progress" in shown


def test_gpus_take_turns(corpus):
    """Each process of one machine sees one GPU, and all GPUs are used."""
    (corpus / "seen.py").write_text(
        "import os\nimport time\nfrom pathlib import Path\n\n"
        "class Seen:\n"
        "    def label(self, texts, rows):\n"
        f"        Path({str(corpus)!r}, 'gpus', f'{{os.getpid()}}-' + os.environ['CUDA_VISIBLE_DEVICES']).touch()\n"
        # until a process with the other GPU has begun: one process could do all tasks
        f"        deadline = time.monotonic() + 60\n"
        f"        while len({{name[-1] for name in os.listdir({str(corpus / 'gpus')!r})}}) < 2 and time.monotonic() < deadline:\n"
        "            time.sleep(0.05)\n"
        "        return [[] for _ in texts]\n"
    )
    (corpus / "gpus").mkdir()
    block = f"slung: {{labelers: [{{type: custom, class_path: '{corpus / 'seen.py'}:Seen'}}]}}"
    (corpus / "config.yml").write_text(block)
    run(corpus, "local", {"CUDA_VISIBLE_DEVICES": "4,7"})
    seen = [path.name.split("-")[1] for path in (corpus / "gpus").iterdir()]
    assert set(seen) == {"4", "7"}


def test_an_error_is_logged_without_texts(corpus):
    """datatrove logs the values of variables, and a labeler's variables hold texts."""
    (corpus / "broken.py").write_text(
        "class Broken:\n    def label(self, texts, rows):\n        return [[] for text in texts if text[0] < 1]\n"
    )
    block = f"slung: {{labelers: [{{type: custom, class_path: '{corpus / 'broken.py'}:Broken'}}]}}"
    (corpus / "config.yml").write_text(block)
    with pytest.raises(AssertionError) as error:
        run(corpus, "local", options=["--workers", "1"])
    logs = str(error.value) + "".join(path.read_text() for path in (corpus / "logs" / "logs").iterdir())
    assert "broken.py" in logs and "Zoë" not in logs and "nothing." not in logs


def test_ray(corpus):
    pytest.importorskip("ray", reason="pip install ray")
    run(corpus, "ray", {"RAY_USAGE_STATS_ENABLED": "0"})
    assert files(corpus / "out") == files(corpus / "single")


def test_documents_of_any_reader(corpus):
    from datatrove.data import Document

    from axolotl_slung.corpus.datatrove import LabelDocuments

    block = {"labelers": [{"type": "entities", "path": str(corpus / "names.txt")}]}
    documents = [Document(text=f"{n} Zoë", id=str(n)) for n in range(7)]
    labeled = list(LabelDocuments(block, batch_size=3).run(iter(documents)))
    assert [json.loads(one.metadata["spans"]) for one in labeled] == [{"entities": [[2, 5, 1.0]]}] * 7


def test_chats_by_the_example(corpus):
    (corpus / "in").rename(corpus / "texts")
    (corpus / "in").mkdir()
    rows = [{"messages": [{"role": "user", "content": f"{n} Zoë"}]} for n in range(9)]
    (corpus / "in" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, EXAMPLE, corpus / "in", corpus / "out", "--config", corpus / "config.yml"]
    subprocess.run(
        [*map(str, command), "--messages-field", "messages", "--tasks", "1"], check=True, capture_output=True
    )
    written = [json.loads(line) for line in (corpus / "out" / "a.jsonl").read_text().splitlines()]
    assert [json.loads(row["messages"][0]["spans"]) for row in written] == [{"entities": [[2, 5, 1.0]]}] * 9


def test_chats_of_any_reader_and_documents_that_cannot_be_labeled(corpus):
    from datatrove.data import Document

    from axolotl_slung.corpus.datatrove import LabelDocuments

    block = {"labelers": [{"type": "entities", "path": str(corpus / "names.txt")}]}
    chats = [[{"role": "user", "content": f"{n} Zoë"}, {"role": "assistant", "content": "no"}] for n in range(5)]
    given = [*chats[:3], "no chat", json.dumps(chats[4])]
    documents = [Document(text="", id=str(n), metadata={"messages": one}) for n, one in enumerate(given)]
    step = LabelDocuments(block, batch_size=2, messages_field="messages")
    labeled = list(step.run(iter(documents)))
    assert [one.id for one in labeled] == ["0", "1", "2", "4"] and step.stats["bad_documents"].total == 1
    assert isinstance(labeled[3].metadata["messages"], str)
    found = [one.metadata["messages"] for one in labeled[:3]] + [json.loads(labeled[3].metadata["messages"])]
    assert [[json.loads(message["spans"])["entities"] for message in of_row] for of_row in found] == [
        [[[2, 5, 1.0]], []]
    ] * 4

    block = {"labelers": [{"type": "spans", "field": "marks"}]}
    documents = [Document(text="abc", id=str(n), metadata={"marks": [[0, n]]}) for n in (1, 2, 9, 3)]
    step = LabelDocuments(block)
    assert [one.id for one in step.run(iter(documents))] == ["1", "2", "3"]
    assert step.stats["bad_documents"].total == 1
