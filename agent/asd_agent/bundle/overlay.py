"""Site overlays: a `site` condition that was calibrated on the box and is applied to a bundle, which never changes.

`<state>/site/<bundle>-<digest>-<section>/<number>/` holds overlay.json and scorers.npz. The highest number counts;
without it the one before counts, or the bundle as it was exported.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from asd_agent.bundle.arrays import Arrays, load_arrays, save_arrays
from asd_agent.bundle.bundle import SITE, Bundle
from asd_agent.bundle.files import LIMITS, SCORERS, open_regular, read_regular, stream_digest
from asd_agent.bundle.manifest import Condition, DomainName, Manifest, ManifestPart, SectionId
from asd_agent.bundle.manifest_reader import strict_json, under_arithmetic
from asd_agent.errors import BundleError
from asd_agent.whole_files import put, remove

FOLDER = "site"
OVERLAY = "overlay.json"
_AGAIN = "Calibrate again: asd-agent calibrate."


class SiteOverlay(ManifestPart):
    """Content of overlay.json.

    Attributes:
        base: Digest of the bundle that it belongs to.
        bundle: Name of that bundle, for people.
        like: Domain whose members, densities and combination it has.
        heard_seconds: Seconds of normal sound that it was calibrated on.
        heard_from: Source of that sound, in words.
        condition: Condition of the site; its arrays are in scorers.npz beside it.
        report: Difference between the site and that domain, for people.
        scorers_sha256: SHA-256 of scorers.npz.
    """

    schema_version: Literal[1] = 1
    base: str
    bundle: str
    machine: str
    section: SectionId
    like: DomainName
    created: datetime
    heard_seconds: float = Field(gt=0, le=1e9)
    heard_from: str
    condition: Condition
    report: dict[str, Any] = Field(default_factory=dict)
    scorers_sha256: str = ""


def overlay_folder(state: Path, bundle: Bundle, section: str) -> Path:
    """Return the folder of the overlays of a bundle's section."""
    return state / FOLDER / f"{bundle.manifest.name}-{bundle.digest[:12]}-{section}"


def overlay_numbers(folder: Path) -> list[int]:
    """Return the numbers of the overlays in a folder, oldest first."""
    return sorted(int(p.name) for p in folder.glob("[0-9]*") if p.name.isascii() and p.name.isdigit())


def add_overlay(folder: Path, overlay: SiteOverlay, arrays: Arrays) -> Path:
    """Write an overlay, whole or not at all; it counts from then on.

    Raises:
        BundleError: The disk refuses.
    """
    packed = io.BytesIO()
    save_arrays(packed, arrays)
    whole = overlay.model_copy(update={"scorers_sha256": hashlib.sha256(packed.getvalue()).hexdigest()})
    text = json.dumps(whole.model_dump(mode="json"), indent=1) + "\n"
    place = folder / f"{max(overlay_numbers(folder), default=0) + 1:04d}"
    try:
        put(place, {SCORERS: packed.getvalue(), OVERLAY: text.encode()})
    except OSError as error:
        raise BundleError(
            f"{folder}: cannot be written ({error.strerror})", "Free the disk, or run this as the service's user."
        ) from error
    return place


def undo(folder: Path) -> int:
    """Remove the overlay that counts; returns the number of those that are left.

    Raises:
        BundleError: There is none.
    """
    found = overlay_numbers(folder)
    if not found:
        raise BundleError(f"{folder}: there is no calibration to undo", "The bundle is as it was exported.")
    try:
        remove(folder / f"{found[-1]:04d}")
    except OSError as error:
        raise BundleError(
            f"{folder}: cannot be changed ({error.strerror})", "Run this as the service's user."
        ) from error
    return len(found) - 1


def read_overlay(place: Path, bundle: Bundle) -> tuple[SiteOverlay, Arrays]:
    """Read an overlay and check it.

    Raises:
        BundleError: It is damaged, too large, or belongs to another bundle.
    """
    try:
        document = strict_json(read_regular(place / OVERLAY, LIMITS.manifest_bytes))
        condition = under_arithmetic(document["condition"], bundle.manifest.arithmetic_version)
        overlay = SiteOverlay.model_validate(document | {"condition": condition})
    except (BundleError, ValueError, KeyError, TypeError, AttributeError) as error:  # ValidationError is a ValueError
        raise BundleError(f"{place / OVERLAY}: cannot be read as a calibration", _AGAIN) from error
    if overlay.base != bundle.digest:
        raise BundleError(f"{place}: belongs to another bundle ({overlay.bundle} {overlay.base[:12]})", _AGAIN)
    with open_regular(place / SCORERS) as stream:
        digest = stream_digest(stream)
    if digest != overlay.scorers_sha256:
        raise BundleError(f"{place / SCORERS}: was altered", _AGAIN)
    return overlay, load_arrays(place / SCORERS)


def with_site(bundle: Bundle, state: Path, section: str) -> Bundle:
    """Return the bundle with the site condition of one of its sections.

    Raises:
        BundleError: The section was not calibrated here, or the overlay is damaged.
    """
    folder = overlay_folder(state, bundle, section)
    found = overlay_numbers(folder)
    if not found:
        others = sorted(p.name for p in (state / FOLDER).glob(f"{bundle.manifest.name}-*-{section}"))
        hint = f" There is one for another version of it ({', '.join(others)})." if others else ""
        raise BundleError(
            f"{bundle.path}: section {section} was not calibrated here, so it has no domain 'site'",
            f"Run asd-agent calibrate, or choose another domain.{hint}",
        )
    overlay, arrays = read_overlay(folder / f"{found[-1]:04d}", bundle)
    return apply_overlay(bundle, overlay.condition, arrays)


def apply_overlay(bundle: Bundle, condition: Condition, arrays: Arrays) -> Bundle:
    """Return the bundle with a `site` condition, and the same digest."""
    kept = [c for c in bundle.manifest.conditions if (c.section, c.domain) != (condition.section, SITE)]
    manifest: Manifest = bundle.manifest.model_copy(update={"conditions": [*kept, condition]})
    return replace(bundle, manifest=manifest, scorers={**bundle.scorers, **arrays})
