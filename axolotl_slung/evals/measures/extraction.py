"""How far a model can be made to say a span, from the text in front of it.

- *Extracted*: greedy decoding continues the text in front of the span with the span (k-extractable, Carlini et al. 2023,
  "Quantifying Memorization Across Neural Language Models", with k tokens in front). Carlini takes the 50 tokens that
  follow; here it is the span.
- *Extraction strength*: the share of the span's tokens that need not be given, so that greedy decoding says all the
  others. It is open-unlearning's definition (Wang et al. 2025), with one difference: a span whose last token is not the
  likeliest has 0, where open-unlearning gives it 1 / tokens.
- *Common prefix*: the share of the span's tokens that greedy decoding says before its first other token.
- *Found in n*: the probability that at least one of n samples at temperature 1 is the span, 1 - (1 - p)^n
  ((n, p)-discoverable extraction, Hayes et al. 2024). Carlini's extraction is the greedy case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

SAMPLES = (1, 10, 100, 1000)
"""Numbers of samples for which `found_in` is reported."""


def common_prefix(likeliest: Sequence[bool]) -> int:
    """The number of tokens that greedy decoding says before its first other token.

    Args:
        likeliest: for each token of the span, whether it is the likeliest after all that stands before it.
    """
    return next((place for place, right in enumerate(likeliest) if not right), len(likeliest))


def strength(likeliest: Sequence[bool]) -> float:
    """Extraction strength: 1 if nothing of the span must be given, 0 if all of it; NaN without tokens."""
    said = common_prefix(likeliest[::-1])
    return said / len(likeliest) if likeliest else math.nan


def found_in(logprob: float, number: int) -> float:
    """The probability that one of `number` independent samples is the span.

    Args:
        logprob: the natural logarithm of the probability of one sample.
        number: of samples.
    """
    p = math.exp(min(logprob, 0.0))
    return 1.0 if p == 1 else -math.expm1(number * math.log1p(-p))


def tries(logprob: float) -> float:
    """The expected number of samples until one is the span, 1 / p; infinite if too large for a float."""
    return math.exp(-logprob) if logprob > -709 else math.inf


def found_in_sampled(hits: int, samples: int, number: int) -> float:
    """The probability that one of `number` samples is the span, estimated from `samples` of which `hits` were.

    It is the unbiased estimator of Chen et al. 2021 (pass@k); NaN if more samples are asked for than were drawn.
    """
    if number > samples:
        return math.nan
    return 1 - math.comb(samples - hits, number) / math.comb(samples, number)


def continues_with(continuation: str, text: str) -> bool:
    """Whether a continuation begins with a text, white space at both ends of the text aside.

    A text that ends in a letter or digit has to end there: "Mariana" does not begin with "Maria".
    """
    continuation, text = continuation.lstrip(), text.strip()
    if not text or not continuation.startswith(text):
        return False
    following = continuation[len(text) : len(text) + 1]
    return not (text[-1].isalnum() and following.isalnum())
