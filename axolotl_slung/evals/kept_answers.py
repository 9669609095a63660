"""Keeps a model's answers on disk until they have scores."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from ..errors import FileError, SlungError, get_logger
from ..storage import cache_folder, write_private

LOG = get_logger(__name__)


@contextmanager
def kept(
    task, docs: Sequence[Mapping], answers: Sequence[Sequence[str]], rows: Sequence[Mapping] | None = None
) -> Iterator[None]:
    """Keep a task's answers where `slung rescore` can read them, while they are scored and if scoring fails.

    Args:
        task: one of slung's tasks.
        docs: its documents.
        answers: the model's answers to each document, those to one request beside each other.
        rows: per document, the values that are already measured.

    Raises:
        SlungError: raised again if the block raises it, with the path of the answers.
    """
    stamp, name = datetime.now().isoformat().replace(":", "-"), task.config.task
    folder = cache_folder() / "unscored" / f"{name}-{stamp}-{os.getpid()}"
    path = folder / f"samples_{name}_{stamp}.jsonl"
    samples, repeats = [], task.config.repeats or 1
    for doc, texts, row in zip(docs, answers, rows or [{}] * len(docs), strict=True):
        metrics = {key: row[metric.of] for key, metric in task.metrics().items() if metric.of in row}
        sample = {
            "doc_id": doc["id"],
            "doc": doc,
            "resps": [list(texts[first : first + repeats]) for first in range(0, len(texts), repeats)],
            "filter": "none",
            "metrics": list(metrics),
            **metrics,
        }
        samples.append(json.dumps(sample) + "\n")
    results = {"results": {}, "configs": {name: task.dump_config()}}
    where = f"The model's answers are kept: `slung rescore {path}` scores them without generating again"
    try:
        write_private(path, "".join(samples))
        write_private(folder / f"results_{stamp}.json", json.dumps(results, default=str))
    except FileError as error:
        # scoring usually works, so this is not worth the answers
        where = f"The model's answers are not kept: {error}"
        LOG.warning("slung: %s: %s", name, where)
    try:
        yield
    except SlungError as error:
        *lines, last = str(error).split("\n")
        raise SlungError(*lines, f"{last}. {where}") from None
    except BaseException:
        LOG.error("%s: %s", name, where)
        raise
    shutil.rmtree(folder, ignore_errors=True)
