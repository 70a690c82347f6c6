"""Equations 4 and 5 and ArcFace against numbers worked by hand."""

import math

import pytest
import torch

from asd_trainer.families.classifier.losses import EPSILON, arcface, binary_cross_entropy, ddcsad

NORMAL, OUTLIER = torch.tensor([1.0]), torch.tensor([0.0])


def test_cross_entropy_by_hand():
    logits = torch.tensor([math.log(3.0)] * 3)  # p = 3/4
    found = binary_cross_entropy(logits, torch.tensor([1.0, 0.0, 0.5]))
    assert found.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25), -0.5 * math.log(0.75 * 0.25)], rel=1e-6)


def test_double_centroids_by_hand():
    z, normal_centroid, outlier_centroid = torch.tensor([[1.0, 0.0]]), torch.zeros(2), torch.tensor([3.0, 0.0])
    centroids = normal_centroid, outlier_centroid
    assert ddcsad(z, *centroids, NORMAL).item() == pytest.approx(1 + 1 / (4 + EPSILON), rel=1e-6)
    assert ddcsad(z, *centroids, OUTLIER).item() == pytest.approx(1 / (1 + EPSILON) + 4, rel=1e-6)
    mixed = 0.3 * (1 + 1 / (4 + EPSILON)) + 0.7 * (1 / (1 + EPSILON) + 4)
    assert ddcsad(z, *centroids, torch.tensor([0.3])).item() == pytest.approx(mixed, rel=1e-6)


@pytest.mark.parametrize("normal", [1.0, 0.0, 0.4])
def test_the_gradient_is_right_and_finite_at_and_near_a_centroid(normal):
    """The reciprocal of Eq. 5 explodes there."""
    centroid, other = torch.zeros(3, dtype=torch.float64), torch.full((3,), 2.0, dtype=torch.float64)
    for distance in (0.0, 1e-6, 1e-3, 0.1):
        z = torch.full((1, 3), distance, dtype=torch.float64, requires_grad=True)
        label = torch.tensor([normal], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda x, y=label: ddcsad(x, centroid, other, y), (z,), eps=1e-8, atol=1e-2)
        (gradient,) = torch.autograd.grad(ddcsad(z, centroid, other, label).sum(), z)
        assert torch.isfinite(gradient).all()
        assert gradient.norm() <= 2 * EPSILON**-1.5 + 10


def test_arcface_by_hand():
    directions = torch.tensor([[2.0, 0.0], [0.0, 5.0]])  # only where they point counts
    z = torch.tensor([[0.1, 0.0]])  # at the normal direction, at a right angle to the other
    found = arcface(z, directions, NORMAL, margin=0.5, scale=4.0).item()
    assert found == pytest.approx(math.log(1 + math.exp(-4 * math.cos(0.5))), rel=5e-3)
    wrong = arcface(z, directions, OUTLIER, margin=0.5, scale=4.0).item()
    assert wrong == pytest.approx(math.log(1 + math.exp(4 - 4 * math.cos(math.pi / 2 + 0.5))), rel=5e-3)
    assert arcface(z, directions, NORMAL, margin=0.0, scale=4.0).item() < found


def test_arcface_has_a_finite_gradient_where_the_angle_is_nothing():
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    arcface(z, directions, torch.tensor([1.0, 1.0]), margin=0.5, scale=30.0).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
