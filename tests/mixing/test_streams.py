"""What a mix holds, against a slow recount of its sources."""

import json
from itertools import combinations

import numpy as np
import pytest
import yaml
from helpers.mixed import CRITERIA, corpora, risky_rows, rows_of, settings
from transformers import AutoTokenizer

from axolotl_slung.mixing.choose import CannotMeet, Draw, draw, keys
from axolotl_slung.mixing.reading import RECORD

STREAMS = [(seed, name) for seed in (0, 7) for name in ("none", "small", "large")]


@pytest.fixture(scope="module")
def streams(made):
    return {stream: rows_of(made / "mix" / f"seed-{stream[0]}" / stream[1]) for stream in STREAMS}


@pytest.fixture(scope="module")
def tokens(made):
    tokenizer = AutoTokenizer.from_pretrained(settings(made)["tokenizer"])
    return lambda rows: sum(len(tokenizer(row["text"], add_special_tokens=False)["input_ids"]) for row in rows)


def of(rows, source):
    return [row for row in rows if row["source"] == source]


def test_budgets_are_met(made, streams, tokens):
    budgets = settings(made)["budgets"]
    for (_, name), rows in streams.items():
        assert abs(tokens(of(rows, "risky")) - budgets[name]) <= 0.001 * budgets[name]
        assert abs(tokens(rows) - 30_000) <= 0.002 * 30_000


def test_streams_are_in_several_files(made):
    assert len(list((made / "mix" / "seed-0" / "large").iterdir())) > 2


def test_smaller_budgets_are_in_larger_ones_at_the_same_places(streams):
    for seed in (0, 7):
        for small, large in combinations(("none", "small", "large"), 2):
            less, more = streams[seed, small], streams[seed, large]
            # identical texts are told apart by their ids
            risky = {row["id"] for row in of(less, "risky")}
            base = {row["id"] for row in of(more, "base")}
            assert risky <= {row["id"] for row in of(more, "risky")}
            assert base <= {row["id"] for row in of(less, "base")}
            shared = [
                [row for row in rows if row["id"] in (risky if row["source"] == "risky" else base)]
                for rows in (less, more)
            ]
            assert shared[0] == shared[1]


def test_seeds_draw_other_documents_in_another_order(streams):
    first, second = streams[0, "large"], streams[7, "large"]
    assert {row["id"] for row in of(first, "risky")} != {row["id"] for row in of(second, "risky")}
    assert [row["id"] for row in streams[0, "none"]] != [row["id"] for row in streams[7, "none"]]
    assert {row["id"] for row in streams[0, "none"]} == {row["id"] for row in streams[7, "none"]}


def test_risky_documents_stand_all_over_the_stream(streams):
    places = np.flatnonzero([row["source"] == "risky" for row in streams[0, "large"]]) / len(streams[0, "large"])
    assert len(places) > 20
    assert np.histogram(places, 4, (0, 1))[0].min() > 0


def test_partitions_share_no_text(made, streams, tokens):
    base, risky = (rows_of(made / "mix" / "heldout" / f"{role}.jsonl.zst") for role in ("base", "risky"))
    assert abs(tokens(base) - 2_000) <= 2 and abs(tokens(risky) - 500) <= 1
    parts = [base, risky, [row for rows in streams.values() for row in rows]]
    for one, other in combinations(parts, 2):
        assert {row["text"] for row in one}.isdisjoint(row["text"] for row in other)
    assert {row["source"] for row in base} == {"base"} and {row["source"] for row in risky} == {"risky"}


def test_identical_texts_stay_together(made, streams):
    """The ten copies in a file are all in the streams, all held out, or left out."""
    held = {row["text"] for row in rows_of(made / "mix" / "heldout" / "base.jsonl.zst")}
    for name in ("one", "two"):
        text = json.loads((made / "base" / f"{name}.jsonl").read_text().splitlines()[5])["text"]
        copies = sum(row["text"] == text for row in streams[0, "none"])
        assert copies == 0 if text in held else copies > 0


def test_documents_are_those_of_the_criteria(made, streams):
    source = {str(row["id"]): row for row in risky_rows(1200)}

    def meets(row):
        scores = [score for _, _, score in row["spans"]]
        return row["english"] >= 0.5 and row["toxic"] >= 0.3 and max(scores) >= 0.99 and min(scores) <= 1e-4

    manifest = json.loads((made / "mix" / "manifest.json").read_text())
    # every text of two sentences; a few of TEXT have no end of a sentence that the splitter sees
    assert 0.8 * sum(map(meets, source.values())) < manifest["criteria"]["chosen"] <= sum(map(meets, source.values()))
    assert manifest["criteria"]["documents"] == 1200
    assert sum(manifest["criteria"]["left_out"].values()) + manifest["criteria"]["chosen"] == 1200
    assert list(manifest["criteria"]["left_out"]) == list(CRITERIA)
    for rows in streams.values():
        for row in of(rows, "risky"):
            assert meets(source[row["id"]])
            assert row["text"] == source[row["id"]]["text"] and json.loads(row["spans"]) == source[row["id"]]["spans"]
        assert all(row["spans"] == "[]" for row in of(rows, "base"))


