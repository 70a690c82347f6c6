"""The conformer's parts."""

import math

import pytest
import torch

from asd_trainer.families.autoencoder.conformer import Conformer, ConformerBlock, sinusoidal_positions
from asd_trainer.families.autoencoder.settings import ConformerSettings

SMALL = ConformerSettings(blocks=2, units=16, heads=4, kernel=5, feedforward=24, dropout=0.3)


@pytest.mark.parametrize(("batch", "frames"), [(1, 7), (3, 20)])
def test_a_block_keeps_the_shape(batch, frames):
    torch.manual_seed(0)
    x = torch.randn(batch, frames, 16)
    assert ConformerBlock(SMALL)(x).shape == (batch, frames, 16)


def test_items_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    network = Conformer(20, SMALL).eval()
    x = torch.randn(3, 20, 16)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]))


def test_every_frame_sees_every_other_and_where_it_stands():
    torch.manual_seed(0)
    network = Conformer(20, SMALL).eval()
    x = torch.zeros(1, 20, 16)
    changed = x.clone()
    changed[0, 0, 3] = 5.0
    assert (network(x) - network(changed)).abs().amax(dim=2).min() > 1e-6
    same_input = network(x)[0]
    assert (same_input[0] - same_input[10]).abs().max() > 1e-3


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    network, x = Conformer(20, SMALL), torch.randn(1, 20, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_positions_are_sines_and_cosines_of_falling_rates():
    found = sinusoidal_positions(5, 4)
    # Rates 1 and 10000^(-2/4) = 0.01.
    expected = [math.sin(3), math.sin(0.03), math.cos(3), math.cos(0.03)]
    torch.testing.assert_close(found[3], torch.tensor(expected))
