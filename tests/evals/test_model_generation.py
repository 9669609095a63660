"""What of a model's own generation config really ran is in the results, and `slung report` compares it."""

import json
import shutil

import pytest
from helpers.harness import evaluate, saying
from helpers.tiny import tiny_model

from axolotl_slung.comparison.gathered import evaluations
from axolotl_slung.comparison.results import parse_source
from axolotl_slung.errors import SlungError


@pytest.fixture(scope="module")
def penalized(models, tmp_path_factory):
    """A tiny model, and a copy whose generation config has a repetition penalty and settings of sampling."""
    plain = tiny_model(models)
    copy = tmp_path_factory.mktemp("penalized") / "model"
    shutil.copytree(plain, copy)
    path = copy / "generation_config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**config, "do_sample": True, "temperature": 0.7, "repetition_penalty": 1.3}))
    return plain, copy


def saved(folder, results):
    folder.mkdir()
    (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(results, default=str))
    return parse_source(str(folder))


def test_a_penalty_of_the_model_is_recorded_and_refused(tmp_path, embedded, penalized):
    plain, copy = penalized
    one, other = (evaluate("slung_toxicity", model, limit=3) for model in (plain, copy))
    assert one["config"]["model_generation_config"] == {}
    assert other["config"]["model_generation_config"] == {
        "do_sample": True, "temperature": 0.7, "repetition_penalty": 1.3,
    }  # fmt: skip
    assert one["results"] != other["results"]
    with pytest.raises(
        SlungError, match="generation-config.repetition_penalty: nothing in .*a, 1.3 in .*b; "
    ) as caught:
        evaluations([saved(tmp_path / "a", one), saved(tmp_path / "b", other)])
    # greedy: settings of sampling change nothing
    assert "temperature" not in str(caught.value)


def test_of_other_models_nothing_is_known(embedded):
    results = evaluate("slung_toxicity", saying(lambda prompt: " yes"), limit=3)
    assert "model_generation_config" not in results["config"]
