"""The file of a fitted scorer: arrays, and a card in JSON that says how it was made. Nothing in it is run.

The same data, options and versions give the same bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import SlungError, first_line, os_errors
from ...storage import replacing

FORMAT = 1
KINDS = ("n-grams", "hidden states")


class FittedFile(NamedTuple):
    """What a file holds.

    Attributes:
        card: how it was made; `kind` is one of `KINDS`.
        coefficients: float `[columns + 1]`; the intercept comes last.
        weights: of n-grams, float `[columns]`: see `ngrams.weighed`. Otherwise empty.
        seen: uint64, sorted: `digests_of` of the prompts that it was fitted to.
    """

    card: dict
    coefficients: np.ndarray
    weights: np.ndarray
    seen: np.ndarray


_ARRAYS = ("coefficients", "weights", "seen")


def write(path: Path, fitted: FittedFile) -> None:
    """Write the file. It appears whole or not at all.

    Raises:
        FileError: it cannot be written.
    """
    card = np.frombuffer(json.dumps(fitted.card, indent=1).encode(), np.uint8)
    with os_errors(path), replacing(path) as part, open(part, "xb") as file:
        np.savez_compressed(file, card=card, **{name: getattr(fitted, name) for name in _ARRAYS})


def read(said: str, path: Path) -> FittedFile:
    """Read a file.

    Args:
        said: where `path` comes from and its value; errors begin with it.
        path: the file.

    Raises:
        SlungError: it cannot be read, is another kind of file, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            card = json.loads(file["card"].tobytes())
            arrays = [file[name] for name in _ARRAYS]
    except OSError as error:
        raise SlungError(f"{said}: cannot read {path}: {error.strerror or first_line(error)}; check the path") from None
    except Exception as error:  # zip, numpy and json have their own errors for a broken file
        raise SlungError(f"{said}: {path.name}: is not a fitted scorer; make one with `slung scorer fit`") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or card.get("kind") not in KINDS:
        raise SlungError(f"{said}: {path.name}: is of another version; make it again with `slung scorer fit`")
    return FittedFile(card, *arrays)


def digests_of(prompts) -> np.ndarray:
    """8 bytes of the SHA-256 of each text, uint64. They tell which prompts were fitted to, and quote none."""
    import hashlib

    return np.array(
        [int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) for text in prompts],
        np.uint64,
    )
