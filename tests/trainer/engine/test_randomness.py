"""Randomness that can be kept, put back, and leaves no trace outside."""

import numpy as np
import torch

from asd_trainer.engine.randomness import BatchSampler, JointSampler, TrainingRandomness, own_randomness

CPU = torch.device("cpu")


def test_every_item_comes_once_before_any_comes_again():
    sampler = BatchSampler(items=10, batch=4, seed=1)
    drawn = np.concatenate([sampler.draw() for _ in range(5)])
    assert sorted(drawn[:10]) == list(range(10))
    assert sorted(drawn[10:]) == list(range(10))
    assert list(drawn[:10]) != list(drawn[10:])


def test_a_batch_may_be_larger_than_the_data():
    assert sorted(BatchSampler(items=3, batch=6, seed=1).draw()) == [0, 0, 1, 1, 2, 2]


def test_a_restored_sampler_goes_on_with_the_same_batches():
    sampler = BatchSampler(items=10, batch=4, seed=1)
    sampler.draw()
    state = sampler.state()
    expected = [sampler.draw() for _ in range(6)]
    other = BatchSampler(items=10, batch=4, seed=2)
    other.restore(state)
    np.testing.assert_array_equal([other.draw() for _ in range(6)], expected)


def test_restored_chance_draws_the_same_masks_and_dropout():
    with own_randomness(CPU, deterministic=True):
        chance = TrainingRandomness(5, CPU)
        torch.rand(3)
        state = chance.state()
        expected = torch.rand(4, generator=chance.masks), torch.rand(4)
        other = TrainingRandomness(6, CPU)
        other.restore(state, step=1)
        assert torch.equal(torch.rand(4, generator=other.masks), expected[0])
        assert torch.equal(torch.rand(4), expected[1])


def test_what_was_drawn_on_another_device_goes_on_from_a_draw_set_by_seed_and_step():
    def masks(step: int) -> torch.Tensor:
        with own_randomness(CPU, deterministic=False):
            chance = TrainingRandomness(5, CPU)
            chance.restore({"device": "cuda"}, step)
            return torch.rand(4, generator=chance.masks)

    assert torch.equal(masks(7), masks(7))
    assert not torch.equal(masks(7), masks(8))


def test_the_callers_randomness_and_settings_are_left_as_they_were():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    with own_randomness(CPU, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
        TrainingRandomness(1, CPU)
        torch.rand(100)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(3), expected)


def test_every_joint_batch_holds_so_many_of_each_set_and_goes_on_when_restored():
    sampler = JointSampler([5, 2, 9], [3, 1, 4], seed=1)
    drawn = [sampler.draw() for _ in range(3)]
    for batch in drawn:
        assert [(batch < 5).sum(), ((batch >= 5) & (batch < 7)).sum(), (batch >= 7).sum()] == [3, 1, 4]
    assert max(b.max() for b in drawn) < 16
    state = sampler.state()
    other = JointSampler([5, 2, 9], [3, 1, 4], seed=2)
    other.restore(state)
    np.testing.assert_array_equal(other.draw(), sampler.draw())
