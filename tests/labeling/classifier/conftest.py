import pytest
from helpers.classifiers import save, save_tagger


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def toxic(folder):
    return save(folder / "toxic")


@pytest.fixture(scope="module")
def tagger(folder):
    return save_tagger(folder / "tagger")
