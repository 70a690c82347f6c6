"""The bundle of these tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def bundle_path(made_bundle: Path) -> Path:
    """A bundle that no registry holds."""
    return made_bundle
