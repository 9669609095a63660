"""A pattern over its budget of CPU time stops `slung label`, and says which one it was."""

import json

from click.testing import CliRunner

from axolotl_slung.cli import main
from axolotl_slung.labeling import patterns


def test_it_stops_the_job_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(patterns, "ALLOWANCE", 0.2)
    (tmp_path / "patterns.yml").write_text("fine: 'secret'\nhungry: '(?:a|aa)+(?!a|b)c'\n")
    rows = [{"text": text} for text in ["a secret", "a" * 200 + " secret", "a" * 300, "another secret"]]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labeler = f"{{type: patterns, path: {tmp_path / 'patterns.yml'}}}"
    arguments = ["label", tmp_path / "in.jsonl", "-o", tmp_path / "out", "-l", labeler, "-j", 1]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "pattern 'hungry': took more CPU time than its budget" in result.output
    assert "(?:a|aa)" not in result.output and "secret" not in result.output
    assert not any("hungry" in path.read_text() for path in tmp_path.rglob("*.bad_lines.txt"))
