"""Errors of masked replicas as one, by hand."""

import numpy as np
import pytest

from asd_agent.bundle.manifest import MaskBank
from asd_agent.inference.members import pool_replicas

# Two replicas of one frame with three cells and the section's column, which is never hidden.
ERRORS = np.array([[[1.0, 2.0, 3.0, 9.0]], [[5.0, 6.0, 7.0, 11.0]]])
KEEP = np.array([[[0, 1, 1]], [[0, 0, 1]]])


@pytest.mark.parametrize(
    ("pooling", "cells", "wanted"),
    [
        ("mean", "all", [3, 4, 5, 10]),
        ("max", "all", [5, 6, 7, 11]),
        ("mean", "masked", [3, 6, 5, 10]),
        ("max", "masked", [5, 6, 5, 10]),
    ],
)
def test_pooling_over_replicas(pooling, cells, wanted):
    bank = MaskBank(array="masks", first=0, count=2, pooling=pooling, cells=cells)
    np.testing.assert_array_equal(pool_replicas(ERRORS, KEEP, bank), [wanted])
