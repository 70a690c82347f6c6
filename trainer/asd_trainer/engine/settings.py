"""Settings of how a device computes a training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from asd_trainer.settings import Settings


class Computation(Settings):
    """Device settings of a training: precision, compilation, graphs.

    Attributes:
        precision: Precision of the network on CUDA; a CPU computes in float32. `tf32` rounds the factors of products,
            `bfloat16` computes products and convolutions in it. Front ends, losses and centroids are always in float32.
        compile: Whether torch compiles the network, on any device; worth it where a training takes long.
    """

    omitted_at_default: ClassVar[tuple[str, ...]] = ("compile",)
    """Fields that are not written at their defaults: what was trained before they existed keeps its digest."""
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    compile: bool = False

    @model_serializer(mode="wrap")
    def _without_defaults(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = whole(self)
        fields = type(self).model_fields
        return {
            name: value
            for name, value in content.items()
            if name not in self.omitted_at_default or value != fields[name].default
        }
