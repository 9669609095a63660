"""`slung stats`, `slung sweep` and `slung qa`: what labels do to a run, and how good they are."""
