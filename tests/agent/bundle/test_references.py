"""Reference scores that an earlier exporter overwrote: found, named, and never taken for what they are not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import write_bundle
from asd_agent.bundle.files import GOLDEN, SCORERS
from asd_agent.bundle.references import overwritten_references, raw_reference
from asd_agent.calibrate.site import SiteSound, calibrate_site
from asd_agent.cli import main
from asd_agent.errors import BundleError
from asd_agent.inference.scorer import BundleScorer
from rigs.agent import write_config
from rigs.bundles import hum, make_bundle, write_wav
from rigs.command import call


def as_exported_before(bundle: Bundle, path: Path) -> Bundle:
    """The bundle with each expert's reference scores under the key of its member, as earlier versions wrote it."""
    arrays = dict(bundle.scorers)
    conditions = []
    for condition in bundle.manifest.conditions:
        experts = []
        for expert in condition.experts:
            key = expert.members[0].reference
            arrays[key] = arrays.pop(expert.reference)
            experts.append(expert.model_copy(update={"reference": key}))
        conditions.append(condition.model_copy(update={"experts": experts}))
    manifest = bundle.manifest.model_copy(update={"conditions": conditions})
    return write_bundle(path, manifest, {SCORERS: arrays, GOLDEN: bundle.golden()}, {})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("references") / "hum")


@pytest.fixture(scope="module")
def damaged(whole: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return as_exported_before(whole, tmp_path_factory.mktemp("references") / "old")


def member(bundle: Bundle, domain: str) -> Any:
    expert = bundle.condition("00", domain).experts[0]
    return expert, expert.members[0]


def test_a_bundle_of_today_has_its_own_array_for_each(whole: Bundle):
    assert overwritten_references(whole) == []
    for domain in ("source", "target"):
        expert, use = member(whole, domain)
        assert expert.reference != use.reference
        np.testing.assert_array_equal(raw_reference(whole, expert, use), whole.scorers[use.reference])


def test_overwritten_arrays_are_found_and_the_raw_scores_recovered(whole: Bundle, damaged: Bundle):
    assert [(o.section, o.domain, o.member) for o in overwritten_references(damaged)] == [
        ("00", "source", "mel_statistics"),
        ("00", "target", "mel_statistics"),
    ]
    for domain in ("source", "target"):
        _, use = member(whole, domain)
        expert, old = member(damaged, domain)
        assert not np.allclose(damaged.scorers[old.reference], whole.scorers[use.reference])
        np.testing.assert_allclose(raw_reference(damaged, expert, old), whole.scorers[use.reference])


def test_an_overwritten_array_that_is_not_the_experts_either_is_refused(damaged: Bundle):
    expert, use = member(damaged, "source")
    broken = replace(damaged, scorers={**damaged.scorers, use.reference: damaged.scorers[use.reference] * 2})
    with pytest.raises(BundleError, match=r"reference scores of 'mel_statistics' are lost.*Export the bundle again"):
        raw_reference(broken, expert, use)


@pytest.mark.parametrize("windows", [4, 12])
def test_a_site_is_calibrated_the_same_from_a_damaged_bundle(whole: Bundle, damaged: Bundle, windows: int):
    sound = SiteSound(np.stack([hum(10, 700 + i, pitch=180.0) for i in range(windows)]), list("abcdefghijkl")[:windows])
    wanted, expected = calibrate_site(BundleScorer(whole), "00", "source", sound)
    found, arrays = calibrate_site(BundleScorer(damaged), "00", "source", sound)
    assert found.threshold == wanted.threshold
    assert arrays.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(arrays[key], expected[key], err_msg=key)


def test_calibrate_names_a_damaged_bundle_and_goes_on(damaged: Bundle, tmp_path: Path):
    clip = write_wav(tmp_path / "long.wav", hum(60, 1))
    config = write_config(tmp_path, damaged.path, {"kind": "file", "path": str(clip)}, 1)
    done = call(main, "calibrate", "m", "-c", config, "--clips", clip, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "section 00, source: mel_statistics" in done.stderr
    assert "Export the bundle again" in done.stderr


def test_verify_names_a_damaged_bundle_and_the_remedy(damaged: Bundle):
    done = call(main, "bundle", "verify", str(damaged.path))
    assert done.returncode == 0
    assert "section 00, source: mel_statistics; section 00, target: mel_statistics" in done.stderr
    assert "Export the bundle again" in done.stderr
    found = json.loads(call(main, "bundle", "verify", str(damaged.path), "--json").stdout)
    assert len(found["warnings"]) == 1
