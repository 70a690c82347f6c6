"""A bundle and a clock for all tests of the agent."""

import time
from pathlib import Path

import pytest

from asd_agent.bundle.registry import BundleRegistry
from asd_agent.inference.isolated_check import check_isolated
from rigs.bundles import make_bundle
from rigs.hand_clock import HandClock

PROVIDERS = ("CPUExecutionProvider",)


@pytest.fixture(scope="session")
def made_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As its fit has written it. Read only: tests that change files copy it first."""
    return make_bundle(tmp_path_factory.mktemp("made") / "hum", sections=("00", "01")).path


@pytest.fixture(scope="session")
def bundle_path(made_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Installed, as on a box: its golden windows are not scored again before each of many services. Read only."""
    registry = BundleRegistry(tmp_path_factory.mktemp("bundles"), lambda b: check_isolated(b, PROVIDERS), time.time)
    return registry.folder / registry.install(made_bundle).name


@pytest.fixture
def clock() -> HandClock:
    """A clock that moves when the test moves it."""
    return HandClock()
