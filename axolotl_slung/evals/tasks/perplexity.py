"""slung_perplexity: how well a model predicts harmless text (paper, Table 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lm_eval.api.instance import Instance

from ...errors import get_logger
from ..documents import load
from ..measures.metrics import Metric
from ..requests import LOG_LIKELIHOOD
from .base import SlungTask

LOG = get_logger(__name__)


class Perplexity(SlungTask):
    """The perplexity of documents. A document longer than the model's context is read in consecutive windows.

    `option` in the YAML's `dataset_kwargs` is the option that names the text.
    """

    REQUEST = LOG_LIKELIHOOD

    def documents(self):
        option = self.config.dataset_kwargs["option"]
        source = getattr(self.options, option)
        rows = load(f"SLUNG_{option.upper()}", source, ["text"])
        docs = [{"text": row["text"]} for row in rows if row["text"].strip()]
        if len(docs) < len(rows):
            LOG.warning(
                "SLUNG_%s: left out %d empty documents of %s",
                option.upper(),
                len(rows) - len(docs),
                source,
            )
        return source, docs

    def construct_requests(self, doc, ctx, **kwargs):
        return Instance(LOG_LIKELIHOOD, doc, (doc["text"],), 0, metadata=kwargs["metadata"])

    def measure(self, docs, answers: Sequence[Sequence]):
        rows = []
        for doc, ((log_likelihood, tokens),) in zip(docs, answers, strict=True):
            text = doc["text"]
            units = {"tokens": tokens, "bytes": self.count_bytes(text), "words": self.count_words(text)}
            rows.append({unit: (log_likelihood, number) for unit, number in units.items()})
        return rows

    def metrics(self):
        return {
            "token_perplexity": Metric("tokens", perplexity, False),
            "byte_perplexity": Metric("bytes", perplexity, False),
            "word_perplexity": Metric("words", perplexity, False),
        }


def perplexity(values: Sequence[tuple[float, int]]) -> float:
    """`exp` of the mean nll (nats) over all units of all documents; infinite if too large for a float.

    Args:
        values: the log-likelihood and the number of units of each document.
    """
    log_likelihoods, numbers = zip(*values)
    mean = -sum(log_likelihoods) / sum(numbers)
    return math.exp(mean) if mean < 700 else math.inf
