"""Fitting: scorers, standardisation, thresholds and the bundle."""
