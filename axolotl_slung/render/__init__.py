"""Sections of text, tables and charts, for the terminal and for a page.

Charts on pages follow light and dark and show values on hover: `svg.py` draws them. Figures for papers are drawn by
matplotlib, in `comparison/plots.py`.
"""
