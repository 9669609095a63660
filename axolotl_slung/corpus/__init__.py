"""Labelling whole corpora, from files to files."""
