"""The Containerfile keeps the rules of scripts/check-containerfile, and each rule finds its fault."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    loader = SourceFileLoader("check_containerfile", str(ROOT / "scripts/check-containerfile"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_containerfile_has_no_fault(checker: ModuleType) -> None:
    assert checker.faults(TEXT) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("FROM debian:12-slim AS", "FROM debian AS", "no tag"),
        ("FROM debian:12-slim AS", "FROM debian:latest AS", "no tag"),
        ("COPY locks locks", "ADD locks locks", "COPY instead of ADD"),
        ("COPY locks locks", "COPY lokcs locks", "no such file: lokcs"),
        ("WORKDIR /src", "WORKDIR src", "not absolute"),
        ("--no-install-recommends python3 python3-venv", "python3", "without --no-install-recommends"),
        ("rm -rf /var/lib/apt/lists/* && \\\n    groupadd", "groupadd", "without rm -rf"),
        ("--no-index --no-deps", "--no-deps", "without hashes"),
        ("USER 10001:10001\n", "", "runs as root"),
        ("USER 10001:10001", "USER 0:0", "runs as root"),
        ("USER 10001:10001", "USER root", "runs as root"),
        ("HEALTHCHECK --interval", "LABEL --interval", "no HEALTHCHECK"),
        ('ENTRYPOINT ["asd-agent"]', "ENTRYPOINT asd-agent", "signals"),
        ("    groupadd", "    sudo groupadd", "sudo"),
    ],
)
def test_a_fault_is_found(checker: ModuleType, before: str, after: str, fault: str) -> None:
    assert before in TEXT
    found = checker.faults(TEXT.replace(before, after))
    assert any(fault in row for row in found), found
