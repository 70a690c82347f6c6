"""Masks: as many and as wide as asked, the same for the same seed."""

import numpy as np
import pytest
import torch

from asd_trainer.features.settings import MaskSettings
from asd_trainer.features.spec_augment import keep_mask, mask_bank

PAPER = MaskSettings()


def runs_of_hidden(line: np.ndarray) -> list[int]:
    """Lengths of stretches of False."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (~line).astype(int), [0]])))
    return list(edges[1::2] - edges[::2])


def only(**settings) -> MaskSettings:
    return MaskSettings(**{"time_masks": 0, "freq_masks": 0, "input_dropout": 0.0, **settings})


def draw(settings: MaskSettings, batch=400, frames=60, n_mels=40, seed=0) -> np.ndarray:
    return keep_mask(batch, frames, n_mels, settings, torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize(
    ("settings", "axis"),
    [
        (only(time_masks=1, time_width=(2, 5)), 1),
        (only(freq_masks=1, freq_width=(2, 5)), 2),
    ],
)
def test_one_mask_hides_one_whole_stretch_of_every_allowed_width_anywhere(settings, axis):
    keep = draw(settings)
    across = keep.all(axis=3 - axis)
    assert np.array_equal(across, keep.any(axis=3 - axis))  # a hidden frame or band is hidden throughout
    runs = [runs_of_hidden(line) for line in across]
    assert all(len(r) == 1 for r in runs)
    assert {r[0] for r in runs} == {2, 3, 4, 5}
    assert (~across).any(axis=0).all()  # first and last places are reached as well


def test_a_width_of_zero_hides_nothing():
    keep = draw(only(freq_masks=5, freq_width=(0, 0)))
    assert keep.all()


def test_many_masks_hide_at_most_number_times_widest():
    hidden = (~draw(only(time_masks=4, time_width=(1, 5))).all(axis=2)).sum(axis=1)
    assert hidden.min() >= 1
    assert 5 < hidden.max() <= 20


def test_a_mask_wider_than_the_sequence_fits_into_it():
    assert not draw(only(time_masks=1, time_width=(90, 99)), frames=8).any()


def test_input_dropout_hides_its_share_of_single_cells():
    keep = draw(only(input_dropout=0.2))
    assert 1 - keep.mean() == pytest.approx(0.2, abs=0.003)  # 960,000 cells
    frames_hidden_whole = (~keep.any(axis=2)).sum()
    assert frames_hidden_whole == 0


def test_items_of_a_batch_have_masks_of_their_own():
    keep = draw(PAPER, batch=2)
    assert not np.array_equal(keep[0], keep[1])


def test_the_papers_masks_leave_the_expected_share_of_frames():
    # A frame away from the ends is missed by one mask of mean width 3 among 313 - w + 1 starts with probability
    # 1 - 3/311, and by all 50 with that to the 50th: 0.616.
    frames = draw(only(time_masks=50, time_width=(1, 5)), frames=313, n_mels=1)[:, 20:-20, 0]
    assert frames.mean() == pytest.approx((1 - 3 / 311) ** 50, abs=0.01)


def test_a_bank_is_the_same_for_the_same_seed_only():
    bank = mask_bank(4, 60, 40, PAPER, seed=7)
    assert bank.shape == (4, 60, 40)
    assert bank.dtype == np.uint8
    assert set(np.unique(bank)) == {0, 1}
    assert np.array_equal(bank, mask_bank(4, 60, 40, PAPER, seed=7))
    assert not np.array_equal(bank, mask_bank(4, 60, 40, PAPER, seed=8))
    assert len({replica.tobytes() for replica in bank}) == 4
