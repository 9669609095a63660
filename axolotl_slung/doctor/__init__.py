"""`slung doctor`: a config's own run, a few batches of it, with labels planted that can be followed to the loss."""
