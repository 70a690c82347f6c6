"""Metrics of anomaly scores in the official form, with intervals.

Raise `asd_trainer.jobs.descriptions.METRICS_VERSION` when the same scores give other metrics.
"""
