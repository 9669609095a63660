"""What `slung label` says of the buckets: counts belong to their settings, and what is not counted is said."""

import json

import pytest
from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job
from axolotl_slung.corpus.run import label_sources
from axolotl_slung.corpus.tally import merged

TRAINED = "the model learns to say what phones found: 10 characters are in the bucket 'fine'"
BLOCK = """
slung:
  labelers: [{{type: patterns, name: phones, path: {path}}}]
  buckets:
    - {{name: fine, below: {below}, action: train}}
    - {{name: risky, action: mask}}
"""


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "patterns.yml").write_text("phone: {pattern: '\\b\\d{5}', score: 0.4}")
    for name in "ab":
        rows = [{"text": "Call 12345 or write to us."}, {"text": "No number, but quite a few words."}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def config(corpus, below):
    path = corpus / f"{below}.yml"
    path.write_text(BLOCK.format(path=corpus / "patterns.yml", below=below))
    return str(path)


def warnings(*arguments):
    result = CliRunner().invoke(main, ["label", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return [line.removeprefix("Warning: ") for line in result.stderr.splitlines() if line.startswith("Warning: ")]


def stopped_after_the_first(corpus, config):
    def stop(source, progress):
        if source.name == "a.jsonl" and progress.finished:
            raise KeyboardInterrupt

    sources = find_sources([str(corpus / "a.jsonl"), str(corpus / "b.jsonl")])
    with pytest.raises(KeyboardInterrupt):
        label_sources(sources, corpus / "out", Job(read_block(config, ())), 1, stop)


def test_the_same_buckets_go_on_with_the_count(corpus):
    stopped_after_the_first(corpus, config(corpus, 0.5))
    (said,) = warnings(corpus / "a.jsonl", corpus / "b.jsonl", "-o", corpus / "out", "-c", config(corpus, 0.5))
    assert said.startswith(TRAINED)


@pytest.mark.parametrize("first, then, half", [(0.5, 0.3, False), (0.3, 0.5, True)])
def test_other_buckets_do_not_add_to_the_count(corpus, first, then, half):
    """The first source's count is of other buckets. It is neither added nor dropped in silence."""
    stopped_after_the_first(corpus, config(corpus, first))
    said = warnings(corpus / "a.jsonl", corpus / "b.jsonl", "-o", corpus / "out", "-c", config(corpus, then))
    finds = [TRAINED.replace("10", "5")] if half else []
    assert [one.partition(", whose")[0] for one in said[:-1]] == finds
    assert said[-1].startswith("2 of 4 texts were labeled under other buckets or cuts")
    # nothing is left to do: a look with the first buckets, and with the second ones
    for buckets, number in ((first, 2), (then, 2)):
        said = warnings(corpus / "a.jsonl", corpus / "b.jsonl", "-o", corpus / "out", "-c", config(corpus, buckets))
        assert said[-1].startswith(f"{number} of 4 texts were labeled under other buckets or cuts")


def test_scores_without_cuts_are_told_once(corpus):
    rows = [{"text": "Some words.", "spans": {"rude": [[0, 8, score]]}} for score in (0.3, 0.6, 1.0)]
    (corpus / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, said = warnings(corpus / "c.jsonl", "-o", corpus / "out", "-l", "spans")  # the first is of the score 1
    assert said.startswith("what the buckets do to 2 of 3 texts is not known: slung.labelers[0].cuts: not set, but the")
    assert "the scores of rude lie between 0 and 1" in said
    for name, cuts, share in (("any", "any", "72.7%"), ("low", "[0.1, 0.2]", "72.7%"), ("high", "[0.97, 0.98]", None)):
        said = warnings(corpus / "c.jsonl", "-o", corpus / name, "-l", f"{{type: spans, cuts: {cuts}}}")
        assert [one.partition(" of the 33 trainable characters")[0] for one in said] == ([share] if share else [])


def test_a_labeler_without_cuts_is_told_once(corpus):
    (corpus / "loud.py").write_text(
        "class Loud:\n    def label(self, texts, rows):\n        return [[] for _ in texts]\n"
    )
    loud = f"{{type: custom, class_path: '{corpus}/loud.py:Loud'}}"
    (said,) = warnings(corpus / "a.jsonl", "-o", corpus / "out", "-l", loud)
    assert said.startswith("what the buckets do to 2 of 2 texts is not known: slung.labelers[0].cuts: not set, but")


def test_labeling_labeled_files_keeps_what_their_scores_mean(corpus):
    warnings(corpus / "a.jsonl", "-o", corpus / "first", "-c", config(corpus, 0.3))
    (corpus / "more.yml").write_text(
        f"slung: {{labelers: [{{type: spans}}, {{type: patterns, name: again, path: {corpus / 'patterns.yml'}}}]}}"
    )
    assert warnings(corpus / "first" / "a.jsonl", "-o", corpus / "second", "-c", corpus / "more.yml") == []
    assert "phones: any\n" in (corpus / "second" / ".slung" / "cuts.yml").read_text()


def test_counts_of_several_settings_stay_apart():
    one = {"s": {"texts": 1, "outcome": [10, 2, [["p", 0.4, "fine", 2]]], "uncounted": {"why": 1}}}
    other = {"t": {"texts": 3, "outcome": [5, 5, []], "uncounted": {}}}
    both = merged(merged(one, other), one)
    assert both["t"] == other["t"]
    assert both["s"] == {"texts": 2, "outcome": [20, 4, [["p", 0.4, "fine", 4]]], "uncounted": {"why": 2}}
    assert one["s"]["texts"] == 1
