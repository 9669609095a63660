"""What labels are made of changes, and data is prepared again; nothing changes, and it is not."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict
from helpers.axolotl_run import ROOT, base_config, child_environment, cpu_environment, prepare_in_process, run_command
from helpers.tiny import CHATML, tiny_model, tiny_tokenizer, write_jsonl

MILL = "The old mill of Maria Hernandez burned down in 1847."
RIVER = "A river carries whatever John O'Neil throws into it."
CHAT = {"messages": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Maria Hernandez."}]}


class Preparing:
    """One config, prepared as often as asked."""

    def __init__(self, folder, slung):
        self.folder, self.slung = folder, slung
        self.config = base_config(folder, datasets=[], base_model=str(tiny_model(folder)), **slung())

    def __call__(self, **changes):
        """The rows in order of their ids, and how many data sets were prepared for it."""
        self.config |= changes
        before = self.prepared()
        rows = prepare_in_process({k: v for k, v in self.config.items() if v is not None}).train_dataset
        return sorted(zip(rows["input_ids"], rows["labels"])), len(self.prepared() - before)

    def prepared(self):
        """The folders of all prepared data sets."""
        return {path.parent for path in Path(self.config["dataset_prepared_path"]).rglob("state.json")}

    def forget(self, caches: bool):
        """Delete the prepared data sets, and what `datasets` keeps."""
        for folder in self.prepared():
            shutil.rmtree(folder)
        if caches:
            shutil.rmtree(self.folder / "hf_home" / "datasets", ignore_errors=True)

    def sees(self, change):
        """A change is in the labels at once, out of the caches of `datasets` too; and nothing is prepared without one."""
        before, made = self()
        assert made == 1 and self() == (before, 0) and self() == (before, 0)
        change()
        after, made = self()
        assert made == 1 and after != before
        assert self() == (after, 0)
        for caches in (False, True):
            self.forget(caches)
            assert self()[0] == after

    def ignores(self, change):
        """Something that has no say in the labels changes, and nothing is prepared."""
        before, made = self()
        assert made == 1 and self() == (before, 0)
        change()
        assert self() == (before, 0)


@pytest.fixture
def preparing(tmp_path, slung, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Preparing(tmp_path, slung)


def completion(path, **keys):
    return {"path": str(path), "type": "completion", **keys}


def swap(one, other):
    """Give each the other's name; both keep their times of change."""
    one, other = Path(one), Path(other)
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)


# ---------------------------------------------------------------------------------------------------------------- files


def test_two_files_of_a_folder_change_names(preparing):
    preparing.config["datasets"] = [completion("data")]
    for name, text in (("train", MILL), ("test", RIVER)):
        write_jsonl(f"data/{name}.jsonl", [{"text": text}])
    preparing.sees(lambda: swap("data/train.jsonl", "data/test.jsonl"))


@pytest.mark.parametrize("data_files", [False, True], ids=["path", "data_files"])
def test_two_entries_change_contents(preparing, data_files):
    """The names are looked for in the first one only."""
    files = [write_jsonl(f"{name}/rows.jsonl", [{"text": text}]) for name, text in (("a", MILL), ("b", MILL + "\n"))]
    if data_files:
        entries = [completion(name, data_files=[f"{name}/rows.jsonl"]) for name in "ab"]
    else:
        entries = [completion(path, ds_type="json") for path in files]
    labelers = [{"type": "entities", "path": "names.txt", "datasets": [entries[0]["path"]]}]
    preparing.config |= {"datasets": entries, **preparing.slung(labelers=labelers)}
    preparing.sees(lambda: swap(*files))


def test_files_of_a_pattern_change_contents(preparing):
    for name, text in (("a", MILL), ("b", RIVER)):
        write_jsonl(f"data/{name}.jsonl", [{"text": text}])
    preparing.config["datasets"] = [completion("data", data_files=["data/a*.jsonl"])]
    preparing.sees(lambda: swap("data/a.jsonl", "data/b.jsonl"))


@pytest.mark.parametrize("splits", [False, True])
def test_saved_data_sets(preparing, splits):
    """Beside which `datasets` writes its caches."""

    def save(text):
        shutil.rmtree("saved", ignore_errors=True)
        saved = Dataset.from_dict({"text": [text] * 3})
        (DatasetDict(train=saved, test=saved) if splits else saved).save_to_disk("saved")

    save(MILL)
    preparing.config["datasets"] = [completion("saved")]
    preparing.sees(lambda: save(RIVER))


