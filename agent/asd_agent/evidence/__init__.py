"""Proof of an alarm: its sound, a picture and an account of it, kept on the box within bounds."""
