"""A scorer whose scores go through a map; see `evals.calibration`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import SlungError
from ...storage import sha256_of
from ..calibration import read_map
from .base import Scorer


def parts(spec: str) -> tuple[str, Path]:
    """The scorer and the file of `SPEC+MAP.json`. A file's path may have a + too: what is a file comes first."""
    pieces = spec.split("+")
    splits = [("+".join(pieces[:i]), Path("+".join(pieces[i:])).expanduser()) for i in range(len(pieces) - 1, 0, -1)]
    return next((split for split in splits if split[1].is_file()), splits[0])


class CalibratedScorer(Scorer):
    """Maps the scores of another scorer. Its version names the map's digest, so results tell both apart.

    Args:
        said: the option and its value.
        scorer: the scorer.
        path: the map's file.

    Attributes:
        inner: the scorer.

    Raises:
        SlungError: the map cannot be read, or was made for another scorer or another version of it.
    """

    def __init__(self, said: str, scorer: Scorer, path: Path):
        self._said, self.inner, self._map = said, scorer, read_map(said, path)
        self.failures = scorer.failures
        for what in ("name", "version"):
            self._check(what, getattr(scorer, what))
        self.name = f"{scorer.name}+{path.name}"
        self.version = f"{scorer.version}, map sha256 {sha256_of(path)[:12]}"

    @property
    def served(self) -> str:
        """See `Scorer`."""
        return self.inner.served

    def _score(self, texts: list[str]) -> np.ndarray:
        scores = self._map(self.inner.score(texts))
        # a service says only now which model it is
        self._check("served", self.inner.served)
        return scores

    def _check(self, what: str, now: str) -> None:
        if (made := self._map.scorer[what]) != now:
            raise SlungError(
                f"{self._said}: the map was made for another scorer: {what} {made!r}, now {now!r}; make a map for this one "
                "with `slung scorer calibrate`"
            )
