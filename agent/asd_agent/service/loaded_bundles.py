"""Bundles of a configuration, loaded and checked against their golden windows before anything starts."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.overlay import with_site
from asd_agent.config.model import Config
from asd_agent.errors import AsdError, ConfigError
from asd_agent.inference.provider_check import ProviderCheck, check_providers
from asd_agent.inference.providers import Pool
from asd_agent.inference.scorer import BundleScorer
from asd_agent.service.passed_checks import check_foreign_once


@dataclass(frozen=True)
class LoadedBundles:
    """A configuration with the scorers of all its monitors.

    Attributes:
        config: As read.
        scorers: Scorer of each monitor; monitors of one bundle share one.
        providers: Execution provider in use, by bundle.
        faults: Deviations from the configuration that still work, in words, by part.
        pool: The sessions.
        unusable: Reasons, in words, why monitors cannot judge; the others run.
    """

    config: Config
    scorers: Mapping[str, BundleScorer]
    providers: Mapping[str, str]
    faults: Mapping[str, str]
    pool: Pool = field(repr=False)
    unusable: Mapping[str, str] = field(default_factory=dict)


def load_bundles(config: Config, before: LoadedBundles | None = None) -> LoadedBundles:
    """Load and verify every bundle that a monitor names, and score its golden windows with the provider in use.

    A monitor whose bundle cannot be used is out of service with its reason; the others run.

    It changes nothing that runs, so it may be called on another thread.

    Args:
        config: The configuration.
        before: Earlier loaded bundles whose sessions may be used again.

    Raises:
        ConfigError: No monitor can judge, or one could and cannot any more; names every mistake.
    """
    pool: Pool = {}
    shared: Pool = ChainMap(pool, dict(before.pool)) if before else pool
    checks: dict[Path, ProviderCheck] = {}
    failed: dict[Path, AsdError] = {}
    scorers: dict[str, BundleScorer] = {}
    mistakes: list[AsdError] = []
    same_providers = before is not None and before.config.providers == config.providers
    loaded = {s.bundle.digest for s in before.scorers.values()} if before and same_providers else set()
    unusable: dict[str, str] = {}
    for name, monitor in config.monitors.items():
        path = config.bundle_path(monitor.bundle)
        try:
            if path in failed:
                raise failed[path]
            if path not in checks:
                # Resolved, so that an activation meanwhile cannot mix two bundles.
                bundle = Bundle.open(path.resolve() if path.is_symlink() else path)
                if bundle.digest not in loaded:
                    check_foreign_once(bundle, config.providers, config.paths.state)
                bundle = _with_sites(config, path, bundle)
                checks[path] = check_providers(bundle, config.providers, shared)
            scorers[name] = checks[path].scorer
            scorers[name].bundle.domains(monitor.section, monitor.domain)
        except AsdError as error:
            if path not in checks:
                failed[path] = error
            mistake = ConfigError(f"monitor {name}: {error.what}", error.remedy)
            scorers.pop(name, None)
            unusable[name] = str(mistake)
            mistakes.append(mistake)
    judging = set(before.scorers) if before else set()
    if mistakes and (not scorers or judging & unusable.keys()):
        # A reload must not silence a monitor that judges now; a start must not leave the others deaf for one's sake.
        raise mistakes[0] if len(mistakes) == 1 else ConfigError("\n".join(str(m) for m in mistakes))
    faults = {**_faults(checks), **{f"monitor {name}": reason for name, reason in unusable.items()}}
    return LoadedBundles(config, scorers, _providers(checks), faults, pool, unusable)


def _with_sites(config: Config, path: Path, bundle: Bundle) -> Bundle:
    """Return the bundle with the site overlays of the monitors whose domain is `site`."""
    for section in sorted(
        {m.section for m in config.monitors.values() if m.domain == SITE and config.bundle_path(m.bundle) == path}
    ):
        bundle = with_site(bundle, config.paths.state, section)
    return bundle


def _providers(checks: Mapping[Path, ProviderCheck]) -> dict[str, str]:
    """Return providers by the bundles' names; a second bundle of one name is listed with its digest."""
    found: dict[str, str] = {}
    digests: dict[str, str] = {}
    for check in checks.values():
        bundle = check.scorer.bundle
        name = bundle.manifest.name
        other = digests.setdefault(name, bundle.digest) != bundle.digest
        found[f"{name} {bundle.digest[:12]}" if other else name] = check.provider
    return found


def _faults(checks: Mapping[Path, ProviderCheck]) -> dict[str, str]:
    faults: dict[str, str] = {}
    for check in checks.values():
        if check.complaints:
            faults[f"providers of {check.scorer.bundle.manifest.name}"] = (
                f"{check.provider} is in use: {'; '.join(check.complaints)}"
            )
    return faults
