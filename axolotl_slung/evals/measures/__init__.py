"""Pure measures: answers and scores in, metrics out. They know nothing of lm_eval."""
