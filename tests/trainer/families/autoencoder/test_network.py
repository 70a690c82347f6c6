"""The autoencoder's output is Eq. 1 of the paper, worked by hand."""

import numpy as np
import pytest
import torch

from asd_trainer.families.autoencoder.network import LEAST_STD_DB, Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.settings import ConformerSettings

TINY = ConformerSettings(blocks=1, units=8, heads=2, kernel=3, feedforward=8)


def network(id_regression=True, n_mels=2, frames=3) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(AutoencoderShape(n_mels=n_mels, frames=frames, id_regression=id_regression, network=TINY)).eval()


def answering(values: list[float], **shape) -> Autoencoder:
    """A network whose reconstruction of every frame is these values, whatever goes in."""
    model = network(**shape)
    with torch.no_grad():
        model.leave.weight.zero_()
        model.leave.bias.copy_(torch.tensor(values))
    model.set_normalisation(np.array([-40.0, -60.0]), np.array([10.0, 5.0]))
    return model


def test_error_is_reconstruction_minus_normalised_input_column_by_column():
    model = answering([0.5, -1.0, 0.2])
    features = torch.tensor([[[-30.0, -60.0], [-45.0, -50.0], [-40.0, -65.0]]])
    error = model(features, torch.ones_like(features), torch.tensor([0.6]))
    # Normalised: (1, 0), (-0.5, 2), (0, -1); the section is 0.6 in every frame.
    expected = [[0.5, 1.0, 0.4], [1.0, 3.0, 0.4], [0.5, 0.0, 0.4]]
    torch.testing.assert_close(error[0], torch.tensor(expected))


def test_the_error_is_taken_against_what_was_hidden():
    model = answering([0.0, 0.0, 0.0])
    features = torch.full((1, 3, 2), -20.0)
    error = model(features, torch.zeros_like(features), torch.tensor([0.0]))
    torch.testing.assert_close(error[0, 0], torch.tensor([2.0, 8.0, 0.0]))  # (-20 + 40)/10 and (-20 + 60)/5


def test_a_hidden_cell_is_as_if_it_held_its_bands_mean():
    model = network()
    model.set_normalisation(np.array([-40.0, -60.0]), np.array([10.0, 5.0]))
    torch.manual_seed(1)
    features = -50 + 10 * torch.randn(1, 3, 2)
    keep = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    filled = torch.where(keep > 0, features, model.mean)
    section = torch.tensor([0.3])
    seen = keep[..., [0, 1]] > 0
    masked = model(features, keep, section)[..., :2]
    replaced = model(filled, torch.ones_like(keep), section)[..., :2]
    torch.testing.assert_close(masked[seen], replaced[seen])


def test_the_section_reaches_the_reconstruction():
    model, features = network(), torch.zeros(2, 3, 2)
    error = model(features, torch.ones_like(features), torch.tensor([0.0, 0.9]))
    assert (error[0, :, :2] - error[1, :, :2]).abs().max() > 1e-4


def test_without_id_regression_the_section_has_neither_column_nor_influence():
    model = answering([0.5, -1.0], id_regression=False)
    features = torch.full((2, 3, 2), -40.0)
    error = model(features, torch.ones_like(features), torch.tensor([0.0, 0.9]))
    assert error.shape == (2, 3, 2)
    torch.testing.assert_close(error[0, 0], torch.tensor([0.5, 5.0]))  # |-1 - (-40 + 60)/5|
    assert torch.equal(error[0], error[1])


def test_a_band_that_never_moved_does_not_magnify_what_comes_later():
    model = network()
    model.set_normalisation(np.array([-100.0, -60.0]), np.array([0.0, 5.0]))
    torch.testing.assert_close(model.std, torch.tensor([LEAST_STD_DB, 5.0]))


@pytest.mark.parametrize("id_regression", [True, False])
def test_columns(id_regression):
    model = network(id_regression, n_mels=5, frames=4)
    x = torch.zeros(3, 4, 5)
    assert model(x, x, torch.zeros(3)).shape == (3, 4, 5 + id_regression)
