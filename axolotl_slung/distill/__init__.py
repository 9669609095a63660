"""slung distill: from texts with spans to a small model that scores words."""
