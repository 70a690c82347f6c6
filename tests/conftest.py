"""Settings of all tests."""

from __future__ import annotations

import os
import sys

from hypothesis import HealthCheck, settings

# No limit of time, for a busy machine; and the same examples in every run, so that a failure is there again.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Tests start hundreds of commands: without compiled modules kept, each would compile the whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
