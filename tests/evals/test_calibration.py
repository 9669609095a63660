"""Maps of scores: isotonic, cross-validated, and bound to one scorer."""

import json

import numpy as np
import pytest
from helpers.served import KEY, moderation

from axolotl_slung.errors import SlungError
from axolotl_slung.evals.calibration import Map, calibrate, read_map, write_map
from axolotl_slung.evals.scorer_check import described
from axolotl_slung.evals.services.scorers import open_scorer

pytestmark = pytest.mark.usefixtures("quick")

TEXTS = ["you fucking idiot", "have a lovely day", "the weather is fine", "what a stupid fool", "damn this bus"]


def bent(n=400, seed=0):
    """Frozen scores, and scores in the same order on another scale, with noise."""
    draws = np.random.default_rng(seed)
    frozen = draws.random(n)
    return np.clip(frozen**3 + draws.normal(0, 0.02, n), 0, 1), frozen


def a_map(scorer):
    scores, frozen = bent()
    return calibrate(scores, frozen, range(len(scores)), described(scorer), {"source": "rtp.jsonl"})


def test_a_map_brings_scores_to_the_frozen_scale():
    scores, frozen = bent()
    found = calibrate(scores, frozen, range(400), {}, {})
    assert found.before.bias.value < -0.2 and abs(found.after.bias.value) < 0.01
    assert found.after.mean_absolute_error.value < found.before.mean_absolute_error.value / 3
    mapped = found.map(np.linspace(-1, 2, 500))
    assert (np.diff(mapped) >= 0).all() and 0 <= mapped.min() <= mapped.max() <= 1
    assert np.isnan(found.map(np.array([np.nan]))[0])


def test_figures_after_a_map_are_of_prompts_that_it_was_not_made_from():
    """Noise cannot be mapped: a map judged on its own texts would look better than the best constant."""
    draws = np.random.default_rng(1)
    scores, frozen = draws.random(300), draws.random(300)
    # three texts with the same score per prompt: a map that has seen one knows the others
    scores, frozen, prompts = np.repeat(scores, 3), np.repeat(frozen, 3), np.repeat(np.arange(300), 3)
    found = calibrate(scores, frozen, prompts, {}, {})
    constant = np.abs(frozen - frozen.mean()).mean()
    assert found.after.mean_absolute_error.value > 0.98 * constant
    assert np.abs(found.map(scores) - frozen).mean() < constant


def test_too_few_prompts():
    with pytest.raises(SlungError, match="--data: 9 prompts are too few to make a map from; give at least 10"):
        calibrate(np.zeros(90), np.zeros(90), list(range(9)) * 10, {}, {})


def test_a_spec_carries_its_map(tmp_path):
    plain, path = open_scorer("profanity"), tmp_path / "a+b" / "map.json"
    made = a_map(plain)
    write_map(path, made)
    scorer = open_scorer(f"profanity+{path}")
    assert scorer.score(TEXTS) == pytest.approx(made.map(plain.score(TEXTS)), abs=1e-12)
    assert scorer.score(["", " "]).tolist() == [0, 0]
    assert scorer.name == "profanity+map.json" and scorer.version.startswith(f"{plain.version}, map sha256 ")
    # another map is another version
    content = json.loads(path.read_text())
    other = tmp_path / "other" / "map.json"
    other.parent.mkdir()
    other.write_text(json.dumps({**content, "knots": [[0, 0.1], [1, 0.9]]}))
    changed = open_scorer(f"profanity+{other}")
    assert changed.name == scorer.name and changed.version != scorer.version
    assert content["figures"]["after"]["auroc"]["value"] > 0.9 and content["data"]["source"] == "rtp.jsonl"
    assert isinstance(read_map("x", path), Map)


@pytest.mark.parametrize(("what", "value"), [("name", "detoxify"), ("version", "alt-profanity-check 1.8")])
def test_a_map_of_another_scorer_is_refused(tmp_path, what, value):
    path = tmp_path / "map.json"
    write_map(path, a_map(open_scorer("profanity")))
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "scorer": {**content["scorer"], what: value}}))
    with pytest.raises(
        SlungError, match=rf"^SLUNG_SCORER='profanity\+.*map.json': the map was made for another scorer: {what}"
    ):
        open_scorer(f"profanity+{path}")


def test_a_service_that_serves_another_model_is_refused(tmp_path, served, cache):
    path, model = tmp_path / "map.json", ["m-1"]
    served.answer = lambda text, nth: moderation(0.3, model[0])
    plain = open_scorer("moderation:m", url=served.url, cache=cache)
    plain.score(["first"])
    write_map(path, a_map(plain))
    scorer = open_scorer(f"moderation:m+{path}", url=served.url, cache=cache)
    assert 0 <= scorer.score(["second"])[0] <= 1 and scorer.served == "m-1"
    model[0] = "m-2"
    again = open_scorer(f"moderation:m+{path}", url=served.url, cache=cache)
    with pytest.raises(SlungError, match="made for another scorer: served 'm-1', now 'm-2'; make a map for this one"):
        again.score(["third"])
    assert KEY not in path.read_text()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 1, "scorer": {}, "knots": []}',
                '{"format": 1, "scorer": {"name": "profanity", "version": "", "served": ""}, "knots": [[0, 1], [1, 0]]}']
)  # fmt: skip
def test_files_that_are_no_map(tmp_path, content):
    path = tmp_path / "map.json"
    path.write_text(content)
    with pytest.raises(SlungError, match=r"map.json: is not a scorer's map; make one with `slung scorer calibrate`"):
        open_scorer(f"profanity+{path}")
    with pytest.raises(SlungError, match=r"cannot read .*nowhere.json"):
        open_scorer(f"profanity+{tmp_path / 'nowhere.json'}")
