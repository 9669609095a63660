import pytest
from click.testing import CliRunner

from axolotl_slung.cli import main

PATTERNS = "word: '[a-z]+'"


@pytest.fixture
def labeler(tmp_path):
    (tmp_path / "patterns.yml").write_text(PATTERNS)
    return f"{{type: patterns, path: {tmp_path / 'patterns.yml'}}}"


@pytest.fixture
def label(tmp_path, labeler):
    def run_label(*arguments, out="out"):
        command = ["label", *map(str, arguments), "-o", str(tmp_path / out), "-l", labeler, "-j", "1"]
        result = CliRunner().invoke(main, command)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run_label
