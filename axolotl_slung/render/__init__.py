"""Sections of text, tables and charts, for the terminal and for a page."""
