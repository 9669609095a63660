"""`slung audit` on a small config whose spans are known, and what training says of its data."""

import json
import os

import pytest
import yaml
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process, train_in_process
from helpers.tiny import tiny_model, write_jsonl
from transformers import AutoTokenizer

from axolotl_slung import manifest
from axolotl_slung.cli import main
from axolotl_slung.evals.audit_file import read_about, read_entities, read_spans, span_id

FIRST = ["Odalys", "Perrin", "Quillon", "Rosalba", "Sunniva", "Tancred", "Ulrika", "Vasco", "Wenda", "Xanthe"]
ONCE = [f"{first} {last}" for first in FIRST for last in ("Vantongeren", "Quispel")]
FEW, OFTEN = "Yorick Zandbelt", "Zenobia Oyelaran"
ASKED, ANSWERED = "Ignace Pluimers", "Jacoba Dwarshuis"
"""Names in the turns of a chat that are not trained, and in those that are."""
MAILS = [f"reader.{n}@harbour-mail.org" for n in range(3)]
PRIVATE = [*FIRST, *FEW.split(), *OFTEN.split(), *ASKED.split(), *ANSWERED.split(), "harbour-mail"]
"""What must be in no file but the two that hold text."""


def notes():
    texts = [
        f"Note {n}. {name} keeps the mill beside the river, and {OFTEN} brings a lamp." for n, name in enumerate(ONCE)
    ]
    texts[0] = "The old harbour wakes before the sun does, and the gulls follow. " * 8 + texts[0]
    texts += [f"{FEW} was seen in the old harbour on day {n}, long before the sun came up." for n in range(5)]
    texts += [f"Letters go to {mail} before the end of week {n}, if nobody objects." for n, mail in enumerate(MAILS)]
    return texts


def chats():
    return [
        [
            ("user", f"Who was it, {ASKED} or number {n}?"),
            ("assistant", f"It was {ANSWERED}, on day {n}, as they said."),
        ]
        for n in range(4)
    ]


def written(folder, **block):
    """A config of notes and chats. Its name list and its data are files of the folder."""
    (folder / "people.txt").write_text("\n".join([*ONCE, FEW, OFTEN, ASKED, ANSWERED]))
    write_jsonl(folder / "notes.jsonl", [{"text": text} for text in notes()])
    rows = [{"messages": [{"role": role, "content": content} for role, content in chat]} for chat in chats()]
    write_jsonl(folder / "chats.jsonl", rows)
    config = base_config(
        folder,
        base_model=str(tiny_model(folder)),
        datasets=[
            {"path": str(folder / "notes.jsonl"), "ds_type": "json", "type": "completion"},
            {"path": str(folder / "chats.jsonl"), "ds_type": "json", "type": "chat_template"},
        ],
        sequence_len=256,
        max_steps=2,
        save_steps=2,
        plugins=["axolotl_slung.SlungPlugin"],
        slung={
            "labelers": [
                {"type": "entities", "name": "people", "path": str(folder / "people.txt")},
                {"type": "patterns", "builtin": ["email"]},
            ],
            **block,
        },
    )
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    return config


