"""The plugin's manners: nothing at all without a block; the commands beside `train`."""

import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from helpers.axolotl_run import base_config, prepare_in_process, run_axolotl, train_in_process
from helpers.tiny import tiny_model, write_jsonl

from axolotl_slung import SlungPlugin
from axolotl_slung.cli import main
from axolotl_slung.training.data import hooks


def test_the_class_is_found_by_its_path_and_the_package_imports_no_axolotl():
    from axolotl.integrations.base import BasePlugin, load_plugin

    code = "import sys, axolotl_slung; print('axolotl' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False False\n"
    assert type(load_plugin("axolotl_slung.SlungPlugin")) is SlungPlugin and issubclass(SlungPlugin, BasePlugin)


def test_without_a_block_nothing_changes_in_anybodys_run(tmp_path):
    """With the hooks in place and the plugin asked at every turn, as on Axolotl 0.21, a run is the same as without."""
    from axolotl.core.trainers.base import AxolotlTrainer
    from axolotl.integrations.base import PluginManager

    before = train_in_process(base_config(tmp_path, output_dir=str(tmp_path / "before")))
    hooks.install()
    config = base_config(tmp_path, output_dir=str(tmp_path / "after"), dataset_prepared_path=str(tmp_path / "again"))

    plugins = PluginManager.get_instance().plugins
    kept = dict(plugins)

    def keep_in(*_):
        plugins["axolotl_slung.SlungPlugin"] = SlungPlugin()

    keep_in()
    after = train_in_process(config, on_trainer=keep_in)
    plugins.clear()
    plugins.update(kept)

    assert type(after.trainer) is AxolotlTrainer
    assert after.losses == before.losses
    assert list(after.dataset_meta.train_dataset) == list(before.dataset_meta.train_dataset)
    for left, right in zip(after.model.parameters(), before.model.parameters()):
        torch.testing.assert_close(left, right, rtol=0, atol=0)


def test_every_hook_is_silent_without_a_block():
    from axolotl.utils.dict import DictDefault

    plugin, cfg = SlungPlugin(), DictDefault()
    plugin.register(cfg)
    for hook in ("load_datasets", "pre_model_load", "get_trainer_cls", "get_training_args"):
        assert getattr(plugin, hook)(cfg) is None
    model = torch.nn.Linear(2, 2)
    plugin.post_model_load(cfg, model)
    assert "loss_function" not in vars(model)
    plugin.post_trainer_create(cfg, trainer=None)


CCE = "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"


@pytest.mark.parametrize("prepare", [True, False])
def test_a_default_of_another_plugin_is_a_conflict_before_anything_is_labeled(tmp_path, slung, prepare, capfd):
    """Cut Cross-Entropy's key is true where it is left out; all conflicts are told at once."""
    keys = slung(method="unlikelihood", monitor_masked=True)
    config = base_config(tmp_path, **{**keys, "plugins": [CCE, "helpers.rivals.OwnTrainer", *keys["plugins"]]})
    with pytest.raises(ValueError) as error:
        (prepare_in_process if prepare else train_in_process)(config)
    assert (
        "action unlikelihood: needs slung's loss, but Cut Cross-Entropy replaces it; set `cut_cross_entropy: false`"
        in str(error.value)
    )
    assert "slung.monitor_masked: true: needs slung's loss" in str(error.value)
    assert "helpers.rivals.OwnTrainer: its trainer" in str(error.value)
    assert "slung: datasets[0]" not in "".join(capfd.readouterr()) and not (tmp_path / "prepared").exists()


def test_cut_cross_entropy_turned_off_by_its_key(tmp_path, slung):
    keys = slung(method="unlikelihood")
    prepare_in_process(
        base_config(tmp_path, **{**keys, "plugins": [CCE, *keys["plugins"]], "cut_cross_entropy": False})
    )


def test_evaluate(tmp_path, slung):
    """`axolotl evaluate` labels its data, and its loss is that of the trained tokens."""
    path = write_jsonl(
        tmp_path / "rows.jsonl", [{"text": f"{i}. I met Maria Hernandez at the mill."} for i in range(20)]
    )
    data = {"path": str(path), "ds_type": "json", "type": "completion", "split": "train"}
    config = base_config(
        tmp_path,
        base_model=str(tiny_model(tmp_path)),
        datasets=[data],
        test_datasets=[data],
        **slung(method="unlikelihood"),
    )
    run = run_axolotl(config, tmp_path, command="evaluate").check()
    assert "slung: datasets[0]: " in run.output
    summary = (run.output_dir / "eval_summary.csv").read_text()
    figures = {line.split(",")[0]: float(line.split(",")[2]) for line in summary.splitlines()[1:] if line.split(",")[2]}
    assert 0 < figures["slung/p_unlikelihood"] < 0.1
    assert figures["loss"] == pytest.approx(figures["slung/nll_train"])


@pytest.mark.parametrize("arguments", [["--help"], ["schema", "--help"]])
def test_help_teaches(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0 and "slung:" in result.output


def test_schema_command():
    result = CliRunner().invoke(main, ["schema"])
    assert "labelers" in json.loads(result.output)["properties"]
