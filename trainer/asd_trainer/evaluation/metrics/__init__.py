"""Metrics of anomaly scores in the official form, with intervals."""

METRICS_VERSION = 2
"""Raised when the same scores give other metrics or intervals. 2: recordings are resampled, not clips."""
