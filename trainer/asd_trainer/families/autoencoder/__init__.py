"""Conformer autoencoder with section ID regression (sections 2.1 and 3.1 of the paper)."""
