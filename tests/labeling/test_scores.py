"""Scores of several labelers on one scale: a method cuts each where it was made to be cut."""

import math
from pathlib import Path

import pytest
from helpers.tables import table
from hypothesis import assume, given
from hypothesis import strategies as st

from axolotl_slung.config import SlungConfig
from axolotl_slung.errors import SlungError
from axolotl_slung.labeling.base import LabelerError, Span
from axolotl_slung.labeling.build import build
from axolotl_slung.labeling.record import recorded_cuts, write_cuts
from axolotl_slung.labeling.registry import LABELERS
from axolotl_slung.labeling.scores import ANY, Scale, moved

PAPER = (1e-4, 0.99)
ALIAS = {"type": "fasttext", "model": "jigsaw_hatespeech_sentence_v2"}
SCORES = st.floats(0, 1)


def pairs():
    cut = st.floats(0, 1, exclude_min=True, exclude_max=True)
    return st.tuples(cut, cut).filter(lambda pair: pair[0] < pair[1])


def bucket(score, cuts):
    """The slow reference: 0, 1 or 2."""
    return 2 if cuts == ANY else (score >= cuts[0]) + (score >= cuts[1])


@given(SCORES, SCORES, pairs(), pairs())
def test_a_moved_score_keeps_its_bucket_and_its_order(first, second, cuts, scale):
    low, high = sorted([first, second])
    there = [moved(score, cuts, scale) for score in (low, high)]
    assert all(0 <= score <= 1 for score in there)
    assert [bucket(score, scale) for score in there] == [bucket(score, cuts) for score in (low, high)]
    assert there[0] <= there[1]


@given(pairs(), pairs())
def test_a_score_just_below_a_cut_stays_below_it(cuts, scale):
    for k, cut in enumerate(cuts):
        assert bucket(moved(cut, cuts, scale), scale) == k + 1
        assert bucket(moved(math.nextafter(cut, 0), cuts, scale), scale) == bucket(math.nextafter(cut, 0), cuts)


@given(SCORES, pairs())
def test_scores_on_their_own_scale_do_not_move(score, cuts):
    assert moved(score, cuts, cuts) == score


@given(SCORES, pairs())
def test_any_find_is_risky(score, scale):
    assert bucket(moved(score, ANY, scale), scale) == 2


@given(SCORES)
def test_scores_between_0_and_1_need_cuts(score):
    scale = Scale("slung.labelers[3]", None, PAPER)
    spans = [Span(0, 1, score, "insults")]
    if score in (0, 1):
        assert scale.put(spans) == spans
    else:
        with pytest.raises(
            LabelerError, match=r"slung.labelers\[3\].cuts: not set, .* `cuts: {insults: \[low, high\]}`"
        ):
            scale.put(spans)


def test_a_name_that_may_be_data_is_not_quoted():
    with pytest.raises(LabelerError) as error:
        Scale("slung.labelers[0]", None, PAPER).put([Span(0, 1, 0.5, "Maria Hernandez\x1b[2J")])
    assert "Maria" not in str(error.value) and "\x1b" not in str(error.value)


# ------------------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    "labelers, scale",
    [
        ([ALIAS], PAPER),
        ([{"type": "profanity"}], (0.2, 0.9)),
        ([ALIAS, {"type": "profanity"}], PAPER),
        ([{"type": "entities", "names": ["x"]}, {"type": "profanity"}, ALIAS], (0.2, 0.9)),
        ([{"type": "presidio"}], PAPER),
        ([{"type": "profanity", "cuts": [0.3, 0.8]}], (0.3, 0.8)),
        ([{"type": "spans", "cuts": {"presidio": "any", "insults": [0.1, "0.7"]}}], (0.1, 0.7)),
        ([{"type": "fasttext", "model": "own.bin", "cuts": "any"}], PAPER),
    ],
)
def test_the_scale_is_that_of_the_first_labeler_with_a_pair(labelers, scale):
    block = SlungConfig(labelers=labelers)
    assert block.scale() == scale
    assert [bucket.below for bucket in block.resolved_buckets()] == [*scale, None]


@pytest.mark.parametrize(
    "labeler",
    [
        {"type": "fasttext", "model": "own.bin"},
        {"type": "fasttext", "model": "jigsaw_hatespeech_sentence_v2", "label": "__label__other"},
        {"type": "classifier", "model": "owner/name"},
        {"type": "dolma", "path": "attributes", "attribute": "x"},
        {"type": "custom", "class_path": "mine:Labeler"},
    ],
    ids=lambda labeler: labeler["type"],
)
def test_a_method_needs_cuts_for_scores_that_nobody_described(labeler):
    block = SlungConfig(labelers=[{"type": "profanity"}, labeler])
    for refused in (block.scale, block.resolved_buckets):
        with pytest.raises(SlungError, match=r"^slung.labelers\[1\].cuts: not set, .*`cuts: \[low, high\]`"):
            refused()
    given_ones = SlungConfig(labelers=[{"type": "profanity"}, {**labeler, "cuts": [0.4, 0.6]}])
    assert given_ones.scale() == (0.2, 0.9)
    buckets = [{"name": "a", "below": 0.5, "action": "train"}, {"name": "b", "action": "mask"}]
    assert SlungConfig(labelers=[labeler], buckets=buckets).scale() is None


@pytest.mark.parametrize("kind", [kind for kind, entry in LABELERS.items() if entry.cuts == ANY])
def test_finders_take_no_cuts(kind):
    keys = {"entities": {"names": ["x"]}, "patterns": {"path": "x.yml"}}.get(kind, {})
    with pytest.raises(ValueError, match=f"`cuts` has no effect with type: {kind}: whatever it finds is risky"):
        SlungConfig(labelers=[{"type": kind, **keys, "cuts": [0.1, 0.2]}])


