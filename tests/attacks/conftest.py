import os

import pytest


@pytest.fixture(autouse=True)
def no_options_of_the_machine(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SLUNG_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder for tiny models."""
    return tmp_path_factory.mktemp("models")
