"""A changed block, classifier, name list, span file or data file never meets a stale prepared data set (invariant 6)."""

import shutil

import pytest
from helpers.axolotl_run import base_config, prepare_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.labels.codec import FIRST_CODE

TEXT = "The old mill of Maria Hernandez burned down in 1847."


@pytest.fixture
def setup(tmp_path, slung):
    write_jsonl(tmp_path / "rows.jsonl", [{"text": TEXT, "id": "1"}] * 4)
    (tmp_path / "patterns.yml").write_text("year: '1847'\n")
    write_jsonl(tmp_path / "attributes.jsonl", [{"id": "1", "attributes": {"x": [[0, 3, 1.0]]}}])

    def prepare(labelers=None, names=("Maria Hernandez",), config_keys=(), **block):
        keys = {**slung(names, labelers=labelers, **block), **dict(config_keys)}
        config = base_config(
            tmp_path,
            base_model=str(tiny_model(tmp_path)),
            datasets=[{"path": str(tmp_path / "rows.jsonl"), "ds_type": "json", "type": "completion"}],
            **keys,
        )
        before = folders()
        dataset = prepare_in_process(config).train_dataset
        risky = sum(label <= FIRST_CODE or label == -100 for label in dataset[0]["labels"])
        return risky, len(folders() - before)

    def folders():
        prepared = tmp_path / "prepared"
        return {path.parent.name for path in prepared.rglob("dataset_info.json")} if prepared.exists() else set()

    return prepare


def test_the_same_block_finds_its_data_set_again(setup):
    first = setup()
    assert first[1] == 1 and first[0] > 0
    assert setup() == (first[0], 0)


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("mill",)},
        {"names": ("Maria Hernandez", "mill")},
        {"overlap": "all"},
        {"eos": "mask"},
        {"monitor_masked": False},
        {"mask_document_starts": True},
        {"method": "unlikelihood"},
        {"buckets": [{"name": "a", "below": 0.5, "action": "train"}, {"name": "b", "action": "unlikelihood"}]},
    ],
    ids=str,
)
def test_a_changed_block_or_names_file(setup, change):
    setup()
    assert setup(**change)[1] == 1


@pytest.mark.parametrize("key", [{"seed": 8}, {"shuffle_merged_datasets": False}], ids=str)
def test_a_key_that_changes_the_order_of_rows(setup, key):
    """Axolotl saves rows in their order, and its own hash leaves these keys out: a second seed had the first one's order."""
    setup()
    assert setup(config_keys=key)[1] == 1


def test_changed_patterns(setup, tmp_path):
    labelers = [{"type": "patterns", "path": str(tmp_path / "patterns.yml")}]
    risky, _ = setup(labelers)
    (tmp_path / "patterns.yml").write_text("words: 'burned down in 1847'\n")
    again, made = setup(labelers)
    assert made == 1 and again > risky


def test_a_changed_span_file(setup, tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"text": TEXT, "id": "1"}])
    labelers = [{"type": "dolma", "path": str(tmp_path / "attributes.jsonl"), "attribute": "x", "cuts": [1e-4, 0.99]}]
    risky, _ = setup(labelers)
    write_jsonl(tmp_path / "attributes.jsonl", [{"id": "1", "attributes": {"x": [[0, 30, 1.0]]}}])
    again, made = setup(labelers)
    assert made == 1 and again > risky


def test_a_changed_local_data_file(setup, tmp_path):
    setup()
    write_jsonl(tmp_path / "rows.jsonl", [{"text": TEXT * 2, "id": "1"}] * 4)
    assert setup()[1] == 1


def test_a_changed_classifier(setup, tmp_path):
    import fasttext

    def train(toxic):
        lines = [
            f"__label__{'toxic' if ('mill' in text) == toxic else 'fine'} {text}"
            for text in ("the old mill", "a river") * 50
        ]
        (tmp_path / "train.txt").write_text("\n".join(lines) + "\n")
        model = fasttext.train_supervised(str(tmp_path / "train.txt"), dim=10, epoch=5, thread=11, verbose=0)
        model.save_model(str(tmp_path / "model.bin"))

    labelers = [{"type": "fasttext", "model": str(tmp_path / "model.bin"), "cuts": [1e-4, 0.99]}]
    train(toxic=True)
    setup(labelers, monitor_masked=False, method="toxic_baseline")
    train(toxic=False)
    assert setup(labelers, monitor_masked=False, method="toxic_baseline")[1] == 1


def test_names_that_only_moved_house_are_the_same_names(setup, tmp_path):
    names = tmp_path / "elsewhere.txt"
    setup()
    shutil.copy(tmp_path / "names.txt", names)
    assert setup([{"type": "entities", "path": str(names)}])[1] == 0


def test_without_a_block_the_hash_is_axolotls_own(tmp_path):
    from axolotl.utils.data import sft
    from axolotl.utils.dict import DictDefault

    from axolotl_slung.training.data import hooks

    hooks.install()
    arguments = (DictDefault(sequence_len=8), [DictDefault(path="x", type="completion")], "tokenizer")
    hook = sft.generate_dataset_hash_from_config
    assert hook(*arguments) == hook.__wrapped__(*arguments)
