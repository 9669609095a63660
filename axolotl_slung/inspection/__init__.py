"""`slung inspect`: documents in tokens, in a browser page and in the terminal."""
