"""Networks of PyTorch Image Models (timm) by their names, from scratch or from a local file of weights."""

from __future__ import annotations

import difflib
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from asd_agent.errors import ConfigError

_OPERATORS = ("nms(Tensor a, Tensor b, float c) -> Tensor", "qnms(Tensor a, Tensor b, float c) -> Tensor")


def backbone(name: str, weights: Path | None = None, **settings: Any) -> nn.Module:
    """Return a network.

    Args:
        name: Name in timm, such as `resnet34`.
        weights: Local file of weights; those of three channels are summed for one. Nothing is ever downloaded.
        settings: Passed to `timm.create_model`.

    Raises:
        ConfigError: timm has no network of this name, or the file does not hold its weights.
    """
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ConfigError(f"timm has no network called {name!r}", f"Near it: {', '.join(near) or 'resnet34'}.")
    if weights is None:
        network: nn.Module = timm.create_model(name, pretrained=False, **settings)
        return network
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(weights)}, **settings)
    except Exception as error:  # timm raises what its reader happens to meet
        raise ConfigError(f"{weights}: holds no weights of {name}: {error}", "Name the right file, or none.") from error
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
