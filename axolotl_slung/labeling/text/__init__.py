"""Text tools of the labelers: sentences, spellings that count as the same, escaped text."""
