"""Eq. 3 against numbers worked by hand."""

import numpy as np
import pytest

from asd_agent.bundle.manifest import FramePooling
from asd_agent.inference.pooling import pool_frames

FRAMES = np.array([[1.0, 4.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("pooling", "wanted"),
    [
        (FramePooling(), 2.5),
        (FramePooling(alpha=None), 4.0),
        (FramePooling(trim_low=0.25, trim_high=0.25), 2.5),
        (FramePooling(trim_high=0.25), 2.0),
        (FramePooling(trim_high=0.25, alpha=None), 3.0),
    ],
)
def test_mean_maximum_and_trimming(pooling, wanted):
    assert pool_frames(FRAMES, pooling)[0] == pytest.approx(wanted)


def test_softmax_weights_by_hand():
    # Scores 0 and log 3 with alpha 1 weigh 1 : 3.
    frames = np.array([[0.0, np.log(3.0)]])
    assert pool_frames(frames, FramePooling(alpha=1.0))[0] == pytest.approx(0.75 * np.log(3.0))


def test_huge_scores_do_not_overflow():
    assert pool_frames(np.array([[1e6, 0.0]]), FramePooling(alpha=10.0))[0] == pytest.approx(1e6)
