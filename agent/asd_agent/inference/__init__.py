"""Inference: from a window of sound through features, members, densities and pooling to the ensemble's score."""
