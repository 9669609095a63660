"""Labeled documents by hand, what should become of them, and the page of `slung inspect` as its reader uses it."""

from dataclasses import replace

import numpy as np

from axolotl_slung.labels.buckets import Action, Bucket
from axolotl_slung.labels.documents import LabeledDocument
from axolotl_slung.labels.tokens import buckets_of

THREE = (
    Bucket("safe", 1.0e-4, Action.TRAIN),
    Bucket("doubtful", 0.99, Action.MASK),
    Bucket("risky", None, Action.UNLIKELIHOOD, 0.5),
)
OPTIONS = {
    Action.CONTROL_TOKEN: {"token": "<|t|>"},
    Action.HINGE: {"threshold": 0.25},
    Action.CUSTOM: {"objective": "my_losses.own:loss"},
    Action.GOLDFISH: {"k": 4},
    Action.REPLACE: {"text": "<{KIND}>"},
    Action.HIDDEN_TOKEN: {"token": "<|hidden|>"},
}
SUSPICIOUS = [
    "Write",
    " to",
    " ann",
    "a@",
    "b.org",
    ",",
    " ask",
    " Maria",
    " Hern",
    "andez",
    " or",
    " 555",
    "-0199",
    ".",
    " AK",
    "IAIOSFODNN7EXAMPLE",
]
"""Tokens with an address, a name, digits and a key."""
STEP = 1 / 16
"""Between the bounds of `EVERY_ACTION`."""
EVERY_ACTION = tuple(
    Bucket(
        action.value,
        (k + 1) * STEP if k < len(Action) - 1 else None,
        action,
        **OPTIONS.get(action, {}),
    )
    for k, action in enumerate(Action)
)


def labeled(tokens, scores=None, score=None, trainable=None, partial=None, name="row"):
    """A document by hand; what is left out is score 0, trained, whole."""
    length = len(tokens)
    scores = {k: np.asarray(v, float) for k, v in (scores or {}).items()}
    if score is None:
        score = np.max(list(scores.values()), axis=0) if scores else np.zeros(length)
    return LabeledDocument(
        name,
        list(tokens),
        scores,
        np.asarray(score, float),
        np.ones(length, bool) if trainable is None else np.asarray(trainable, bool),
        np.zeros(length, bool) if partial is None else np.asarray(partial, bool),
    )


def random_documents(count=6, length=120, bounds=(1e-4, 0.99, 0.5, 0.125, 0.75), seed=0):
    """Scores of all sizes, the bounds themselves and their neighbors among them."""
    rng = np.random.default_rng(seed)
    edges = [f(b) for b in bounds for f in (float, lambda x: np.nextafter(x, 0), lambda x: np.nextafter(x, 1))]

    def scores():
        size = rng.integers(0, 3, length)
        tiny, middle = 10 ** rng.uniform(-7, 0, length), rng.uniform(0, 1, length)
        return np.choose(size, [tiny, middle, rng.choice([0.0, 1.0, *edges], length)]) * (rng.random(length) < 0.8)

    words = ["the", " cat", " sat", "ting", ".", "\n", " on", " Ünïcode", " mat"]
    return [
        labeled(
            rng.choice(words, length).tolist(),
            {"first": scores(), "second": scores()},
            trainable=rng.random(length) < 0.7,
            partial=rng.random(length) < 0.1,
            name=f"row {k}",
        )
        for k in range(count)
    ]


def slow_effects(document, buckets, score=None):
    """What becomes of each token, read off the definitions one by one."""
    out = []
    for value, trained in zip(document.score if score is None else score, document.trainable):
        bucket = next(b for b in buckets if b.below is None or value < b.below)
        out.append(bucket.action.value if trained or bucket.action.traits.changes_input else "left_out")
    return out


def slow_totals(documents, buckets, scores=None):
    """Tokens and documents of each bucket and of those left out, by numpy."""
    rows = []
    for document, score in zip(documents, scores or [d.score for d in documents]):
        index = buckets_of(score, buckets)
        edits = np.array([b.action.traits.changes_input for b in buckets])
        index[~(document.trainable | edits[index])] = len(buckets)
        rows.append(np.bincount(index, minlength=len(buckets) + 1))
    return list(zip(np.sum(rows, axis=0).tolist(), np.sum(np.array(rows) > 0, axis=0).tolist()))


def at(buckets, bounds):
    return tuple(replace(b, below=v) for b, v in zip(buckets, [*bounds, None]))


class Page:
    """The page as its reader uses it."""

    def __init__(self, driver):
        self.driver = driver

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def classes(self, side=0):
        """The classes of every token of every document, all of them drawn first."""
        return self.js(
            "const [side] = arguments;"
            "for (const doc of documents) for (const row of doc.rows) if (!row.tokens) fill(row);"
            "return documents.map((doc) => [...doc.card.querySelectorAll(`[data-side='${side}']`)]"
            ".map((token) => [...token.classList]))",
            side,
        )

    def effects(self, side=0):
        return [[classes[1] for classes in of_document] for of_document in self.classes(side)]

    def set(self, selector, value, event="input"):
        self.js(
            "const [selector, value, event] = arguments; const input = document.querySelector(selector);"
            "input.value = value; input.dispatchEvent(new Event(event, {bubbles: true}))",
            selector,
            value,
            event,
        )

    def choose(self, identifier, text):
        self.js(
            "const [id, text] = arguments; const list = document.getElementById(id);"
            "const found = [...list.options].findIndex((option) => option.textContent === text);"
            "if (found < 0) throw new Error(`no ${text}`);"
            "list.selectedIndex = found; list.dispatchEvent(new Event('input'))",
            identifier,
            text,
        )

    def shown(self):
        return self.js("return documents.flatMap((doc, index) => (doc.card.checkVisibility() ? [index] : []))")

    def tooltip(self):
        """What the tooltip says: headline, facts, remarks; None where it does not show."""
        return self.js(
            "const tip = document.getElementById('tooltip'); if (tip.hidden) return null;"
            "const facts = {};"
            "for (const term of tip.querySelectorAll('dt')) facts[term.textContent] = term.nextSibling.textContent;"
            "const [head, ...remarks] = [...tip.querySelectorAll('p')].map((p) => p.textContent);"
            "return [head, facts, remarks]"
        )

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def bounds(self):
        return [
            float(v)
            for v in self.js("return [...document.querySelectorAll('.bound [type=number]')].map((n) => n.value)")
        ]

    def totals(self, side=0):
        """Tokens and documents of each bucket, and of those left out, as the legend says."""
        lines = self.js(
            "return [...document.querySelectorAll('.bucket .counts')].map((n) => n.children[arguments[0]].textContent)",
            side,
        )
        words = [line.replace(",", "").split() for line in lines]
        return [(int(w[0]), int(w[-2])) for w in words]
