"""From spans of characters to one integer per token: what the loss does with it, and its score."""
