"""The adapter between slung's labels and Axolotl's data sets."""
