"""What the scores of labeled files mean: `slung label` records it beside its output, in `.slung/cuts.yml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from ..errors import SlungError
from ..storage import write_private
from .scores import ANY, Cuts, as_cuts

PLACE = Path(".slung", "cuts.yml")
"""The file, in the folder of outputs. It maps the labelers' names to their cuts."""


def write_cuts(folder: Path, cuts: Mapping[str, Cuts]) -> None:
    """Record the cuts of the labelers of a folder of outputs, by their names."""
    path = folder / PLACE
    path.parent.mkdir(parents=True, exist_ok=True)
    written = {name: one if one == ANY else list(one) for name, one in cuts.items()}
    write_private(path, yaml.safe_dump(written, sort_keys=False))


def recorded_cuts(paths: Iterable[str | Path]) -> dict[str, Cuts]:
    """The cuts for the names in the columns of labeled files.

    Args:
        paths: files or folders. Their record is in the nearest folder above that has one.

    Raises:
        SlungError: a record is damaged, or two of them contradict each other.
    """
    found: dict[str, Cuts] = {}
    records = {}
    for path in map(Path, paths):
        here = path.expanduser().resolve()
        record = next((folder / PLACE for folder in (here, *here.parents) if (folder / PLACE).is_file()), None)
        if record is not None:
            records[record] = None
    for record in records:
        try:
            cuts: dict[str, Cuts] = {
                name: as_cuts(value) for name, value in yaml.safe_load(record.read_text("utf-8")).items()
            }
        except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError):
            raise SlungError(f"{record}: is damaged; label the files again, or delete it and set `cuts`") from None
        for name, one in cuts.items():
            if found.setdefault(name, one) != one:
                raise SlungError(
                    f"{record}: another folder of this run has other cuts for the same name; set `cuts` of the labeler "
                    "`spans`"
                )
    return found
