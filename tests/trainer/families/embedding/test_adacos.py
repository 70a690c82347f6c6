"""Sub-cluster AdaCos by hand."""

import math

import pytest
import torch

from asd_trainer.families.embedding.adacos import SubclusterAdaCos


def loss_of(*centres: list[list[float]], scale: float = 2.0) -> SubclusterAdaCos:
    """In evaluation mode, with these centres for each class and a scale."""
    values = torch.tensor(centres)
    found = SubclusterAdaCos(values.shape[2], values.shape[0], values.shape[1])
    with torch.no_grad():
        found.centres.copy_(values)
        found.scale.fill_(scale)
    return found.eval()


X, Y = [1.0, 0.0], [0.0, 1.0]
MINUS_X = [-1.0, 0.0]


def test_one_centre_a_class_is_a_cosine_softmax():
    # cosines 1 and 0, whatever the lengths: P = e² / (e² + 1)
    loss = loss_of([[5.0, 0.0]], [Y])(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-5)


def test_a_classes_centres_share_its_probability():
    # cosines of class 0: 1 and -1; of class 1: 0 and 0. P(0) = (e² + e⁻²) / (e² + e⁻² + 2)
    loss = loss_of([X, MINUS_X], [Y, [0.0, -1.0]])(torch.tensor([X]), torch.tensor([[1.0, 0.0]]))
    own = math.exp(2) + math.exp(-2)
    assert loss.item() == pytest.approx(-math.log(own / (own + 2)), rel=1e-5)


def test_a_mixed_label_weighs_both_classes():
    loss = loss_of([X], [Y])(torch.tensor([X]), torch.tensor([[0.25, 0.75]]))
    p = math.exp(2) / (math.exp(2) + 1)
    assert loss.item() == pytest.approx(-0.25 * math.log(p) - 0.75 * math.log(1 - p), rel=1e-5)


def test_the_scale_begins_at_a_value_known_from_the_number_of_centres():
    assert SubclusterAdaCos(8, 5, 16).scale.item() == pytest.approx(math.sqrt(2) * math.log(79), rel=1e-6)


def test_the_scale_adapts_while_training_alone():
    loss = loss_of([X], [Y], scale=2.0)
    x = torch.tensor([X, [math.cos(0.5), math.sin(0.5)], [math.cos(0.7), math.sin(0.7)]])
    labels = torch.tensor([[1.0, 0.0]] * 3)
    loss(x, labels)
    assert loss.scale.item() == 2.0
    loss.train()(x, labels)
    # angles to the own centre 0, 0.5, 0.7; cosines to the other one 0, sin 0.5, sin 0.7
    b = (1 + math.exp(2 * math.sin(0.5)) + math.exp(2 * math.sin(0.7))) / 3
    assert loss.scale.item() == pytest.approx(math.log(b) / math.cos(0.5), rel=1e-5)


def test_an_angle_counts_up_to_45_degrees():
    loss = loss_of([X], [MINUS_X], scale=3.0).train()
    loss(torch.tensor([Y, Y, Y]), torch.tensor([[1.0, 0.0]] * 3))
    assert loss.scale.item() == pytest.approx(0.0, abs=1e-6)  # log B = log e⁰
    loss = loss_of([X], [[0.6, 0.8]], scale=3.0).train()
    loss(torch.tensor([Y]), torch.tensor([[1.0, 0.0]]))
    assert loss.scale.item() == pytest.approx(3 * 0.8 / math.cos(math.pi / 4), rel=1e-5)


def test_gradients_are_finite_where_an_embedding_meets_its_centre_or_is_zero():
    loss = loss_of([X, MINUS_X], [Y, [0.0, -1.0]]).train()
    x = torch.tensor([X, MINUS_X, [0.0, 0.0], [1e30, 1e30]], requires_grad=True)
    loss(x, torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert loss.centres.grad is not None
    assert torch.isfinite(loss.centres.grad).all()
    assert torch.isfinite(loss.scale)
