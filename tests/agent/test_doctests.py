"""Examples in docstrings of the public API run, and give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import asd_agent

WITH_EXAMPLES = ("asd_agent.bundle.bundle", "asd_agent.features.log_mel", "asd_agent.inference.scorer")
"""Modules whose public API must have examples."""


def modules() -> list[str]:
    """Every module whose source has an example; the others are not imported, for some start a process."""
    found = []
    for info in pkgutil.walk_packages(asd_agent.__path__, "asd_agent."):
        spec = importlib.util.find_spec(info.name)
        if spec and spec.origin and ">>> " in open(spec.origin, encoding="utf-8").read():  # noqa: PTH123, SIM115
            found.append(info.name)
    return found


def test_the_public_api_has_examples():
    assert set(WITH_EXAMPLES) <= set(modules())


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_module_run(name: str):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted
    assert not result.failed
