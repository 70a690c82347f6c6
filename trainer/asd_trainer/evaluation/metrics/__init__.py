"""The official measure of DCASE Task 2, and how sure one may be of it."""
