"""Turns spans of characters into one label per token: an integer with the token's action and score."""
