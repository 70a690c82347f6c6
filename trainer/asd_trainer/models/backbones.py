"""Networks of PyTorch Image Models (timm) by their names, without pretrained weights."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import nn

_OPERATORS = ("nms(Tensor a, Tensor b, float c) -> Tensor", "qnms(Tensor a, Tensor b, float c) -> Tensor")


def backbone(name: str, **settings: Any) -> nn.Module:
    """A network with fresh weights.

    Args:
        name: In timm, such as `resnet34`.
        settings: Passed to `timm.create_model`.
    """
    network: nn.Module = _timm().create_model(name, pretrained=False, **settings)
    return network


@lru_cache(maxsize=1)
def _timm() -> Any:
    """The module timm, also beside a torchvision that was built for another torch.

    timm imports torchvision, which refuses to be imported when its compiled operators cannot be loaded, as a build for
    CUDA beside a torch without. None of the networks needs one: it is enough that two of them have names.
    """
    try:
        return import_module("timm")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator)  # type: ignore[no-untyped-call]
    _KEPT.append(library)  # its definitions go with it
    return import_module("timm")


_KEPT: list[torch.library.Library] = []
