import sys
from pathlib import Path

import pytest

from axolotl_slung.labeling import CustomLabeler


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module into the current folder, and gives the labeler of its class."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(code, name, file="labelers/mine.py", **options):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).write_text(code)
        return CustomLabeler("slung.labelers[0]", f"{file}:{name}", options)

    return write
