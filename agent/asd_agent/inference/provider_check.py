"""Provider check: a bundle runs on the first configured execution provider that gives its golden scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import Arrays
from asd_agent.errors import AsdError, BundleError
from asd_agent.inference.providers import Pool, Sessions, load_runtime
from asd_agent.inference.scorer import BundleScorer

_EXPORT_AGAIN = "Export the bundle again."


@dataclass(frozen=True)
class ProviderCheck:
    """A bundle that gives its golden scores here.

    Attributes:
        scorer: Ready to score.
        provider: Execution provider really in use, by all of its sessions.
        worst: Largest difference to a golden score.
        complaints: Reasons why configured providers before it are not in use, one sentence each.
    """

    scorer: BundleScorer
    provider: str
    worst: float
    complaints: tuple[str, ...]


def absent(providers: Sequence[str], runtime: Any = None) -> list[str]:
    """Return a sentence for each configured provider that the installed ONNX Runtime lacks.

    Raises:
        AsdError: ONNX Runtime is not installed.
    """
    there = (runtime or load_runtime()).get_available_providers()
    return [f"{p} is not in this ONNX Runtime, which has {', '.join(there)}" for p in providers if p not in there]


def check_providers(
    bundle: Bundle,
    providers: Sequence[str],
    pool: Pool | None = None,
    runtime: Any = None,
    progress: Callable[[], None] = lambda: None,
) -> ProviderCheck:
    """Load a bundle on the first provider that loads its graphs and gives its golden scores.

    Args:
        bundle: A verified bundle.
        providers: In order of preference.
        pool: Sessions to share.
        runtime: Replacement for the module `onnxruntime`.
        progress: Called when the networks are loaded, and after each golden window.

    Raises:
        AsdError: ONNX Runtime is not installed, or has none of the providers.
        BundleError: No provider passes; the message names all of them.
    """
    has_network = any(m.graph is not None for m in bundle.manifest.members)
    complaints = absent(providers, runtime) if has_network else []
    lacking = {c.split(" ", 1)[0] for c in complaints}
    usable = [p for p in providers if p not in lacking] or list(providers)
    for index, wanted in enumerate(usable):
        sessions = Sessions(usable[index:], pool=pool, runtime=runtime)
        try:
            scorer, worst = _load(bundle, sessions, progress)
        except BundleError as error:
            if index == len(usable) - 1:
                if complaints:
                    raise BundleError(f"{error.what}; before it, {'; '.join(complaints)}", error.remedy) from error
                raise
            complaints.append(f"{wanted}: {error.what}")
            continue
        return ProviderCheck(
            scorer, sessions.provider(), worst, tuple(dict.fromkeys([*complaints, *sessions.complaints]))
        )
    raise BundleError(f"{bundle.path}: no execution provider is configured", "Name one, such as CPUExecutionProvider.")


def check_golden(scorer: BundleScorer) -> float:
    """Score a bundle's golden windows again.

    Returns:
        Largest difference to the scores that the export stored.

    Raises:
        BundleError: A difference is larger than the manifest's tolerance, or there are no golden windows.
    """
    return max(golden_differences(scorer))


def golden_differences(scorer: BundleScorer) -> Iterator[float]:
    """Score a bundle's golden windows again, one by one, and explain them, as a monitor does.

    Yields:
        Largest difference of each window to the scores that the export stored.

    Raises:
        BundleError: A difference is larger than the manifest's tolerance, or there are no golden windows.
    """
    path, tolerance = scorer.bundle.path, scorer.bundle.manifest.tolerance
    golden = _golden_arrays(scorer)
    for index, (section, domain) in enumerate(zip(golden["sections"], golden["domains"], strict=True)):
        window = golden["windows"][index : index + 1].astype(np.float32) / 32768.0
        got = scorer.score(window, str(section), str(domain), explained="all")[0]
        pairs = [("the ensemble", got.score, float(golden["scores"][index]))]
        pairs += [(f"member {m}", got.members[m], float(golden[f"member/{m}"][index])) for m in got.members]
        worst = 0.0
        for name, value, wanted in pairs:
            difference = abs(value - wanted)
            if not difference <= tolerance * max(1.0, abs(wanted)):
                raise BundleError(
                    f"{path}: golden window {index} (section {section}, {domain}): {name} gives {value:.6g}, the "
                    f"export gave {wanted:.6g}",
                    "The execution provider computes differently here; use another one, or export the bundle again.",
                )
            worst = max(worst, difference)
        yield worst


def _golden_arrays(scorer: BundleScorer) -> Arrays:
    """Return the golden windows and their scores, once their shapes fit together."""
    golden, path = scorer.bundle.golden(), scorer.bundle.path
    shape = (len(golden.get("sections", ())), scorer.bundle.manifest.window_samples)
    if not shape[0]:
        raise BundleError(f"{path}: holds no golden windows", _EXPORT_AGAIN)
    windows = golden.get("windows")
    if windows is None or windows.shape != shape or windows.dtype != np.int16:
        raise BundleError(f"{path}: golden.npz holds no windows of 16-bit samples, shape {shape}", _EXPORT_AGAIN)
    used = {use.member for c in scorer.bundle.manifest.conditions for e in c.experts for use in e.members}
    for name in ("domains", "scores", *(f"member/{m}" for m in sorted(used))):
        if name not in golden or golden[name].shape != shape[:1] or golden[name].dtype.kind not in "fU":
            raise BundleError(f"{path}: golden.npz holds no {name!r} of {shape[0]} windows", _EXPORT_AGAIN)
    return golden


def _load(bundle: Bundle, sessions: Sessions, progress: Callable[[], None]) -> tuple[BundleScorer, float]:
    """Load a bundle and check its golden scores; every error of numpy and ONNX Runtime is the bundle's."""
    try:
        scorer, worst = BundleScorer(bundle, sessions), 0.0
        progress()
        for difference in golden_differences(scorer):
            worst = max(worst, difference)
            progress()
    except (AsdError, MemoryError):
        raise
    except Exception as error:  # the exception types of ONNX Runtime are private
        raise unscorable(bundle.path, error) from error
    return scorer, worst


def unscorable(path: Path, error: BaseException) -> BundleError:
    """Return the error of a bundle whose scoring raised an error that is not ours."""
    reason = (str(error).splitlines() or [""])[0][:200]
    return BundleError(f"{path}: cannot be scored ({type(error).__name__}: {reason})", _EXPORT_AGAIN)
