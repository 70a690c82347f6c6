"""A bundle and a clock for all tests of the agent."""

from pathlib import Path

import pytest

from rigs.bundles import make_bundle
from rigs.hand_clock import HandClock


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only: tests that change files copy it first."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "hum", sections=("00", "01")).path


@pytest.fixture
def clock() -> HandClock:
    """A clock that moves when the test moves it."""
    return HandClock()
