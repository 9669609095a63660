"""Scorers fitted to frozen scores, such as those of RealToxicityPrompts: one file per scorer, without pickled code."""
