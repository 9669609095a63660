"""The texts of a data set's row: which there are, what labelers find in them, and columns of spans for them."""
