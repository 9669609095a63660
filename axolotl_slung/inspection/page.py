"""Labeled documents as one HTML file that needs nothing else: no server, no network, no library."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np

from ..labels.buckets import CODED_ACTIONS, TEXT_ACTIONS, Bucket
from .documents import LabelledDocument
from .effects import LEFT_OUT_MEANING, MEANINGS

SCRIPTS = ("page_documents.js", "page_buckets.js", "page_tooltip.js", "page.js")
"""One script in the page, in this order."""


def inspection_page(
    documents: Sequence[LabelledDocument], buckets: Sequence[Bucket], title: str, notes: Mapping[str, str]
) -> str:
    """The page of `slung inspect`: tokens colored by action, with thresholds that can be moved.

    Texts are hostile: they travel as escaped JSON, become text nodes and nothing else, and the page's own policy lets
    the browser run this package's script alone and fetch nothing.

    Args:
        documents: what to show, in this order.
        buckets: ascending; the thresholds that the page starts with.
        title: the headline, such as the config's name.
        notes: shown below it, such as the tokenizer's name; they may be empty.

    Returns:
        HTML in plain ASCII but for the package's own script.

    Raises:
        ValueError: arrays that are not as long as their document's tokens, or scores that are no finite numbers.
    """
    labelers = list(dict.fromkeys(name for document in documents for name in document.scores))
    data = {
        "title": title,
        "notes": list(notes.items()),
        "buckets": [_bucket(bucket) for bucket in buckets],
        "left_out": LEFT_OUT_MEANING,
        "labelers": labelers,
        "documents": [_document(index, document, labelers) for index, document in enumerate(documents)],
    }
    script, style = "\n".join(_part(name) for name in SCRIPTS), _part("page.css")
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    parts = {"policy": policy, "style": style, "script": script, "data": _json(data)}
    # one pass, so that a text which looks like a place to fill stays a text
    return re.sub(r"\{\{(policy|style|script|data)\}\}", lambda place: parts[place[1]], _part("page.html"))


def _bucket(bucket: Bucket) -> dict:
    options = {key: getattr(bucket, key) for key in ("token", "threshold", "objective", "k")}
    if bucket.action in CODED_ACTIONS:
        options["weight"] = bucket.weight
    return {
        "name": bucket.name,
        "below": bucket.below,
        "action": bucket.action.value,
        "meaning": MEANINGS[bucket.action],
        "options": {key: value for key, value in options.items() if value is not None},
        "edits_text": bucket.action in TEXT_ACTIONS,
    }


def _document(index: int, document: LabelledDocument, labelers: Sequence[str]) -> dict:
    arrays = [document.score, document.trainable, document.partial, *document.scores.values()]
    if any(np.shape(array) != (len(document.tokens),) for array in arrays):
        raise ValueError(f"document {index}: scores, trainable and partial need one entry for each of its tokens")
    nothing = np.zeros(len(document.tokens))  # what a labeler has found that `scores` does not name
    return {
        "name": document.name,
        "tokens": document.tokens,
        "score": _runs(document.score),
        "scores": [_runs(document.scores.get(name, nothing)) for name in labelers],
        "trainable": _runs(document.trainable),
        "partial": _runs(document.partial),
    }


def _runs(values) -> list:
    """`[value, count, value, count, ...]`: whole sentences share a score, so this is short, and it loses no digit."""
    values = np.asarray(values)
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    counts = np.diff(np.append(starts, len(values)))
    return [entry for run in zip(values[starts].tolist(), counts.tolist()) for entry in run]


def _json(data) -> str:
    """JSON in ASCII that no HTML parser can leave early: a script element ends at `</script`, whatever is around it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
