"""Text tools for labelers: sentence splitting, folding of spellings, escaped text."""