@pytest.mark.parametrize("data_files", [None, ["./data/rows.jsonl"]])
def test_what_runs_write_into_the_data_folder(preparing, data_files):
    write_jsonl("data/rows.jsonl", [{"text": MILL}] * 3)
    preparing.config |= {"datasets": [completion("./data", data_files=data_files)], "output_dir": "./data/out"}

    def write():
        Path("data/out/checkpoint-1").mkdir(parents=True)
        write_jsonl("data/out/checkpoint-1/trainer_state.json", [{"text": "no data"}])

    preparing.config["dataset_prepared_path"] = "./data/prepared"
    preparing.ignores(write)
    write_jsonl("data/rows.jsonl", [{"text": RIVER}] * 3)
    assert preparing()[1] == 1


def test_output_folders_around_the_data_hide_nothing(preparing):
    write_jsonl("out/data/rows.jsonl", [{"text": MILL}])
    preparing.config |= {"datasets": [completion("out/data")], "output_dir": "out"}
    preparing.sees(lambda: write_jsonl("out/data/rows.jsonl", [{"text": RIVER}]))


@pytest.mark.parametrize(
    "name", [".DS_Store", ".git/config.jsonl", "README.md", "notes.log", "__pycache__/rows.jsonl", "other.csv"]
)
def test_files_that_are_not_read(preparing, name):
    write_jsonl("data/rows.jsonl", [{"text": MILL}])
    write_jsonl("data/more.jsonl", [{"text": RIVER}])
    preparing.config["datasets"] = [completion("data")]
    preparing.ignores(lambda: write_jsonl(f"data/{name}", [{"text": "no data"}]))


def test_another_file_than_those_of_data_files(preparing):
    write_jsonl("data/rows.jsonl", [{"text": MILL}])
    preparing.config["datasets"] = [completion("data", data_files="data/rows.jsonl")]
    preparing.ignores(lambda: write_jsonl("data/more.jsonl", [{"text": RIVER}]))


# ------------------------------------------------------------------------------------------- the tokenizer, the template


def _save_tokenizer(kind):
    shutil.copytree(tiny_tokenizer(Path("built"), kind), "tokenizer", dirs_exist_ok=True)


@pytest.fixture
def one_row(preparing):
    write_jsonl("rows.jsonl", [{"text": MILL}] * 2)
    preparing.config["datasets"] = [completion("rows.jsonl", ds_type="json")]
    return preparing


def test_another_tokenizer_at_the_same_path(one_row):
    _save_tokenizer("bytelevel")
    one_row.config["tokenizer_config"] = "tokenizer"
    one_row.sees(lambda: _save_tokenizer("bytelevel_bos"))


def test_a_token_that_calls_add(one_row):
    """The same vocabulary; only the post-processor differs."""
    _save_tokenizer("bytelevel_bos")
    one_row.config["tokenizer_config"] = "tokenizer"

    def change():
        state = json.loads(Path("tokenizer/tokenizer.json").read_text())
        state["post_processor"] = None
        Path("tokenizer/tokenizer.json").write_text(json.dumps(state))

    one_row.sees(change)


@pytest.mark.parametrize("keys", [{"tokens": ["mill of"]}, {"special_tokens": {"eos_token": "mill"}}], ids=str)
def test_added_tokens(one_row, keys):
    one_row.sees(lambda: one_row.config.update(keys))


@pytest.fixture
def chat(preparing):
    write_jsonl("chats.jsonl", [CHAT] * 2)
    Path("template.jinja").write_text(CHATML)
    preparing.config["datasets"] = [{"path": "chats.jsonl", "ds_type": "json", "type": "chat_template"}]
    return preparing


def _change_template(name="template.jinja"):
    Path(name).write_text(CHATML.replace("<|im_start|>", "turn: "))


@pytest.mark.parametrize("of_data_set", [False, True])
def test_the_template_in_a_file(chat, of_data_set):
    of = chat.config["datasets"][0] if of_data_set else chat.config
    of |= {"chat_template": "jinja", "chat_template_jinja": "template.jinja"}
    chat.sees(_change_template)


def test_the_tokenizers_own_template(chat):
    _save_tokenizer("bytelevel")
    chat.config |= {"tokenizer_config": "tokenizer", "chat_template": "tokenizer_default"}
    (template,) = Path("tokenizer").glob("chat_template.jinja")
    chat.sees(lambda: _change_template(template))


def test_a_template_of_axolotls(chat):
    chat.config |= {"chat_template": "chatml"}
    chat.sees(lambda: chat.config.update(chat_template="alpaca"))


def test_keys_that_axolotls_hash_forgets(preparing):
    write_jsonl("rows.jsonl", [{"instruction": "a", "input": "", "output": text} for text in (MILL * 20, RIVER)])
    preparing.config |= {"datasets": [{"path": "rows.jsonl", "ds_type": "json", "type": "alpaca"}], "sequence_len": 128}
    preparing.sees(lambda: preparing.config.update(excess_length_strategy="truncate"))


