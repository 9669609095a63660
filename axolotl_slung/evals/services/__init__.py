"""Scorers of toxicity and judges of answers, both local models and remote services."""
