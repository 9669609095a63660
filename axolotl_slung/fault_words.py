"""Tables for messages on a faulty `slung:` block: words that people use, forms and examples."""

from __future__ import annotations

WORDS = {
    "type": {"regex": "patterns", "regexp": "patterns", "name": "entities", "names": "entities", "words": "entities",
             "wordlist": "entities", "list": "entities", "pii": "presidio", "toxicity": "toxic_spans",
             "toxic": "toxic_spans", "huggingface": "classifier", "hf": "classifier", "transformers": "classifier",
             "bert": "classifier", "column": "spans", "python": "custom", "class": "custom"},
    "action": {"ignore": "mask", "skip": "mask", "keep": "train", "learn": "train", "unlearn": "unlikelihood",
               "remove": "drop_span", "delete": "drop_span", "drop": "drop_document",
               "anonymize": "replace", "anonymise": "replace", "redact": "replace", "substitute": "replace",
               "hide": "hidden_token", "hidden": "hidden_token"},
    "eos": {"keep": "train", "ignore": "mask", "skip": "mask"},
    "method": {"slung": "masked", "baseline": "toxic_baseline", "filter": "low_risk", "unlearn": "unlikelihood",
               "drop": "drop_documents", "anonymize": "replace", "redact": "replace"},
}  # fmt: skip
"""Words of other tools for our values, by the key."""

KEYS = {
    "file": "path", "filename": "path", "list": "names", "column": "field", "class": "class_path",
    "kwargs": "options", "args": "options", "max": "below", "upper": "below", "until": "below", "up_to": "below",
    "less_than": "below", "to": "below", "lang": "language", "do": "action", "loss": "action", "factor": "weight",
    "with": "text", "replacement": "text", "replace_with": "text",
}  # fmt: skip
"""Words of other tools for our keys."""

LOWER_BOUNDS = frozenset({"above", "from", "min", "minimum", "lower", "over", "at_least", "greater_than", "start"})
"""Words for the lower bound of a bucket, which has no key."""

EXAMPLES = {
    "slung": ("slung:", "  labelers:", "    - {type: entities, path: names.txt}"),
    "labelers": ("labelers:", "  - {type: entities, path: names.txt}"),
    "buckets": ("buckets:", "  - {name: safe, below: 0.5, action: train}", "  - {name: risky, action: mask}"),
    "datasets": ("datasets:", "  - train.jsonl"),
    "names": ("names:", "  - Ada Example"),
    "entities": ("entities:", "  - EMAIL_ADDRESS"),
    "options": ("options:", "  language: en"),
    "patterns": ("path: patterns.yml    # and in that file one line per pattern:", r"order: '\bA-\d{6}\b'"),
}
"""What to write, by the key."""

FORMS = {
    "class_path": "expected package.module:Class or folder/file.py:Class",
    "objective": "expected dft or package.module:function",
    "sha256": "expected 64 hexadecimal digits",
    "name": "expected only letters, digits and _ . -",
    "spaced_punctuation": "expected characters without spaces between them, such as .!?,",
}
"""What a value with the wrong form has to look like, by the key."""

KINDS = (
    ("list_", "a list"),
    ("model_", "a mapping"),
    ("dict_", "a mapping"),
    ("string_type", "text"),
    ("bool_", "true or false"),
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("finite_number", "a finite number"),
)
"""The beginning of pydantic's names of problems, and what it expected."""