# ------------------------------------------------------------------------------------------------------------- labelers

WORDS = """
from pathlib import Path

class Words:
    def __init__(self, lists):
        self.lists = lists

    def label(self, texts, rows):
        found = [[] for _ in texts]
        for score, name in self.lists:
            place = Path(name)
            for path in sorted(place.glob("*.txt")) if place.is_dir() else [place]:
                word = path.read_text()
                for spans, text in zip(found, texts):
                    if word in text:
                        spans.append((text.index(word), text.index(word) + len(word), score))
        return found
"""


@pytest.fixture
def words(one_row):
    """Two lists, of which one is risky and the other one not."""
    Path("words.py").write_text(WORDS)
    for name, word in (("lists/risky.txt", "mill"), ("lists/fine.txt", "1847")):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(word)

    def config(*names):
        options = {"lists": [[score, name] for score, name in zip((1.0, 0.0), names)]}
        labeler = {"type": "custom", "class_path": "words.py:Words", "options": options, "cuts": [1e-4, 0.99]}
        one_row.config |= one_row.slung(labelers=[labeler])

    config("lists/risky.txt", "lists/fine.txt")
    one_row.name_lists = config
    return one_row


def test_a_file_in_the_options(words):
    words.sees(lambda: Path("lists/risky.txt").write_text("old mill"))


def test_files_in_the_options_change_contents(words):
    words.sees(lambda: swap("lists/risky.txt", "lists/fine.txt"))


def test_a_folder_in_the_options(words):
    words.name_lists("lists")
    words.sees(lambda: Path("lists/more.txt").write_text("burned"))


def test_a_hidden_file_of_a_folder_in_the_options(words):
    words.name_lists("lists")
    words.ignores(lambda: Path("lists/.more").write_text("burned"))


# ----------------------------------------------------------------------------------------------------- the package itself


def _prepare_with(package, config):
    """Prepare with a copy of the package, in a process of its own: the labels, and the folder of the package."""
    code = (
        "import json, sys, axolotl_slung\nfrom helpers.axolotl_run import prepare_in_process\n"
        "rows = prepare_in_process(json.loads(sys.argv[1])).train_dataset\n"
        "json.dump([axolotl_slung.__file__, rows['labels'][:]], open('labels.json', 'w'))"
    )
    path = os.pathsep.join([str(package), str(ROOT / "tests")])
    environment = child_environment(Path.cwd(), {**cpu_environment(Path.cwd()), "PYTHONPATH": path})
    status, output = run_command([sys.executable, "-c", code, json.dumps(config)], Path.cwd(), environment, 300)
    assert status == 0, output
    file, labels = json.loads(Path("labels.json").read_text())
    assert Path(file).is_relative_to(package)
    return labels


def test_another_version_of_the_package(one_row):
    """Its source counts; what was prepared and what `datasets` keeps is from before."""
    config = {key: value for key, value in one_row.config.items() if value is not None}
    package = Path("copy").resolve()
    shutil.copytree(ROOT / "axolotl_slung", package / "axolotl_slung", ignore=shutil.ignore_patterns("__pycache__"))
    before, _ = one_row()
    tokens = package / "axolotl_slung/labels/tokens.py"
    source = tokens.read_text()
    tokens.write_text(source.replace("scores[start:end] = score", "scores[start : end + 5] = score"))
    assert tokens.read_text() != source
    after = _prepare_with(package, config)
    assert sorted(after) != sorted(labels for _, labels in before) and len(one_row.prepared()) == 2


def _digest_with(archive, changed=None):
    """The digest of a labeler, for caches and files of labels, by the package in a zip file with one source changed."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in (ROOT / "axolotl_slung").rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            file.writestr(name, path.read_text() + "\n# changed" * (name == f"axolotl_slung/{changed}"))
    code = (
        "from axolotl_slung.config import SlungConfig\nfrom axolotl_slung.labeling import build, identity\n"
        "(labeler,) = build.build(SlungConfig(labelers=[{'type': 'spans'}]))\nprint(identity.__file__, labeler.digest)"
    )
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=archive.parent
    )
    assert run.returncode == 0, run.stderr
    place, digest = run.stdout.split()
    assert place.startswith(str(archive))
    return digest


def test_cached_labels_count_the_source_of_labelers_alone(tmp_path):
    """In a zip file, too."""
    from axolotl_slung.config import SlungConfig
    from axolotl_slung.labeling.build import build

    (labeler,) = build(SlungConfig(labelers=[{"type": "spans"}]))
    assert (
        labeler.digest
        == _digest_with(tmp_path / "same.zip")
        == _digest_with(tmp_path / "data.zip", "training/data/edits.py")
    )
    assert labeler.digest != _digest_with(tmp_path / "labeling.zip", "labeling/text/fold.py")
