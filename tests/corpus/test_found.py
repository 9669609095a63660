"""What `slung label` says of what it found, and of names that it never found."""

import json
import stat

import pytest
from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.cli.block import read_block
from axolotl_slung.corpus.found import never_found, summed
from axolotl_slung.corpus.inputs import find_sources
from axolotl_slung.corpus.job import Job
from axolotl_slung.corpus.run import label_sources

NAMES = ["Ada Lovelace", "Zoë Quill", "Bo Li", "Cy Oz", "Ada  Lovelace"]


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "names.txt").write_text("# people\n" + "\n".join(NAMES), encoding="utf-8")
    folder = tmp_path / "in"
    folder.mkdir()
    texts = [["Ada Lovelace met LOVELACE, Ada.", "nobody"], ["Quill", "Li, Bo", "nobody", ""]]
    for number, of_file in enumerate(texts):
        (folder / f"{number}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in of_file))
    return tmp_path


def label(corpus, *options):
    names = f"{{type: entities, path: {corpus / 'names.txt'}, name: people{''.join(options)}}}"
    arguments = ["label", str(corpus / "in"), "-o", str(corpus / "out"), "-l", names, "-j", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_summary_counts_spans_and_names(corpus):
    said = label(corpus, ", parts: true")
    assert "people: 4 spans in 3 of 6 documents" in said
    listed = corpus / "out" / ".slung" / "people.never_found.txt"
    assert f"people: 1 of 5 listed names were never found, and 1 only in parts; {listed} lists them" in said
    assert listed.read_text(encoding="utf-8") == "# never found\n5\tCy Oz\n# found only in parts\n3\tZoë Quill\n"
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600
    assert not any(name in said for name in ("Cy", "Quill"))


def test_a_labeler_that_found_nothing_is_named(corpus):
    (corpus / "names.txt").write_text("Nobody Here\n")
    said = label(corpus)
    assert "people: 0 spans in 0 of 6 documents" in said
    assert "people: 1 of 1 listed names were never found" in said


def test_all_names_found(corpus):
    (corpus / "names.txt").write_text("Ada Lovelace\nBo Li\n")
    assert "people: all 2 listed names were found" in label(corpus)
    assert not list((corpus / "out" / ".slung").glob("*never_found*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resumed_run_counts_what_was_found_before(corpus, workers, monkeypatch):
    block = read_block(None, [f"{{type: entities, path: {corpus / 'names.txt'}}}"])
    sources = find_sources([str(corpus / "in")])

    def stop(source, progress):
        if source.name == "0.jsonl" and progress.finished:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_sources(sources, corpus / "out", Job(block), 1, stop)
    job = Job(block)
    outputs = label_sources(sources, corpus / "out", job, workers)
    assert summed([output.progress.found for output in outputs]) == {"entities": (3, 2)}
    (never,) = never_found(job.labelers, [output.entries_found() for output in outputs])
    assert (never.listed, list(never.absent), never.in_parts) == (5, [3, 5], {})


def test_kills_within_a_source_lose_no_found_name(corpus, monkeypatch):
    """Each chunk is written to the journal, and the run stops and resumes after each."""
    from axolotl_slung.corpus import output as module

    monkeypatch.setattr(module, "_COMMIT_EVERY", -1)
    rows = [{"text": f"{name} {'x' * 600_000}"} for name in NAMES[:4]]
    for path in (corpus / "in").iterdir():
        path.unlink()
    (corpus / "in" / "0.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    block = read_block(None, [f"{{type: entities, path: {corpus / 'names.txt'}}}"])
    sources = find_sources([str(corpus / "in")])
    for _ in range(20):
        seen = []

        def stop(source, progress, seen=seen):
            seen.append(progress)
            if len(seen) == 2 and not progress.finished:
                raise KeyboardInterrupt

        job = Job(block)
        try:
            outputs = label_sources(sources, corpus / "out", job, 1, stop)
            break
        except KeyboardInterrupt:
            pass
    assert summed([output.progress.found for output in outputs]) == {"entities": (4, 4)}
    (never,) = never_found(job.labelers, [output.entries_found() for output in outputs])
    assert not never.absent
