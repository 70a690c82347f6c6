"""Sub-cluster AdaCos (Wilkinghoff 2021): cosine softmax with several centres a class and a scale that adapts itself."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_ALMOST_ONE = 1.0 - 1e-7


class SubclusterAdaCos(nn.Module):
    """Cross-entropy between soft labels and P(c | x) = Σ_k exp(s cos θ_ck) / Σ_c' Σ_k exp(s cos θ_c'k).

    The scale s begins at √2 · log(C K - 1). While training it becomes, before each batch is judged,
    log B / cos(min(π/4, θ)): B is the batch's mean of Σ_c (1 - y_c) Σ_k exp(s cos θ_ck), over the centres that an item
    does not belong to, and θ the median of the angles to the nearest centre of an item's own classes, by its labels.

    Args:
        dimensions: Width of embeddings.
        classes: Number of classes, C.
        sub_clusters: Centres of each class, K.
    """

    scale: Tensor

    def __init__(self, dimensions: int, classes: int, sub_clusters: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, sub_clusters, dimensions))
        nn.init.xavier_uniform_(self.centres.data.view(-1, dimensions))
        begin = math.sqrt(2.0) * math.log(max(classes * sub_clusters - 1, 2))
        self.register_buffer("scale", torch.tensor(begin))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each item.

        Args:
            embeddings: Shape (batch, dimensions), of any length.
            labels: Shares of each class, shape (batch, classes), summing to 1.

        Returns:
            Shape (batch,).
        """
        cosines = torch.einsum(
            "bd,ckd->bck", functional.normalize(embeddings, dim=1), functional.normalize(self.centres, dim=2)
        )
        if self.training:
            self._adapt(cosines.detach(), labels)
        logits = self.scale * cosines
        log_p = logits.logsumexp(dim=2) - logits.flatten(1).logsumexp(dim=1, keepdim=True)
        return -(labels * log_p).sum(dim=1)

    @torch.no_grad()
    def _adapt(self, cosines: Tensor, labels: Tensor) -> None:
        others = (self.scale * cosines).logsumexp(dim=2) + (1.0 - labels).clamp(min=1e-12).log()
        log_b = others.flatten().logsumexp(dim=0) - math.log(len(labels))
        angles = torch.arccos(cosines.amax(dim=2).clamp(-_ALMOST_ONE, _ALMOST_ONE))
        median = (labels * angles).sum(dim=1).median()
        self.scale.copy_(log_b / torch.cos(median.clamp(max=math.pi / 4)))
