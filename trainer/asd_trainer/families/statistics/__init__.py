"""Detectors without training: level, log-mel statistics, condition indicators."""
