import pytest
from helpers.mixed import corpora, run_mix, settings


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with corpora, and the mix `mix` of them with several files per stream."""
    folder = tmp_path_factory.mktemp("mixing")
    corpora(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axolotl_slung.mixing.build.FILE_BYTES", 30_000)
        result = run_mix(settings(folder), folder / "mix")
    assert result.exit_code == 0, result.output
    return folder
