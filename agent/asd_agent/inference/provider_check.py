"""Provider check: a bundle runs on the first configured execution provider that gives its golden scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asd_agent.bundle import Bundle
from asd_agent.errors import BundleError
from asd_agent.inference.providers import Pool, Sessions, load_runtime
from asd_agent.inference.scorer import BundleScorer


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
    bundle: Bundle, providers: Sequence[str], pool: Pool | None = None, runtime: Any = None
) -> ProviderCheck:
    """Load a bundle on the first provider that loads its graphs and gives its golden scores.

    Args:
        bundle: A verified bundle.
        providers: In order of preference.
        pool: Sessions to share.
        runtime: Replacement for the module `onnxruntime`.

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
            scorer = BundleScorer(bundle, sessions)
            worst = check_golden(scorer)
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
    golden, tolerance = scorer.bundle.golden(), scorer.bundle.manifest.tolerance
    worst = 0.0
    if not len(golden.get("windows", ())):
        raise BundleError(f"{scorer.bundle.path}: holds no golden windows", "Export the bundle again.")
    for index, (section, domain) in enumerate(zip(golden["sections"], golden["domains"], strict=True)):
        window = golden["windows"][index : index + 1].astype(np.float32) / 32768.0
        got = scorer.score(window, str(section), str(domain))[0]
        pairs = [("the ensemble", got.score, float(golden["scores"][index]))]
        pairs += [(f"member {m}", got.members[m], float(golden[f"member/{m}"][index])) for m in got.members]
        for name, value, wanted in pairs:
            difference = abs(value - wanted)
            if not difference <= tolerance * max(1.0, abs(wanted)):
                raise BundleError(
                    f"{scorer.bundle.path}: golden window {index} (section {section}, {domain}): {name} gives "
                    f"{value:.6g}, the export gave {wanted:.6g}",
                    "The execution provider computes differently here; use another one, or export the bundle again.",
                )
            worst = max(worst, difference)
    return worst
