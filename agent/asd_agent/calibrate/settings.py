"""Settings by which model outputs become scores."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from asd_agent.bundle.manifest import Density, Summary, without

Arrays = dict[str, npt.NDArray[Any]]
ModelOutputs = npt.NDArray[np.floating]


class DensitySettings(BaseModel):
    """Settings of a density.

    Attributes:
        density: `gmm` (Eq. 2), one Gaussian with Ledoit-Wolf shrinkage, `mahalanobis`, a `bank` of embeddings, a
            classifier's `logit_distance` (Eq. 7 with both terms standardised) or `posterior_distance` (as printed), or
            none at all: the `mean` output is the score, as in the official baselines.
        summary: What of a member's output is judged: each of its `rows`, their `mean`, or `statistics`: their
            mean and standard deviation.
        components: Gaussians of the mixture, K.
        covariance: Form of their covariances.
        regularisation: Added to the diagonal of standardised covariances.
        first: Of a bank: the model output's column where the embedding begins.
        normalise: Of a bank: whether distances are divided by the usual distance around the nearest item.
        clusters: Of a bank: a part with more items is reduced to so many centres; None keeps all.
        gamma: Of Eq. 7: the share of the posterior; the rest is the distance's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    density: Density = "gmm"
    summary: Summary = "rows"
    components: int = Field(default=1, ge=1, le=64)
    covariance: Literal["full", "diag", "tied"] = "full"
    regularisation: float = Field(default=1e-3, gt=0)
    first: int = Field(default=0, ge=0)
    normalise: bool = True
    clusters: int | None = Field(default=None, ge=2)
    gamma: float = Field(default=0.5, ge=0, le=1)

    @model_serializer(mode="wrap")
    def _without_default(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `summary` at its default: what was trained before the field existed keeps its digest."""
        return without(whole(self), "summary", "rows")
