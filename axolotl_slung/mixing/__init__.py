"""Training streams of base documents and risky documents, as in the paper's section 4.1."""
