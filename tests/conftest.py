"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No limit of time, for a busy machine; and the same examples in every run, so that a failure is there again.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
