"""Banks of embeddings by hand: radii within a part, distances in units of them, and reference scores of new clips."""

import numpy as np
import pytest

from asd_agent.bundle.manifest import FramePooling
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_bank, calibrate_source, calibrate_target
from asd_agent.calibrate.bank import LEAST_SHARE, extend_bank, fit_bank
from asd_agent.calibrate.condition import calibrate_near
from asd_agent.calibrate.density import fit_density
from asd_agent.errors import DataError
from asd_agent.inference.densities import anomaly_scores, bank_distance

BANK = DensitySettings(density="bank")
POOLING = FramePooling()


def at(*degrees: float) -> np.ndarray:
    """Embeddings of one row each in these directions, none of length 1."""
    angle = np.radians(degrees)
    return 3.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None, :]


def apart(degrees: float) -> float:
    return 1.0 - np.cos(np.radians(degrees))


def test_a_distance_is_told_in_the_nearest_items_own_distance_to_its_neighbour():
    bank = fit_bank([at(0, 10, 40)], BANK)
    np.testing.assert_allclose(bank["radius"], [apart(10), apart(10), apart(30)], rtol=1e-6)
    # 30 degrees lie nearer to 40 in plain distance and in this one; 20 lie halfway to 10 but wide is usual at 40.
    wanted = [apart(10) / apart(30), min(apart(10) / apart(10), apart(20) / apart(30))]
    np.testing.assert_allclose(bank_distance(at(30, 20)[:, 0], bank), wanted, rtol=1e-5)
    assert wanted[1] == apart(20) / apart(30)


def test_without_normalisation_the_distance_is_the_plain_one():
    bank = fit_bank([at(0, 10, 40)], DensitySettings(density="bank", normalise=False))
    assert "radius" not in bank
    np.testing.assert_allclose(bank_distance(at(30, 20)[:, 0], bank), [apart(10), apart(10)], rtol=1e-5)
    assert "radius" not in extend_bank(bank, at(90, 95))


def test_each_part_has_its_own_neighbours():
    bank = fit_bank([at(0, 10), at(12, 42)], BANK)
    np.testing.assert_allclose(bank["radius"], [apart(10)] * 2 + [apart(30)] * 2, rtol=1e-6)
    np.testing.assert_allclose(extend_bank(fit_bank([at(0, 10)], BANK), at(12, 42))["radius"], bank["radius"])


def test_a_part_of_one_item_borrows_the_others_median():
    bank = fit_bank([at(0, 10, 40), at(90)], BANK)
    assert bank["radius"][3] == pytest.approx(apart(10))
    assert extend_bank(fit_bank([at(0, 10, 40)], BANK), at(90))["radius"][3] == pytest.approx(apart(10))
    assert fit_bank([at(7)], BANK)["radius"] == [1.0]


def test_a_clip_that_is_there_twice_does_not_make_all_else_far():
    bank = fit_bank([at(0, 0, 10, 20, 30)], BANK)
    np.testing.assert_allclose(bank["radius"], apart(10) * np.array([LEAST_SHARE] * 2 + [1, 1, 1]), rtol=1e-5)


def test_rows_of_one_clip_are_no_neighbours():
    two_rows = np.concatenate([at(0, 30), at(1, 31)], axis=1)  # clips at 0 and 1 degrees, and at 30 and 31
    bank = fit_bank([two_rows], BANK)
    np.testing.assert_allclose(bank["radius"], [apart(30), apart(29), apart(29), apart(30)], rtol=1e-6)


def test_what_stands_before_the_embedding_does_not_count():
    x = np.concatenate([np.array([[[9.0]], [[-9.0]]]), at(0, 10)], axis=2)
    bank = fit_bank([x], DensitySettings(density="bank", first=1))
    assert bank["bank"].shape == (2, 2)
    assert bank["usual_mean"].shape == (3,)
    probe = np.array([[1234.0, *at(20)[0, 0]]])
    np.testing.assert_allclose(anomaly_scores(probe, "bank", bank), [1.0], rtol=1e-5)
    assert extend_bank(bank, x)["bank"].shape == (4, 2)


def test_a_large_part_is_reduced_to_centres_and_a_small_one_kept():
    many = at(*np.linspace(0, 2, 20), *np.linspace(88, 90, 20))
    bank = fit_bank([many, at(180, 200)], DensitySettings(density="bank", clusters=2))
    assert sorted(np.degrees(np.arctan2(*bank["bank"][:2].T[::-1]))) == pytest.approx([1, 89], abs=1e-3)
    np.testing.assert_allclose(bank["bank"][2:], at(180, 200)[:, 0] / 3, atol=1e-6)
    assert bank["radius"][0] == pytest.approx(apart(88), rel=1e-4)


def test_zeros_are_at_distance_one():
    assert bank_distance(np.zeros((1, 2)), fit_bank([at(0, 10)], DensitySettings(density="bank", normalise=False))) == 1


def held(*degrees: float) -> DomainData:
    return DomainData(at(*degrees), [f"r{d}" for d in degrees])


