"""Rows by their numbers are the same whether they are on the device or are sent to it."""

import numpy as np
import pytest
import torch

from asd_trainer.engine.device_dataset import DeviceDataset, fits, send

CPU = torch.device("cpu")
ROWS = np.random.default_rng(0).integers(-30_000, 30_000, (7, 20, 3)).astype(np.int16)


@pytest.mark.parametrize("inside", [True, False])
def test_rows_and_excerpts_are_those_of_the_array_in_its_own_type(inside):
    rows = DeviceDataset(ROWS, CPU, on_device=inside)
    numbers, starts = np.array([5, 0, 5]), np.array([0, 3, 15])
    taken, cut = rows.take(numbers), rows.excerpts(numbers, starts, 5)
    assert len(rows) == 7
    assert taken.dtype == cut.dtype == torch.int16
    np.testing.assert_array_equal(taken.numpy(), ROWS[numbers])
    expected = np.stack([ROWS[n, s : s + 5] for n, s in zip(numbers, starts, strict=True)])
    np.testing.assert_array_equal(cut.numpy(), expected)


def test_a_memory_map_is_read_row_by_row_on_a_cpu(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    rows = DeviceDataset(np.load(tmp_path / "x.npy", mmap_mode="r"), CPU)
    assert not rows.on_device
    np.testing.assert_array_equal(rows.take(np.array([2, 1])).numpy(), ROWS[[2, 1]])


def test_what_lies_inside_is_a_copy():
    mine = ROWS.copy()
    rows = DeviceDataset(mine, CPU, on_device=True)
    mine[:] = 0
    np.testing.assert_array_equal(rows.take(np.array([4])).numpy(), ROWS[[4]])


def test_on_a_cpu_nothing_is_moved():
    assert not fits(1, CPU)
    assert send(np.arange(3), CPU).tolist() == [0, 1, 2]
