import pytest
from helpers.mixed import corpora, run_mix, settings


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with corpora, and the mix `mix` of them with several files per stream."""
    folder = tmp_path_factory.mktemp("mixing")
    corpora(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axolotl_slung.mixing.planned.FILE_BYTES", 30_000)
        result = run_mix(settings(folder), folder / "mix")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Corpora, and sizes with which there is much to interrupt."""
    corpora(tmp_path, risky=400)
    for name, value in {
        "corpus.chunks.CHUNK_BYTES": 4_000,
        "mixing.build.CHUNK_BYTES": 1_500,
        "mixing.planned.FILE_BYTES": 20_000,
        "mixing.units.SLICE_TOKENS": 4_000,
        "mixing.index._COMMIT_EVERY": 0.0,
    }.items():
        monkeypatch.setattr(f"axolotl_slung.{name}", value)
    return tmp_path
