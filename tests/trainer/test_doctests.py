"""Examples in docstrings of the public API run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import asd_trainer

WITH_EXAMPLES = (
    "asd_trainer.engine.schedule",
    "asd_trainer.evaluation.metrics.roc",
    "asd_trainer.features.log_mel",
    "asd_trainer.simulator.render",
)
"""Modules whose public API must have examples."""


def modules() -> list[str]:
    """Every module whose source has an example; the others are not imported."""
    found = []
    for info in pkgutil.walk_packages(asd_trainer.__path__, "asd_trainer."):
        spec = importlib.util.find_spec(info.name)
        if spec and spec.origin and ">>> " in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(info.name)
    return found


def test_the_public_api_has_examples():
    assert set(WITH_EXAMPLES) <= set(modules())


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
