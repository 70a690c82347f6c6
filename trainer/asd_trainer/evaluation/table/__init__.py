"""Comparison of recipes as a table: its values, its text, and the rows of the paper."""