def test_reference_scores_come_from_clips_outside_the_bank():
    source, target = calibrate_bank(at(0, 10), held(20, 40), None, BANK, POOLING)
    assert target is None
    np.testing.assert_allclose(source.reference, [1.0, apart(30) / apart(10)], rtol=1e-5)
    assert len(source.scorer["bank"]) == 2


def test_three_target_clips_enter_the_bank_and_give_a_location_by_leaving_one_out():
    source, target = calibrate_bank(at(0, 10), held(20, 40), held(90, 100, 120), BANK, POOLING)
    assert target is not None
    assert len(target.scorer["bank"]) == 5
    # 90 left out: 100 and 120 are each other's neighbours at 20; 100: 90 and 120 at 30; 120: 90 and 100 at 10.
    left_out = [apart(10) / apart(20), apart(10) / apart(30), apart(20) / apart(10)]
    assert target.standardisation.mean == pytest.approx(np.mean(left_out), rel=1e-5)
    assert target.standardisation.std == pytest.approx(source.standardisation.std * np.sqrt(4 / 3))
    moved = calibrate_target(held(90, 100, 120), calibrate_bank(at(0, 10), held(20, 40), None, BANK, POOLING)[0],
                             BANK, POOLING)  # fmt: skip
    assert moved.standardisation.mean == pytest.approx(target.standardisation.mean)


def test_target_clips_that_were_learnt_tell_nothing_of_unheard_ones():
    source, target = calibrate_bank(at(0, 10), held(20, 40), None, BANK, POOLING, learnt_target=at(90, 100))
    assert target is not None
    assert target.standardisation == source.standardisation
    np.testing.assert_array_equal(target.reference, source.reference)
    assert len(target.scorer["bank"]) == 4


def test_target_clips_that_were_not_learnt_are_judged_by_those_that_were():
    _, target = calibrate_bank(at(0, 10), held(20, 40), held(120, 130), BANK, POOLING, learnt_target=at(90, 100))
    assert target is not None
    assert len(target.scorer["bank"]) == 4
    np.testing.assert_allclose(target.reference, [apart(20) / apart(10), apart(30) / apart(10)], rtol=1e-5)


def test_a_domain_may_be_compared_with_its_own_items_alone():
    source, target = calibrate_bank(
        at(0, 10), held(20, 40), None, BANK, POOLING, learnt_target=at(30, 50), own_domain=True
    )
    assert target is not None
    np.testing.assert_allclose(source.reference, [1.0, apart(30) / apart(10)], rtol=1e-5)
    np.testing.assert_allclose(source.scorer["radius"], [apart(10)] * 2, rtol=1e-5)
    np.testing.assert_allclose(target.scorer["radius"], [apart(20)] * 2, rtol=1e-5)
    assert target.standardisation == source.standardisation
    _, target = calibrate_bank(at(0, 10), held(20, 40), held(30, 50, 80), BANK, POOLING, own_domain=True)
    assert target is not None
    # 30 left out: 50 is nearest, whose next is 80; 50: 30, whose next is 80; 80: 50, whose next is 30.
    left_out = [apart(20) / apart(30), apart(20) / apart(50), apart(30) / apart(20)]
    assert target.standardisation.mean == pytest.approx(np.mean(left_out), rel=1e-5)
    _, single = calibrate_bank(at(0, 10), held(20, 40), held(30), BANK, POOLING, own_domain=True)
    assert single is not None
    assert single.standardisation.mean == pytest.approx(apart(20) / apart(10), rel=1e-5)


def test_a_target_with_clips_enough_has_reference_scores_of_its_own():
    near = held(*range(60, 120, 5))
    _, target = calibrate_bank(at(0, 10), held(20, 40), near, BANK, POOLING)
    assert target is not None
    assert len(target.reference) == 12
    # The first is 5 degrees from one whose next is 5 away; without the second, the first's next is 10 away.
    np.testing.assert_allclose(target.reference[:2], [1.0, apart(5) / apart(10)], rtol=1e-4)


def test_without_a_network_a_fold_is_judged_without_itself():
    source, _ = calibrate_bank(None, held(0, 10, 30), None, BANK, POOLING)
    wanted = [apart(10) / apart(20), apart(10) / apart(30), apart(20) / apart(10)]
    np.testing.assert_allclose(source.reference, wanted, rtol=1e-5)
    assert len(source.scorer["bank"]) == 3
    np.testing.assert_allclose(calibrate_source(held(0, 10, 30), BANK, POOLING).reference, wanted, rtol=1e-5)
    with pytest.raises(DataError, match="two recordings"):
        calibrate_bank(None, DomainData(at(0, 10), ["r", "r"]), None, BANK, POOLING)


def test_a_site_keeps_the_banks_items_and_adds_its_own():
    known = fit_density(at(0, 10), BANK)
    found = calibrate_near(held(5, 60, 80), known, BANK, POOLING)
    assert len(found.scorer["bank"]) == 5
    # 60 left out: 80 is judged beside 5 in its part, 75 degrees away; 10 is nearest in the source's part.
    wanted = min(apart(50) / apart(10), apart(20) / apart(75))
    assert found.reference[1] == pytest.approx(wanted, rel=1e-5)
