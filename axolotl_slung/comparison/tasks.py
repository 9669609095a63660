"""The names of slung's tasks."""

from __future__ import annotations

TOXICITY = ("slung_toxicity", "slung_toxicity_50")
PROBE = "slung_civilcomments"
ZEROSHOT = "slung_zeroshot"
PERPLEXITY = ("slung_perplexity", "slung_perplexity_reddit")
TOFU = "slung_tofu"
EXTRACTION = "slung_extraction"
MEMBERSHIP = "slung_membership"
ANSWERS = "slung_answers"
KEPT = "slung_kept"
IDENTITY = "slung_identity"
AUDIT = (EXTRACTION, MEMBERSHIP, ANSWERS, KEPT, IDENTITY)
"""The tasks that ask what `slung audit` has drawn."""
TASKS = (*TOXICITY, PROBE, ZEROSHOT, *PERPLEXITY, TOFU, *AUDIT)
