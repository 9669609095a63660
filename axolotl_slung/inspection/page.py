"""Labeled documents as one HTML file, without a server, a network or a library."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..labeling.scores import Cuts
from ..labels.buckets import Action, Bucket
from ..labels.documents import LEFT_OUT_BY, LabeledDocument
from ..render.template import fill
from ..visible import visible
from .effects import left_out_meaning
from .suspects import KINDS, suspects

SCRIPTS = ("page_documents.js", "page_buckets.js", "page_tooltip.js", "page_marks.js", "page.js")
"""Files that form the page's one script, in this order."""

_FOLDER = Path(__file__).with_name("page")


def inspection_page(
    documents: Sequence[LabeledDocument],
    buckets: Sequence[Bucket],
    title: str,
    notes: Mapping[str, str],
    cuts: Mapping[str, Cuts] | None = None,
) -> str:
    """The page of `slung inspect`: tokens colored by action, with movable thresholds.

    Texts are hostile. They are embedded as escaped JSON and only become text nodes. The page's security policy lets the
    browser run only this package's script, and load nothing.

    Args:
        documents: the documents to show, in this order.
        buckets: ascending. The page starts with their thresholds.
        title: the headline, such as the config's name.
        notes: pairs shown below the headline, such as the tokenizer's name. They may be empty.
        cuts: of each labeler, if the buckets are a preset's: the page then gives new cuts instead of new buckets.

    Returns:
        HTML, in ASCII except for the package's script.

    Raises:
        ValueError: an array is not as long as its document's tokens, or a score is not a finite number.
    """
    labelers = list(dict.fromkeys(name for document in documents for name in document.scores))
    data = {
        "title": title,
        "notes": list(notes.items()),
        "buckets": [_bucket(bucket) for bucket in buckets],
        "cuts": None if cuts is None else list(cuts.items()),
        "left_out": [left_out_meaning(by) for by in range(len(LEFT_OUT_BY))],
        "kinds": list(KINDS),
        "labelers": labelers,
        "documents": [_document(index, document, labelers) for index, document in enumerate(documents)],
    }
    script, style = "\n".join(_part(name) for name in SCRIPTS), f"{_part('page.css')}\n{_action_css()}"
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return fill(_FOLDER / "page.html", policy=policy, style=style, script=script, data=_json(data))


def _bucket(bucket: Bucket) -> dict:
    traits = bucket.action.traits
    given = {key: getattr(bucket, key) for key in (traits.needs, traits.takes) if key is not None}
    options = {key: value for key, value in given.items() if value is not None}
    if traits.coded:
        options["weight"] = bucket.weight
    return {
        "name": bucket.name,
        "below": bucket.below,
        "action": bucket.action.value,
        "meaning": traits.meaning,
        "options": options,
        "changes_input": traits.changes_input,
    }


def _document(index: int, document: LabeledDocument, labelers: Sequence[str]) -> dict:
    arrays = [document.score, document.trainable, document.partial, *document.scores.values()]
    if any(np.shape(array) != (len(document.tokens),) for array in arrays):
        raise ValueError(f"document {index}: scores, trainable, partial: expected one entry for each of its tokens")
    kinds = list(KINDS)
    nothing = np.zeros(len(document.tokens))  # the scores of a labeler that is not in `scores`
    return {
        "name": document.name,
        "tokens": document.tokens,
        "score": _runs(document.score),
        "scores": [_runs(document.scores.get(name, nothing)) for name in labelers],
        "trainable": _runs(document.trainable),
        "partial": _runs(document.partial),
        "left_out_by": _runs(document.reasons),
        "put_in": [[index, visible(text)] for index, text in document.put_in.items()],
        "suspects": [[kinds.index(one.kind), one.text, one.start, one.end] for one in suspects(document)],
    }


def _action_css() -> str:
    """The rules for the tokens of each action, on a light and on a dark page."""
    light, dark, rules = [], [], []
    for action in Action:
        name, look = action.value, action.traits.look
        for variables, paint in ((light, look.light), (dark, look.dark)):
            variables.append(f"--{name}: {paint.fill}; --{name}-edge: {paint.edge};")
            if paint.ink is not None:
                variables.append(f"--{name}-ink: {paint.ink};")
        parts = [f"border-color: var(--{name}-edge);", f"background-color: var(--{name});"]
        if look.light.ink is not None:
            parts.append(f"color: var(--{name}-ink);")
        if look.line:
            # a token with an ink of its own has its line in that
            parts.append(f"text-decoration: {look.line}{'' if look.light.ink else f' var(--{name}-edge)'};")
        rules.append(f".token.{name} {{ {' '.join(parts)} }}")
    schemes = [
        f":root {{ {' '.join(light)} }}",
        f"@media (prefers-color-scheme: dark) {{ :root {{ {' '.join(dark)} }} }}",
    ]
    return "\n".join([*schemes, *rules])


def _runs(values) -> list:
    """`[value, count, value, count, ...]`, which is exact, and short because whole sentences share a score."""
    values = np.asarray(values)
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    counts = np.diff(np.append(starts, len(values)))
    return [entry for run in zip(values[starts].tolist(), counts.tolist()) for entry in run]


def _json(data) -> str:
    """JSON in ASCII for a script element. `<` is escaped, because `</script` ends the element even in a string."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _part(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
