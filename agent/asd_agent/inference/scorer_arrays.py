"""Arrays of scorers in a bundle: found by their prefix, and checked against what their density and members need."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import MaskBank, MemberUse
from asd_agent.errors import BundleError
from asd_agent.inference.densities import DENSITIES, FRAME_SPREAD, registered

Arrays = dict[str, npt.NDArray[np.floating]]
_EXPORT_AGAIN = "Export the bundle again."
_USUAL = {"usual_mean": (1,), "usual_std": (1,)}
"""Normal mean and spread of a member's output, which explanations need."""


def scorer_arrays(arrays: Mapping[str, npt.NDArray[np.floating]], prefix: str) -> Arrays:
    """Return the arrays of one scorer, by their names without the prefix."""
    start = prefix + "/"
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def checked_scorers(bundle: Bundle) -> dict[str, Arrays]:
    """Return the arrays of every scorer by its prefix, once they fit their densities.

    Raises:
        BundleError: An array is missing, has another number of axes, is empty, or has a value that is not finite; or
            a mask bank or reference scores are missing.
    """
    by_prefix: dict[str, Arrays] = {}
    try:
        for name, array in bundle.scorers.items():
            _require(array.dtype.kind in "biuf" and bool(np.isfinite(array).all()), f"{name!r} is not finite")
        for member in bundle.manifest.members:
            if member.masks is not None:
                _check_masks(bundle, member.masks)
        for condition in bundle.manifest.conditions:
            _check_reference(bundle, condition.reference)
            for expert in condition.experts:
                _check_reference(bundle, expert.reference)
                for use in expert.members:
                    _check_reference(bundle, use.reference)
                    by_prefix[use.scorer] = _checked(scorer_arrays(bundle.scorers, use.scorer), use)
    except ValueError as error:
        raise BundleError(f"{bundle.path}: scorers.npz: {error}", _EXPORT_AGAIN) from error
    return by_prefix


def _checked(arrays: Arrays, use: MemberUse) -> Arrays:
    density = registered(DENSITIES, use.density, "density")
    optional = {**density.optional, FRAME_SPREAD: (0,)}
    for name, axes in {**_USUAL, **density.needed, **optional}.items():
        place = f"'{use.scorer}/{name}'"
        if name not in arrays:
            _require(name in optional, f"{place} is missing")
        else:
            _require(arrays[name].ndim in axes and arrays[name].size > 0, f"{place} has shape {arrays[name].shape}")
    _require(bool((arrays.get(FRAME_SPREAD, np.ones(())) > 0).all()), f"'{use.scorer}/{FRAME_SPREAD}' is not positive")
    _require(bool((arrays["usual_std"] > 0).all()), f"'{use.scorer}/usual_std' has a spread of zero or below")
    return arrays


def _check_reference(bundle: Bundle, key: str) -> None:
    _require(key in bundle.scorers, f"{key!r} is missing")
    array = bundle.scorers[key]
    _require(array.ndim == 1 and array.size > 0, f"{key!r} has shape {array.shape}")


def _check_masks(bundle: Bundle, bank: MaskBank) -> None:
    _require(bank.array in bundle.scorers, f"{bank.array!r} is missing")
    array = bundle.scorers[bank.array]
    enough = array.ndim == 3 and bank.first + bank.count <= len(array)
    _require(enough, f"{bank.array!r} of shape {array.shape} has no replicas {bank.first} to {bank.first + bank.count}")


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ValueError(text)
