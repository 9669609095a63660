"""What becomes of a model's answers when their scorer fails."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence

from ...errors import SlungError
from ...labeling.files import cache_folder
from ..services import check_scored


def check_or_save(task, docs: Sequence[Mapping], answers: Sequence[Sequence[str]], missing: int, asked: int, service) -> None:
    """Stop where too many scores are missing, with the model's answers saved for `slung rescore`.

    Raises:
        SlungError: more than `max_unscored` of them.
    """
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S")
    name = task.config.task
    folder = cache_folder() / "unscored" / f"{name}-{stamp}-{os.getpid()}"
    path = folder / f"samples_{name}_{stamp}.jsonl"
    mend = f"The model's answers are kept: `slung rescore {path}` scores them, with this scorer or another, without generating again"
    try:
        check_scored(task.options, service, missing, asked, mend)
    except SlungError:
        folder.mkdir(parents=True)
        with path.open("w", encoding="utf-8") as file:
            for doc, texts in zip(docs, answers, strict=True):
                file.write(json.dumps({"doc_id": doc["id"], "doc": doc, "resps": [texts], "filter": "none"}) + "\n")
        results = {"results": {}, "configs": {name: task.dump_config()}, "date": time.time()}
        (folder / f"results_{stamp}.json").write_text(json.dumps(results, default=str), encoding="utf-8")
        raise
