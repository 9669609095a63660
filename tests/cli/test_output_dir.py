"""Commands that read a config leave its `output_dir` alone: the log of a training stays, and nothing they print gets into it."""

import pytest
import yaml
from axolotl.utils.tee import close_debug_log
from click.testing import CliRunner
from helpers.axolotl_run import base_config
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung.cli import main

NAME = "Odalys Vantongeren"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rows = [{"text": f"Note {n}. {NAME} keeps the mill beside the river, and brings a lamp."} for n in range(8)]
    content = base_config(
        folder,
        base_model=str(tiny_model(folder)),
        datasets=[{"path": str(write_jsonl(folder / "rows.jsonl", rows)), "ds_type": "json", "type": "completion"}],
        output_dir=str(folder / "trained"),
        plugins=["axolotl_slung.SlungPlugin"],
        slung={"labelers": [{"type": "entities", "names": [NAME]}]},
    )
    (folder / "trained").mkdir()
    (folder / "config.yml").write_text(yaml.safe_dump(content))
    return folder / "config.yml"


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "{config}", "-o", "{folder}/page.html"],
        ["stats", "{config}"],
        ["sweep", "{config}", "-t", "0.1,0.9"],
        ["label", "-c", "{config}", "-o", "{folder}/labeled"],
        ["audit", "{config}", "-o", "{folder}/audit"],
        ["doctor", "{config}"],
    ],
    ids=lambda command: command[0],
)
def test_the_log_of_a_training_stays(config, tmp_path, command):
    close_debug_log()  # Axolotl opens one log per process
    log = config.parent / "trained" / "debug.log"
    log.write_text("of the training\n")
    words = [word.format(config=config, folder=tmp_path) for word in command]
    try:
        result = CliRunner().invoke(main, words)
    finally:
        close_debug_log()
    assert result.exit_code == 0, result.output
    assert log.read_text() == "of the training\n"
    assert [path.name for path in log.parent.iterdir()] == ["debug.log"]