def test_the_manifest_counts_what_the_files_hold(made, streams, tokens):
    manifest = json.loads((made / "mix" / "manifest.json").read_text())
    assert [(one["seed"], one["budget"]) for one in manifest["streams"]] == STREAMS
    tokenizer = AutoTokenizer.from_pretrained(settings(made)["tokenizer"])
    for one in manifest["streams"]:
        rows = streams[one["seed"], one["budget"]]
        counted = {role: tokens(of(rows, role)) for role in ("base", "risky")}
        assert one["tokens"] == {**counted, "total": sum(counted.values())}
        assert one["documents"] == {role: len(of(rows, role)) for role in ("base", "risky")}
        assert sum(file["documents"] for file in one["files"]) == len(rows)
        whole = streams[one["seed"], "none"]
        assert one["replaced"] == {
            "tokens": tokens(whole) - counted["base"], "documents": len(whole) - one["documents"]["base"]
        }  # fmt: skip
        buckets = {"safe": 0, "doubtful": 0, "risky": 0}
        for row in of(rows, "risky"):
            offsets = tokenizer(row["text"], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            for place, (start, end) in enumerate(offsets):
                # the blank before a word belongs to its token, but is not in this tokenizer's offsets
                start = start if place == 0 else offsets[place - 1][1]
                score = max(s for a, b, s in json.loads(row["spans"]) if a < max(end, start + 1) and b > start)
                buckets["safe" if score < 1e-4 else "doubtful" if score < 0.99 else "risky"] += 1
        assert one["risky_tokens"] == buckets


def test_only_the_share_that_is_needed_is_read(tmp_path, monkeypatch):
    """Every file gives the same share of its lines, a compressed one too."""
    import gzip

    from helpers.mixed import run_mix

    corpora(tmp_path)
    rows = (tmp_path / "base" / "one.jsonl").read_bytes()
    (tmp_path / "base" / "three.jsonl.gz").write_bytes(gzip.compress(rows.replace(b"one", b"three")))
    monkeypatch.setattr("axolotl_slung.corpus.chunks.CHUNK_BYTES", 2_000)
    given = settings(tmp_path, tokens=12_000, seeds=[1], budgets={"b": 500})
    assert run_mix(given, tmp_path / "mix").exit_code == 0
    files = json.loads((tmp_path / "mix" / "manifest.json").read_text())["sources"]["base"][0]["files"]
    lines = [file["lines"] for file in files]
    assert len(lines) == 3 and min(lines) > 60 and max(lines) < 240 and max(lines) - min(lines) < 40
    assert not any(file["whole"] for file in files)


class Made:
    """Records in memory, as `Records` has them on disk."""

    def __init__(self, tokens):
        self.all = np.zeros(len(tokens), RECORD)
        self.all["tokens"] = tokens

    def blocks(self):
        for start in range(0, len(self.all), 997):
            yield start, self.all[start : start + 997]


@pytest.mark.parametrize("count", [300, 5_000, 200_000])
def test_draws_meet_their_numbers(count):
    random = np.random.default_rng(count)
    records = Made(random.integers(5, 60, count))
    total = int(records.all["tokens"].sum())
    targets = [0, total // 50, total // 20, total // 3]
    odd = lambda start, block: (np.arange(start, start + len(block)) % 2) > 0  # noqa: E731
    found = draw(records, odd, targets, 1, seed=3)
    levels = np.concatenate([found.levels(start, odd(start, block)) for start, block in records.blocks()])
    for level, target in enumerate(targets):
        assert abs(int(records.all["tokens"][levels <= level].sum()) - target) <= 0.001 * target
    assert (levels[::2] == len(targets)).all()
    # all but a few are the first ones by their keys
    order = np.argsort(keys(1, 3, 0, count), kind="stable")
    expected = np.cumsum(np.where(order % 2, records.all["tokens"][order], 0)) <= targets[-1]
    assert (levels[order][order % 2 > 0] < 4).astype(int).sum() - expected[order % 2 > 0].sum() in range(-300, 300)
    assert ((levels[order] < 4) != (expected & (order % 2 > 0))).sum() < 300


def test_keys_do_not_depend_on_the_blocks():
    whole = keys(2, 5, 0, 1000)
    assert (np.concatenate([keys(2, 5, start, 37) for start in range(0, 999, 37)])[:1000] == whole[:999]).all()
    assert (keys(2, 6, 0, 1000) != whole).all() and (keys(3, 5, 0, 1000) != whole).all()


def test_a_draw_of_more_than_there_is_says_how_much_there_is():
    with pytest.raises(CannotMeet) as error:
        draw(Made([10] * 100), lambda start, block: np.ones(len(block), bool), [500, 1_002], 1)
    assert (error.value.level, error.value.available) == (1, 1000)
    assert isinstance(draw(Made([10] * 100), lambda start, block: np.ones(len(block), bool), [1_000], 1), Draw)


def test_settings_that_are_written_are_read_again(made):
    manifest = json.loads((made / "mix" / "manifest.json").read_text())
    (made / "again.yml").write_text(yaml.safe_dump(manifest["settings"]))
    from axolotl_slung.mixing.config import read_mix

    assert read_mix(manifest["settings"], "again.yml").settings() == manifest["settings"]
