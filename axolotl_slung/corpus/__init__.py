"""Labeling whole corpora, from files to files."""
