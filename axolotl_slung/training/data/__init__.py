"""The adapter between labels and Axolotl's data sets."""
