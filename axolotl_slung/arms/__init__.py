"""`slung arms`: one base config to a config for each arm of a study, all in the same order of data."""
