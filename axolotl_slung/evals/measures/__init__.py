"""Pure measures: answers and scores in, metrics out. They do not depend on lm_eval."""