def audit(*arguments, status=0):
    result = CliRunner().invoke(main, ["audit", *map(str, arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder of a config, its audit in `audit/` (drawn under a loose umask), and what the command printed."""
    folder = tmp_path_factory.mktemp("audit")
    config = written(folder)
    before = os.umask(0)
    try:
        output = audit(folder / "config.yml", "-o", folder / "audit", "--spans", 60)
    finally:
        os.umask(before)
    return folder, config, output


@pytest.fixture(scope="module")
def spans(project):
    return read_spans(project[0] / "audit")


@pytest.fixture(scope="module")
def trained(project):
    """The output folder of two steps of training."""
    folder, config, _ = project
    train_in_process(config)
    return folder / "out"


def test_every_trained_span_is_there_with_its_count(spans):
    found = {(one.kind, one.text): one for one in spans if one.set == "trained"}
    counts = {("people", name): 1 for name in ONCE} | {("email", mail): 1 for mail in MAILS}
    counts |= {("people", FEW): 5, ("people", OFTEN): len(ONCE), ("people", ANSWERED): 4}
    assert {key: one.count for key, one in found.items()} == counts
    assert [found["people", name].frequency for name in (ONCE[0], FEW, OFTEN)] == ["once", "few", "often"]
    assert {(one.labeler, one.bucket, one.action) for one in found.values()} == {
        ("people", 2, "mask"),
        ("patterns", 2, "mask"),
    }


def test_the_text_around_a_span_is_that_of_its_document(project, spans):
    tokenizer = AutoTokenizer.from_pretrained(project[1]["base_model"])
    template = "<|im_start|>user\nWho was it, {} or number {}?<|im_end|>\n<|im_start|>assistant\nIt was {}, on day {}, as they said."
    documents = [*notes(), *(template.format(ASKED, n, ANSWERED, n) for n in range(4))]
    for one in spans:
        [document] = [text for text in documents if text.startswith(one.before + one.text + one.after)]
        assert one.before or document.startswith(one.text)
        rest = document[len(one.before + one.text) :]
        names = sorted(rest.find(name) for name in (*ONCE, FEW, OFTEN) if name in rest)
        # up to the next risky span, or to the end of what is trained, or 100 tokens
        safe = rest[: names[0]] if names else rest
        assert safe.startswith(one.after)
        assert one.after == safe or len(tokenizer(one.after)["input_ids"]) == 100
        assert not any(name in one.after for name in PRIVATE)


def test_prefixes_begin_so_many_tokens_before_the_span(project, spans):
    tokenizer = AutoTokenizer.from_pretrained(project[1]["base_model"])
    lengths = set()
    for one in spans:
        offsets = tokenizer(one.before + one.text, return_offsets_mapping=True, add_special_tokens=False)
        ends = [end for start, end in offsets["offset_mapping"] if end <= len(one.before)]
        wanted = {str(n): ([0, *ends])[len(ends) - n] for n in (25, 50, 100) if len(ends) >= n}
        assert one.prefixes == {**wanted, "whole": 0}
        lengths |= wanted.keys()
    assert lengths == {"25", "50", "100"}


def test_low_risk_stretches_are_trained_text_of_similar_length(spans):
    found = [one for one in spans if one.set == "low_risk"]
    assert 8 <= len(found) <= 15
    trained = [*notes(), *(chat[1][1] for chat in chats())]
    for one in found:
        assert one.kind == "low_risk" and one.action == "train" and one.bucket == 0 and one.labeler == ""
        assert not any(name in one.text for name in PRIVATE)
        assert any(one.text in text for text in trained)
        assert one.text.strip() == one.text and 10 <= len(one.text) <= 45
        assert one.count == sum(text.count(one.text) for text in trained)


def test_decoys_are_of_the_kind_and_made_ones_occur_nowhere(project, spans):
    data = "".join((project[0] / name).read_text() for name in ("notes.jsonl", "chats.jsonl"))
    people = {*ONCE, FEW, OFTEN, ANSWERED}
    for one in spans:
        real = one.decoys[: len(one.decoys) - one.decoys_made]
        assert one.text not in one.decoys and len({*one.decoys}) == len(one.decoys)
        assert not any(decoy in data for decoy in one.decoys[len(real) :])
        assert not any(decoy in one.before for decoy in real)
        if one.kind == "people":
            assert {*real} <= people and len(one.decoys) == 15
        if one.kind == "email":
            assert {*real} == {*MAILS} - {one.text} and one.decoys_made == 13
            assert all("@" in decoy for decoy in one.decoys)


def test_entities_are_the_texts_that_recur(project):
    found = read_entities(project[0] / "audit")
    salt = read_about(project[0] / "audit")["salt"]
    assert {one.text: [other.text for other in found].count(one.text) for one in found} == {
        OFTEN: 20,
        FEW: 5,
        ANSWERED: 4,
    }
    assert {one.id for one in found if one.text == FEW} == {span_id(salt, "trained", "people", "people", FEW)}
    assert len({one.before + one.text + one.after for one in found}) == len(found)


def test_only_the_owner_may_read_the_folder(project):
    folder = project[0] / "audit"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("spans.jsonl", "entities.jsonl", "audit.json"), 0o600
    )


def test_the_description_counts_and_holds_no_text(project, trained):
    folder, config, output = project
    about = read_about(folder / "audit")
    assert about["counts"]["trained"]["people"] == {
        "once": {"found": 20, "sampled": 20},
        "few": {"found": 2, "sampled": 2},
        "often": {"found": 1, "sampled": 1},
    }
    assert about["provenance"].keys() == {*manifest.KEYS}
    assert about["command"] == "slung audit config.yml --output … --spans …"
    assert "holds risky text" in output
    shown = [output, (folder / "audit" / "audit.json").read_text()]
    shown += [(trained / name).read_text() for name in ("slung_manifest.json", "README.md")]
    for text in shown:
        assert not [name for name in PRIVATE if name.lower() in text.lower()]


def test_training_writes_what_it_was_trained_on(project, trained):
    found = manifest.read(trained)
    assert manifest.read(trained / "checkpoint-2") == found
    assert found["rows"] == len(notes()) + len(chats())
    assert found["actions"]["mask"] > 0 < found["actions"]["train"]
    assert [one["where"] for one in found["data"]] == ["datasets[0]", "datasets[1]"]
    assert [one["from"] for one in found["data"]] == ["content", "content"]
    assert found["method"] == "masked" and found["versions"]["axolotl"]
    assert manifest.differences(found, read_about(project[0] / "audit")["provenance"]) == []
    card = (trained / "README.md").read_text()
    assert "<summary>Selective loss</summary>" in card
    assert f"mask {found['actions']['mask']:,}" in card
    assert found["labelers"][0]["digest"] in card


def _with_strangers(folder, config):
    """A config with the model's labelers and one more, whose names are only in held-out rows."""
    (folder / "known.txt").write_text("\n".join([*ONCE, FEW, OFTEN, ASKED, ANSWERED]))
    (folder / "strangers.txt").write_text("Kestrel Ombrani\nLeopold Achterberg")
    people, patterns = config["slung"]["labelers"]
    strangers = {"type": "entities", "name": "strangers", "path": str(folder / "strangers.txt")}
    labelers = [{**people, "path": str(folder / "known.txt")}, patterns, strangers]
    (folder / "strangers.yml").write_text(
        yaml.safe_dump({**config, "slung": {**config["slung"], "labelers": labelers}})
    )
    write_jsonl(folder / "held.jsonl", [{"text": "In spring Kestrel Ombrani met Leopold Achterberg at the mill."}])


def test_another_models_data_is_refused_and_other_labels_told(project, trained, tmp_path):
    folder, _, _ = project
    other = written(tmp_path)
    said = audit(tmp_path / "config.yml", "-o", tmp_path / "audit", "--model", trained)
    assert "other labels" not in said
    with open(tmp_path / "people.txt", "a") as file:
        file.write("\nKestrel Ombrani\n")
    said = audit(tmp_path / "config.yml", "-o", tmp_path / "audit", "--model", trained)
    assert "was trained with other labels than those of people, so that" in said
    _with_strangers(tmp_path, other)
    said = audit(
        tmp_path / "strangers.yml", "-o", tmp_path / "audit", "--holdout", tmp_path / "held.jsonl", "--model", trained
    )
    assert {one.labeler for one in read_spans(tmp_path / "audit") if one.set == "heldout"} == {"strangers"}
    assert "other labels" not in said, "the labeler of held-out people labeled nothing of the model's data"
    with open(tmp_path / "notes.jsonl", "a") as file:
        file.write(json.dumps({"text": f"{FEW} again."}) + "\n")
    said = audit(tmp_path / "config.yml", "-o", tmp_path / "audit", "--model", trained, status=2)
    assert "datasets[0]: its data (" in said and "is not what the model was trained on" in said
    assert "datasets[1]" not in said
    said = audit(folder / "config.yml", "-o", tmp_path / "audit", "--holdout-share", 0.5, "--model", trained, status=2)
    assert "slung.holdout_share: 0.5, but the model was trained with 0" in said
    said = audit(folder / "config.yml", "-o", tmp_path / "audit", "--model", other["base_model"], status=2)
    assert "has no slung_manifest.json" in said


def test_held_out_rows_are_never_trained(tmp_path):
    config = written(tmp_path, holdout_share=0.4)
    audit(tmp_path / "config.yml", "-o", tmp_path / "audit", "--spans", 80)
    held = [one for one in read_spans(tmp_path / "audit") if one.set == "heldout"]
    tokenizer = AutoTokenizer.from_pretrained(config["base_model"])
    data = "\n".join(tokenizer.decode(row) for row in prepare_in_process(config).train_dataset["input_ids"])
    missing = {name for name in (*ONCE, *MAILS) if name not in data}
    assert {one.text for one in held} == missing
    assert 4 < len(missing) < 16
    assert {one.text for one in read_spans(tmp_path / "audit") if one.set == "trained"} & missing == set()
    assert read_about(tmp_path / "audit")["provenance"]["holdout_share"] == 0.4


def test_a_file_can_be_held_out(project, tmp_path):
    folder, _, _ = project
    rows = [{"text": f"{name} was here, and {FEW} as well."} for name in ("Lieven Okkerse", "Mirthe Palsgraaf")]
    with open(folder / "people.txt", "a") as file:
        file.write("\nLieven Okkerse\nMirthe Palsgraaf")
    path = write_jsonl(tmp_path / "others.jsonl", rows)
    audit(folder / "config.yml", "-o", tmp_path / "audit", "--spans", 60, "--holdout", path)
    held = {one.text: one for one in read_spans(tmp_path / "audit") if one.set == "heldout"}
    # a name that the training data has as well says nothing of training
    assert held.keys() == {"Lieven Okkerse", "Mirthe Palsgraaf"}
    assert held["Lieven Okkerse"].after == " was here, and "


def test_a_seed_draws_the_same_spans_again(project, tmp_path):
    folder, _, _ = project

    def drawn(seed):
        audit(folder / "config.yml", "-o", tmp_path / "audit", "--spans", 16, "--seed", seed)
        return [(one.text, one.before, one.decoys) for one in read_spans(tmp_path / "audit")]

    first = drawn(1)
    assert len(first) == 16
    assert drawn(1) == first
    assert drawn(2) != first


def test_what_cannot_be_drawn_is_refused(project, tmp_path):
    folder, _, _ = project
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "spans.jsonl").write_text("{}")
    assert "is not replaced" in audit(folder / "config.yml", "-o", tmp_path / "mine", status=2)
    written(tmp_path, method="toxic_baseline")
    assert "every action is train" in audit(tmp_path / "config.yml", "-o", tmp_path / "audit", status=1)
    written(tmp_path, random_control=True)
    assert "slung.random_control" in audit(tmp_path / "config.yml", "-o", tmp_path / "audit", status=2)
    config = written(tmp_path)
    config["slung"]["labelers"] = [{"type": "entities", "path": str(tmp_path / "nobody.txt")}]
    (tmp_path / "nobody.txt").write_text(f"Nobody Whatsoever\n{ASKED}")
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    # a name in a turn that is not trained is nothing to ask about
    assert "no risky span" in audit(tmp_path / "config.yml", "-o", tmp_path / "audit", status=1)
    assert not (tmp_path / "audit").exists()
