"""`slung inspect`: tokenized documents on a browser page or in the terminal."""
