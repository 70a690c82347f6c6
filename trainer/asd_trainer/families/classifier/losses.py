"""Losses of the binary classifier, one value an item (Eqs. 4 and 5 of the paper, and ArcFace).

Labels are shares of normal: 1 for a normal item, 0 for a pseudo-anomaly, and between them for items that were mixed. A
mixed item has its share of either loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-3
"""Added to squared distances before they divide (Eq. 5): an embedding on a centroid is pushed with a finite force."""
_LARGEST_COSINE = 1 - 1e-6


def binary_cross_entropy(logits: Tensor, normal: Tensor) -> Tensor:
    """Return Eq. 4 of each item, both arguments of shape (items,)."""
    return functional.binary_cross_entropy_with_logits(logits, normal, reduction="none")


def ddcsad(z: Tensor, normal_centroid: Tensor, anomaly_centroid: Tensor, normal: Tensor) -> Tensor:
    """Return Eq. 5 of each item: small near the centroid of its own class and far from the other's.

    Args:
        z: Embeddings, shape (items, width).
        normal_centroid: c_p, shape (width,).
        anomaly_centroid: c_n, of pseudo-anomalies, shape (width,).
        normal: Labels, shape (items,).
    """
    to_normal = (z - normal_centroid).square().sum(dim=1)
    to_anomaly = (z - anomaly_centroid).square().sum(dim=1)
    if_normal = to_normal + 1 / (to_anomaly + EPSILON)
    if_anomaly = 1 / (to_normal + EPSILON) + to_anomaly
    return normal * if_normal + (1 - normal) * if_anomaly


def arcface(z: Tensor, directions: Tensor, normal: Tensor, margin: float, scale: float) -> Tensor:
    """Return ArcFace (Deng et al. 2019) for two classes: the angle to the own direction must be smaller by a margin.

    Args:
        z: Embeddings, shape (items, width).
        directions: Directions of normal items and pseudo-anomalies, shape (2, width).
        normal: Labels, shape (items,).
        margin: Margin in radians.
        scale: Scale of the cosines.
    """
    cosines = functional.normalize(z) @ functional.normalize(directions).T
    angles = torch.acos(cosines.clamp(-_LARGEST_COSINE, _LARGEST_COSINE))
    with_margin = torch.cos((angles + margin).clamp(max=torch.pi))
    if_normal = torch.stack([with_margin[:, 0], cosines[:, 1]], dim=1)
    if_anomaly = torch.stack([cosines[:, 0], with_margin[:, 1]], dim=1)
    first = -functional.log_softmax(scale * if_normal, dim=1)[:, 0]
    second = -functional.log_softmax(scale * if_anomaly, dim=1)[:, 1]
    return normal * first + (1 - normal) * second
