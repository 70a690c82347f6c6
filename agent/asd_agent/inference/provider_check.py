"""Which execution provider a bundle runs on: the first configured one that gives its golden scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asd_agent.bundle import Bundle
from asd_agent.errors import BundleError
from asd_agent.inference.providers import Pool, Sessions, load_runtime
from asd_agent.inference.scorer import BundleScorer, check_golden


@dataclass(frozen=True)
class ProviderCheck:
    """A bundle that scores as its export did.

    Attributes:
        scorer: Ready to score.
        provider: Really in use, by all of its sessions.
        worst: Largest difference to a golden score.
        complaints: In words, why configured providers before it are not in use.
    """

    scorer: BundleScorer
    provider: str
    worst: float
    complaints: tuple[str, ...]


def absent(providers: Sequence[str], runtime: Any = None) -> list[str]:
    """In words, each configured provider that the installed ONNX Runtime lacks.

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
        runtime: Stands for the module `onnxruntime`.

    Raises:
        AsdError: ONNX Runtime is not installed, or has none of the providers.
        BundleError: No provider passes; all are named.
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
