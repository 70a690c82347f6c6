"""Families of detectors: settings, networks, losses and training."""
