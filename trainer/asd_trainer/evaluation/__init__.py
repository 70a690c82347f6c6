"""Evaluation of bundles: scores, metrics and tables."""
