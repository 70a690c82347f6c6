"""Losses of the binary classifier, one value an item (Eqs. 4 and 5 of the paper, and ArcFace).

Labels are shares of normal, 1 for a normal item and 0 for an outlier, between them for items that were mixed; a mixed
item has its share of either loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-3
"""Added to squared distances before they divide (Eq. 5): an embedding on a centroid is pushed with a finite force."""
_LARGEST_COSINE = 1 - 1e-6


def binary_cross_entropy(logits: Tensor, normal: Tensor) -> Tensor:
    """Eq. 4, both arguments of shape (items,)."""
    return functional.binary_cross_entropy_with_logits(logits, normal, reduction="none")


def ddcsad(z: Tensor, normal_centroid: Tensor, outlier_centroid: Tensor, normal: Tensor) -> Tensor:
    """Eq. 5: near the centroid of one's own kind and far from the other's.

    Args:
        z: Embeddings, shape (items, width).
        normal_centroid: c_p, shape (width,).
        outlier_centroid: c_n, shape (width,).
        normal: Labels, shape (items,).
    """
    to_normal = (z - normal_centroid).square().sum(dim=1)
    to_outlier = (z - outlier_centroid).square().sum(dim=1)
    if_normal = to_normal + 1 / (to_outlier + EPSILON)
    if_outlier = 1 / (to_normal + EPSILON) + to_outlier
    return normal * if_normal + (1 - normal) * if_outlier


def arcface(z: Tensor, directions: Tensor, normal: Tensor, margin: float, scale: float) -> Tensor:
    """Deng et al. 2019, of two classes: the angle to the own direction must be smaller by a margin.

    Args:
        z: Embeddings, shape (items, width).
        directions: Of normal and of outlier, shape (2, width).
        normal: Labels, shape (items,).
        margin: In radians.
        scale: Of the cosines.
    """
    cosines = functional.normalize(z) @ functional.normalize(directions).T
    angles = torch.acos(cosines.clamp(-_LARGEST_COSINE, _LARGEST_COSINE))
    with_margin = torch.cos((angles + margin).clamp(max=torch.pi))
    if_normal = torch.stack([with_margin[:, 0], cosines[:, 1]], dim=1)
    if_outlier = torch.stack([cosines[:, 0], with_margin[:, 1]], dim=1)
    first = -functional.log_softmax(scale * if_normal, dim=1)[:, 0]
    second = -functional.log_softmax(scale * if_outlier, dim=1)[:, 1]
    return normal * first + (1 - normal) * second
