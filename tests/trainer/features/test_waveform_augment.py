"""Noise, volume and mixing do what they say, and are drawn from the generator alone."""

import numpy as np
import pytest
import torch

from asd_trainer.features.settings import SoundAugmentation
from asd_trainer.features.waveform_augment import augment, beta, mixup

NONE = SoundAugmentation(noise=0, volume=0, mixup=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_the_ratio_that_is_asked_for():
    x = 0.1 * torch.sin(torch.arange(16_000) * 0.3).repeat(4, 1)
    noisy = augment(x, NONE.model_copy(update={"noise": 1.0, "snr_db": (10.0, 10.0)}), generator())
    ratio = 10 * torch.log10(x.square().mean(1) / (noisy - x).square().mean(1))
    assert ratio.numpy() == pytest.approx([10.0] * 4, abs=0.2)


def test_volume_changes_by_at_most_what_is_said():
    x = torch.ones(1000, 10)
    louder = augment(x, NONE.model_copy(update={"volume": 0.5, "volume_db": 6.0}), generator())
    decibels = 20 * torch.log10(louder[:, 0])
    changed = decibels[decibels != 0]
    assert 400 < len(changed) < 600
    assert float(changed.abs().max()) <= 6.0
    assert float(changed.min()) < -5.9


def test_mixed_items_have_mixed_labels():
    x, labels = torch.eye(4), torch.tensor([1.0, 1.0, 0.0, 0.0])
    mixed, found = mixup(x, labels, 0.2, generator(3))
    assert mixed.sum(dim=1).numpy() == pytest.approx(np.ones(4))
    assert found.numpy() == pytest.approx((mixed @ labels).numpy())
    same, kept = mixup(x, labels, 0.0, generator())
    assert torch.equal(same, x)
    assert torch.equal(kept, labels)


def test_shares_have_the_moments_of_their_distribution():
    shares = beta(20_000, 0.2, generator(), torch.device("cpu"))
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * 0.2 + 1)), abs=0.005)