@pytest.mark.parametrize(
    "cuts", [[0.9, 0.2], [0.2], [0.1, 0.2, 0.3], [0, 0.5], [0.5, 1], "all", 0.5, ["a", "b"], {"a": "any"}]
)
def test_cuts_of_another_form_are_refused(cuts):
    with pytest.raises(ValueError, match=r"expected \[low, high\] with 0 < low < high < 1, or any"):
        SlungConfig(labelers=[{"type": "profanity", "cuts": cuts}])


def test_buckets_take_neither_a_method_nor_cuts():
    buckets = [{"name": "a", "below": 0.5, "action": "train"}, {"name": "b", "action": "mask"}]
    with pytest.raises(ValueError, match=r"method\n.*masked: has no effect with `buckets`"):
        SlungConfig(labelers=[{"type": "profanity"}], buckets=buckets, method="masked")
    with pytest.raises(ValueError, match=r"`labelers\[0\].cuts` has no effect with `buckets`"):
        SlungConfig(labelers=[{"type": "profanity", "cuts": [0.1, 0.2]}], buckets=buckets)


def test_labelers_give_scores_on_the_scale_of_a_method_and_raw_ones_to_buckets_and_files(tmp_path):
    (tmp_path / "patterns.yml").write_text("phone: {pattern: '\\d{4}', score: 0.4}")
    labelers = [{"type": "profanity", "cuts": [0.1, 0.5]}, {"type": "patterns", "path": str(tmp_path / "patterns.yml")}]
    text = "You fucking idiot. Call 1234."
    own = [one.annotate([text], [{}])[0] for one in build(SlungConfig(labelers=labelers), scaled=False)]
    assert own[1] == [Span(24, 28, 0.4, "patterns", "phone")]
    method = [one.annotate([text], [{}])[0] for one in build(SlungConfig(labelers=labelers))]
    assert method == [own[0], [Span(24, 28, 1.0, "patterns", "phone")]]
    buckets = [{"name": "a", "below": 0.5, "action": "train"}, {"name": "b", "action": "mask"}]
    plain = [{"type": "profanity"}, labelers[1]]
    assert [one.annotate([text], [{}])[0] for one in build(SlungConfig(labelers=plain, buckets=buckets))] == own


# -------------------------------------------------------------------------------------------------- records of files


def test_the_record_of_a_folder_is_found_from_all_of_its_files(tmp_path):
    cuts = {"presidio": ANY, "insults": (0.1, 0.7)}
    write_cuts(tmp_path, cuts)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    file = tmp_path / "deep" / "er" / "rows.jsonl"
    file.write_text("")
    assert recorded_cuts([file]) == recorded_cuts([tmp_path]) == recorded_cuts([file, tmp_path / "deep"]) == cuts
    block = SlungConfig(labelers=[{"type": "spans"}]).with_recorded(recorded_cuts([file]))
    assert block.scale() == (0.1, 0.7)
    given_ones = SlungConfig(labelers=[{"type": "spans", "cuts": [0.3, 0.4]}])
    assert given_ones.with_recorded(cuts).scale() == (0.3, 0.4)


def test_records_that_are_damaged_or_contradict_each_other_are_refused(tmp_path):
    for folder, cuts in (("a", {"x": (0.1, 0.2)}), ("b", {"x": ANY})):
        (tmp_path / folder).mkdir()
        write_cuts(tmp_path / folder, cuts)
    with pytest.raises(SlungError, match="another folder of this run has other cuts"):
        recorded_cuts([tmp_path / "a", tmp_path / "b"])
    for damaged in ("[1", "x: 5", "- 1", "x: [0.1]"):
        Path(tmp_path / "a" / ".slung" / "cuts.yml").write_text(damaged)
        with pytest.raises(SlungError, match="is damaged"):
            recorded_cuts([tmp_path / "a"])


# --------------------------------------------------------------------------------------------------------------- docs


def test_the_docs_say_what_each_labelers_scores_are():
    rows = {row["labeler"].strip("`"): row for row in table("docs/labelers.md", "labeler")}
    assert set(rows) == set(LABELERS)
    for kind, entry in LABELERS.items():
        assert rows[kind]["its scores"] == entry.scores
        cuts = rows[kind]["a method's cuts"]
        if entry.cuts == ANY:
            assert cuts == "any find is risky" and rows[kind]["the key `cuts`"] == "refused"
        elif entry.cuts:
            assert cuts == " and ".join(map(str, entry.cuts)) and rows[kind]["the key `cuts`"] == "optional"
        else:
            # a student's file has its cuts
            assert rows[kind]["the key `cuts`"].startswith("optional" if kind == "student" else "required")


def test_readme_says_what_the_methods_do():
    from axolotl_slung.labels.buckets import PRESETS, preset

    rows = table("README.md", "`method`")
    names = [bucket.name for bucket in preset("masked")]
    said = {row["`method`"].split("`")[1]: tuple(row[name] for name in names) for row in rows}
    assert said == {method: tuple(action.value for action in actions) for method, actions in PRESETS.items()}


@given(pairs(), st.lists(st.tuples(SCORES, pairs() | st.just(ANY)), min_size=1, max_size=4))
def test_the_riskier_bucket_wins(scale, found):
    assume(all(cuts != scale for _, cuts in found))
    combined = max(moved(score, cuts, scale) for score, cuts in found)
    assert bucket(combined, scale) == max(bucket(score, cuts) for score, cuts in found)
