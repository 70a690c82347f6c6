"""Fewer members that judge like all of them: in which order, how many, and what that saves."""
