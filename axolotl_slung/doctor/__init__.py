"""`slung doctor`: runs a config for a few batches, with planted labels that are followed to the loss."""
