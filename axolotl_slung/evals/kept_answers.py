"""Keeps a model's answers on disk until they have scores."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ..errors import SlungError
from ..storage import cache_folder

LOG = logging.getLogger(__name__)


@contextmanager
def kept(
    task, docs: Sequence[Mapping], answers: Sequence[Sequence[str]], rows: Sequence[Mapping] | None = None
) -> Iterator[None]:
    """Keep a task's answers where `slung rescore` can read them, while they are scored and if scoring fails.

    Args:
        task: one of slung's tasks.
        docs: its documents.
        answers: the model's answers to each document.
        rows: per document, the values that are already measured.

    Raises:
        SlungError: raised again if the block raises it, with the path of the answers.
    """
    stamp, name = datetime.now().isoformat().replace(":", "-"), task.config.task
    folder = cache_folder() / "unscored" / f"{name}-{stamp}-{os.getpid()}"
    path = folder / f"samples_{name}_{stamp}.jsonl"
    try:
        _write(folder, path, stamp, task, docs, answers, rows or [{}] * len(docs))
        where = f"The model's answers are kept: `slung rescore {path}` scores them without generating again"
    except OSError as error:
        # the copy only helps if scoring fails: without it the run goes on
        LOG.warning("%s: %s: the answers cannot be kept while they are scored (%s)", name, folder, error.strerror)
        where = f"The model's answers are lost, because {folder} cannot be written; set AXOLOTL_SLUNG_CACHE"
    try:
        yield
    except SlungError as error:
        raise SlungError(f"{error}. {where}") from None
    except BaseException:
        LOG.error("%s: %s", name, where)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, path: Path, stamp: str, task, docs, answers, rows) -> None:
    folder.mkdir(parents=True)
    with path.open("w", encoding="utf-8") as file:
        for doc, texts, row in zip(docs, answers, rows, strict=True):
            metrics = {key: row[metric.of] for key, metric in task.metrics().items() if metric.of in row}
            sample = {
                "doc_id": doc["id"],
                "doc": doc,
                "resps": [list(texts)],
                "filter": "none",
                "metrics": list(metrics),
                **metrics,
            }
            file.write(json.dumps(sample) + "\n")
    results = {"results": {}, "configs": {task.config.task: task.dump_config()}}
    (folder / f"results_{stamp}.json").write_text(json.dumps(results, default=str), encoding="utf-8")
