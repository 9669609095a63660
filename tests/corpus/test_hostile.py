"""Random and mutated input: no crash, every bad line counted, the rest labeled."""

import pytest
from helpers.hostile import Round


@pytest.mark.parametrize("seed", range(3))
def test_hostile_inputs(tmp_path, seed):
    """`python -m helpers.hostile` runs many more rounds."""
    Round(tmp_path, seed).run()


@pytest.mark.slow
def test_many_hostile_lines(tmp_path):
    Round(tmp_path, 100_000, 100_000).run()
