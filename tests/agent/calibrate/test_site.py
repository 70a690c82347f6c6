"""Conditions fitted on the spot: bound to its bundle, reversible, and as good as its promise."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.files import SCORERS
from asd_agent.bundle.overlay import (
    OVERLAY,
    SiteOverlay,
    add_overlay,
    apply_overlay,
    overlay_folder,
    overlay_numbers,
    undo,
    with_site,
)
from asd_agent.calibrate.difference import compare_site, doubts, separation
from asd_agent.calibrate.site import SiteSound, blocks, calibrate_site
from asd_agent.errors import BundleError, DataError
from asd_agent.inference.scorer import BundleScorer
from rigs.bundles import hum, make_bundle

SITE_PITCH = 180.0


def heard(count: int, seed: int, pitch: float = SITE_PITCH) -> SiteSound:
    windows = np.stack([hum(10, 1000 * seed + i, pitch=pitch) for i in range(count)])
    return SiteSound(windows, [f"r{i}" for i in range(count)])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("site") / "hum")


@pytest.fixture(scope="module")
def scorer(bundle: Bundle) -> BundleScorer:
    return BundleScorer(bundle)


def calibrated(scorer: BundleScorer, sound: SiteSound) -> tuple[SiteOverlay, dict[str, np.ndarray]]:
    condition, arrays = calibrate_site(scorer, "00", "source", sound)
    overlay = SiteOverlay(
        base=scorer.bundle.digest,
        bundle="hum",
        machine="hum",
        section="00",
        like="source",
        created=datetime(2025, 1, 1, tzinfo=timezone.utc),
        heard_seconds=10.0 * len(sound),
        heard_from="a test",
        condition=condition,
        report=asdict(compare_site(scorer, "00", "source", sound)),
    )
    return overlay, arrays


def test_another_pitch_is_anomalous_before_and_normal_after_and_a_fault_stays_one(scorer, bundle):
    overlay, arrays = calibrated(scorer, heard(24, 1))
    fresh = heard(12, 2).windows
    before = scorer.score(fresh, "00", "source")
    assert all(s.score > s.threshold for s in before)
    site = BundleScorer(apply_overlay(bundle, overlay.condition, arrays))
    after = site.score(fresh, "00", "site")
    # 24 clips: one fresh window in 25 lies above on average; four or more of 12 come with a chance of 1 in 500.
    assert sum(s.score > s.threshold for s in after) < 4
    assert {s.domain for s in after} == {"site"}
    faulty = np.stack([hum(10, 9000 + i, knocks=True, pitch=SITE_PITCH) for i in range(4)])
    assert all(s.score > s.threshold for s in site.score(faulty, "00", "site"))
    assert overlay.report["separation"] > 0.99


def test_domains_that_were_trained_score_as_before_and_auto_is_only_those(scorer, bundle):
    overlay, arrays = calibrated(scorer, heard(12, 3))
    site = BundleScorer(apply_overlay(bundle, overlay.condition, arrays))
    window = heard(1, 4).windows
    assert site.score(window, "00", "source")[0].score == scorer.score(window, "00", "source")[0].score
    assert site.bundle.domains("00", "auto") == ["source", "target"]
    assert site.bundle.digest == bundle.digest


def test_a_few_clips_give_a_location_only_and_say_so(scorer):
    overlay, _arrays = calibrated(scorer, heard(4, 5))
    assert overlay.condition.provisional
    assert not calibrated(scorer, heard(12, 5))[0].condition.provisional
    with pytest.raises(DataError, match="too few"):
        calibrate_site(scorer, "00", "source", heard(2, 5))


def test_calibrations_count_up_and_are_taken_back_one_by_one(scorer, bundle, tmp_path):
    folder = overlay_folder(tmp_path, bundle, "00")
    for seed in (6, 7):
        add_overlay(folder, *calibrated(scorer, heard(12, seed)))
    assert overlay_numbers(folder) == [1, 2]
    levels = [with_site(bundle, tmp_path, "00").condition("00", "site").threshold.raise_level]
    assert undo(folder) == 1
    levels.append(with_site(bundle, tmp_path, "00").condition("00", "site").threshold.raise_level)
    assert levels[0] != levels[1]
    assert undo(folder) == 0
    with pytest.raises(BundleError, match=r"not calibrated here.*asd-agent calibrate"):
        with_site(bundle, tmp_path, "00")
    with pytest.raises(BundleError, match="no calibration to undo"):
        undo(folder)


@pytest.mark.parametrize("broken", ["scorers", "document", "another bundle"])
def test_what_is_damaged_or_belongs_to_another_bundle_is_refused(scorer, bundle, tmp_path, broken):
    overlay, arrays = calibrated(scorer, heard(4, 8))
    if broken == "another bundle":
        overlay = overlay.model_copy(update={"base": "0" * 64})
    place = add_overlay(overlay_folder(tmp_path, bundle, "00"), overlay, arrays)
    if broken == "scorers":
        data = bytearray((place / SCORERS).read_bytes())
        data[len(data) // 2] ^= 1
        (place / SCORERS).write_bytes(bytes(data))
    elif broken == "document":
        (place / OVERLAY).write_text('{"schema_version": 1}')
    with pytest.raises(BundleError, match="Calibrate again"):
        with_site(bundle, tmp_path, "00")


def test_a_bundle_that_does_not_say_how_it_was_fitted_is_refused(bundle):
    silent = bundle.manifest.provenance.model_copy(update={"recipe_settings": {}})
    without = Bundle(
        bundle.path, bundle.manifest.model_copy(update={"provenance": silent}), bundle.scorers, bundle.digest
    )
    with pytest.raises(BundleError, match="how the scorers of 'mel_statistics' were fitted"):
        calibrate_site(BundleScorer(without), "00", "source", heard(12, 9))


def test_a_stretch_of_sound_is_cut_into_contiguous_blocks_and_recordings_enough_are_left_alone():
    cut = blocks(["live"] * 40)
    assert len(set(cut)) == 10
    assert cut == sorted(cut, key=cut.index)
    assert max(cut.count(name) for name in cut) == 4
    many = [f"r{i // 2}" for i in range(24)]
    assert blocks(many) == many
    assert len(set(blocks(["a"] * 6 + ["b"] * 6))) >= 10


def test_separation_is_half_for_the_same_and_one_for_what_lies_above():
    reference = np.arange(100.0)
    assert separation(reference, reference) == pytest.approx(0.5)
    assert separation(reference + 1000, reference) == 1.0
    assert separation(np.array([50.0]), reference) == pytest.approx(0.505)


def test_doubts_name_what_speaks_against_a_calibration():
    rng = np.random.default_rng(0)
    steady, level = rng.normal(size=60), np.full(60, -30.0) + 0.1 * rng.normal(size=60)
    usual = (-40.0, -20.0)
    assert doubts(steady, level, 0.1, usual) == []
    rising = doubts(steady + np.linspace(0, 6, 60), level, 0.1, usual)
    assert any("unsteady: scores of the second half are +" in text for text in rising)
    assert any("unsteady: the level" in text for text in doubts(steady, level + np.linspace(0, 12, 60), 0.1, usual))
    slammed = steady.copy()
    slammed[17] = 20
    assert doubts(slammed, level, 0.1, usual) == [
        "single windows stand out from the others: number 18; they would become normal sound"
    ]
    assert any("make sure that the machine is healthy" in text for text in doubts(steady, level, 0.8, usual))
    assert any("another microphone" in text for text in doubts(steady, level - 30, 0.1, usual))
