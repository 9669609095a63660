"""The names of slung's tasks."""

from __future__ import annotations

TOXICITY = ("slung_toxicity", "slung_toxicity_50")
PROBE = "slung_civilcomments"
ZEROSHOT = "slung_zeroshot"
PERPLEXITY = ("slung_perplexity", "slung_perplexity_reddit")
TOFU = "slung_tofu"
TASKS = (*TOXICITY, PROBE, ZEROSHOT, *PERPLEXITY, TOFU)
