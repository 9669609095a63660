"""A small model, a small data set and one table: the effect of selective loss on a laptop."""
