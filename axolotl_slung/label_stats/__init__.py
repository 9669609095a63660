"""`slung stats`, `slung sweep` and `slung qa`: the effect of labels on a run, and their quality."""
