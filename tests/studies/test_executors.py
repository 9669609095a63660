"""What the profiles for Slurm and Kubernetes submit, at the paper's size, to commands and a server that only take notes."""

import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from helpers.snakemake import STUDIES, make_tools, needs_snakemake, run
from helpers.tiny import write_jsonl

pytestmark = needs_snakemake

PROFILES = STUDIES / "profiles"
OUT = "studies/tofu-paper"
RUNS = ("direct-seed0", "masked-seed0", "unlikelihood-seed0")


def half_done(root):
    """The files of a study in which one model is not trained yet, and another is not evaluated."""
    out = root / OUT
    files = [
        "tools.txt",
        *(f"data/{name}" for name in ("names.txt", "questions.jsonl", "train.jsonl")),
        "base.yml",
        "arms.yml",
    ]
    files += ["runs/arms.json", *(f"runs/{run}.yml" for run in RUNS)]
    files += [f"runs/out/{run}/model.safetensors" for run in RUNS if run != "masked-seed0"]
    files += [f"evals/{run}/results_1.json" for run in ("base", "unlikelihood-seed0")]
    for file in files:
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        (out / file).write_text("{}")


def arguments(profile, *more):
    return [
        *(
            "-s",
            STUDIES / "tofu" / "Snakefile",
            "--profile",
            PROFILES / profile,
            "--keep-going",
            "--rerun-triggers",
            "mtime",
        ),
        *more,
        *("--config", "size=paper", "data=people.jsonl", "seeds=[0]"),
    ]


@pytest.fixture
def tools(tmp_path):
    people = [{"author": f"Author {number}", "question": "Who?", "answer": "Nobody."} for number in range(20)]
    write_jsonl(tmp_path / "people.jsonl", people)
    return make_tools(tmp_path / "bin")


def note(tools, name, answer, status=0):
    """A command that notes how it was called."""
    script = tools / name
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tools}/{name}.calls\necho "{answer}"\nexit {status}\n')
    script.chmod(0o755)


def test_slurm_gets_memory_time_and_gpus(tmp_path, tools):
    half_done(tmp_path)
    note(tools, "sbatch", "no cluster here", status=1)
    note(tools, "sinfo", "gpu*")
    for name in ("sacct", "squeue", "scontrol", "sacctmgr", "sshare"):
        note(tools, name, "")
    more = ["--slurm-init-seconds-before-status-checks", 1]
    done = run(arguments("slurm", *more), tmp_path, tools, CALLS=str(tmp_path / "calls"))
    calls = (tools / "sbatch.calls").read_text().splitlines()
    assert len(calls) == 2, done.output
    train, evaluate = sorted(calls, key=lambda call: "rule_evaluate" in call)
    steps = yaml.safe_load((STUDIES / "tofu" / "study.yml").read_text())["paper"]["resources"]
    for call, step in ((train, steps["train"]), (evaluate, steps["evaluate"])):
        assert f"--mem {step['mem_mb']}" in call and f"-t {step['runtime']}" in call, call
        assert f"--gpus={step['gpu']}" in call and f"--cpus-per-task={step['threads']}" in call, call
        assert "-p gpu" in call and "-m snakemake" in call
    assert "masked-seed0" in train and "direct-seed0" in evaluate


class Notes(BaseHTTPRequestHandler):
    """Answers as Kubernetes does whose jobs all fail."""

    def answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.split("?")[0].endswith("/jobs"):
            self.server.jobs.append(content)
        self.answer(content, 201)

    def do_GET(self):
        if "/pods" in self.path:
            return self.answer({"kind": "PodList", "apiVersion": "v1", "items": []})
        name = re.search("/jobs/([^/?]+)", self.path)[1]
        return self.answer(
            {"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": name}, "status": {"failed": 1}}
        )

    def do_DELETE(self):
        self.answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def log_message(self, *_):
        pass


@pytest.fixture
def cluster(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Notes) as server:
        server.jobs = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = {"cluster": {"server": f"http://127.0.0.1:{server.server_port}"}, "name": "here"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [here],
            "contexts": [{"context": {"cluster": "here", "user": "me"}, "name": "here"}],
            "users": [{"name": "me", "user": {}}],
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        yield server
        server.shutdown()


def test_kubernetes_gets_memory_gpus_and_the_volume(tmp_path, tools, cluster):
    volume = tmp_path / "volume"
    volume.mkdir()
    shutil.copy2(tmp_path / "people.jsonl", volume)
    half_done(volume)
    (tools / "rsync").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit\nfor word; do from=$to; to=$word; done\nexec cp -a "$from" "$to"\n'
    )
    (tools / "rsync").chmod(0o755)
    more = ["--default-storage-prefix", volume, "--seconds-between-status-checks", 1]
    environment = {"CALLS": str(tmp_path / "calls"), "KUBECONFIG": str(tmp_path / "kubeconfig")}
    done = run(arguments("kubernetes", *more), tmp_path, tools, **environment)
    found = {}
    for job in cluster.jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        found[re.search(r"--allowed-rules (\w+)", container["args"][1])[1]] = container, job["spec"]["template"]["spec"]
    assert set(found) == {"train", "evaluate"}, done.output
    steps = yaml.safe_load((STUDIES / "tofu" / "study.yml").read_text())["paper"]["resources"]
    for rule, (container, pod) in found.items():
        assert "--default-storage-provider" in container["args"][1]
        requests = container["resources"]["requests"]
        assert requests["memory"] == f"{steps[rule]['mem_mb']}M" and requests["nvidia.com/gpu"] == str(
            steps[rule]["gpu"]
        )
        assert {"name": "studies", "mountPath": "/mnt/studies"} in container["volumeMounts"]
        assert {"claimName": "studies"} in [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
        assert container["image"].startswith("registry.example/")
