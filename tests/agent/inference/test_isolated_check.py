"""A bundle's networks run in a child first: what they need beyond the limits, or how they crash, is one refusal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle
from asd_agent.errors import AsdError, BundleError
from asd_agent.inference import isolated_check
from asd_agent.inference.isolated_check import CheckLimits, check_isolated
from rigs.hostile import HOSTILE, that_needs_memory, that_takes_hours, with_network

CPU = ("CPUExecutionProvider",)


def test_a_whole_bundle_passes_and_its_provider_is_reported():
    result = check_isolated(Bundle.open(demo_bundle()), CPU)
    assert (result.provider, result.windows, result.complaints) == (CPU[0], 5, ())
    assert result.worst <= Bundle.open(demo_bundle()).manifest.tolerance


def test_a_bundle_without_a_network_passes(bundle_path: Path):
    assert check_isolated(Bundle.open(bundle_path), CPU).provider == "numpy"


def test_complaints_of_providers_are_reported():
    result = check_isolated(Bundle.open(demo_bundle()), ["CUDAExecutionProvider", *CPU])
    assert result.provider == CPU[0]
    assert "CUDAExecutionProvider is not in this ONNX Runtime" in result.complaints[0]


def test_no_provider_at_all_is_not_the_bundles_fault():
    with pytest.raises(AsdError, match="none of the providers") as error:
        check_isolated(Bundle.open(demo_bundle()), ["CUDAExecutionProvider"])
    assert not isinstance(error.value, BundleError)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_harmful_network_is_refused_with_its_path_and_a_remedy(tmp_path: Path, name: str):
    path = with_network(tmp_path, HOSTILE[name]())
    with pytest.raises(BundleError) as error:
        check_isolated(Bundle.open(path), CPU)
    assert str(path) in error.value.what
    assert error.value.remedy


def test_a_network_needs_no_more_memory_than_the_limit(tmp_path: Path):
    before = os.times()
    path = with_network(tmp_path, that_needs_memory())
    with pytest.raises(BundleError, match=r"cannot be scored|MB"):
        check_isolated(Bundle.open(path), CPU, CheckLimits(base_bytes=300 << 20))
    assert os.times().children_user - before.children_user < 300  # 8 GB were never filled


def test_a_network_that_takes_hours_is_ended(tmp_path: Path):
    bundle = Bundle.open(with_network(tmp_path, that_takes_hours()))
    with pytest.raises(BundleError, match=r"its check took longer than 2 s for one step"):
        check_isolated(bundle, CPU, CheckLimits(step_seconds=2.0))


def test_a_check_that_takes_too_long_in_all_is_ended(tmp_path: Path):
    bundle = Bundle.open(with_network(tmp_path, that_takes_hours()))
    with pytest.raises(BundleError, match=r"its check took longer than 2 s\b"):
        check_isolated(bundle, CPU, CheckLimits(total_seconds=2.0))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"ended with signal 11 \(SIGSEGV\)"),
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("print('no document')", "ended with exit code 0"),
    ],
)
def test_a_child_that_crashes_is_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str):
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}"\n')
    program.chmod(0o755)
    monkeypatch.setattr(isolated_check.sys, "executable", str(program))
    with pytest.raises(BundleError, match=words):
        check_isolated(Bundle.open(demo_bundle()), CPU)


def test_a_bundle_that_changes_after_it_was_opened_is_refused(tmp_path: Path, bundle_path: Path):
    copy = Path(shutil.copytree(demo_bundle(), tmp_path / "demo-fan"))
    bundle = Bundle.open(copy)
    shutil.rmtree(copy)
    shutil.copytree(bundle_path, copy)
    with pytest.raises(BundleError, match="changed during its check"):
        check_isolated(bundle, CPU)
