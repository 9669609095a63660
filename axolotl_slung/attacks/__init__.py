"""Attacks on a trained model: what a stranger would try to get masked text out of it, then the audit again."""
