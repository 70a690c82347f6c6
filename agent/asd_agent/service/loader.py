"""From a configuration to what can be made ready before anything starts: scorers that passed their golden windows."""

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


@dataclass(frozen=True)
class LoadedRuntime:
    """A configuration whose bundles are loaded.

    Attributes:
        config: As read.
        scorers: By monitor; monitors of one bundle share one.
        providers: The execution provider really in use, by bundle.
        faults: What is not as configured although it works, in words, by part.
        pool: The sessions.
    """

    config: Config
    scorers: Mapping[str, BundleScorer]
    providers: Mapping[str, str]
    faults: Mapping[str, str]
    pool: Pool = field(repr=False)


def load_parts(config: Config, before: LoadedRuntime | None = None) -> LoadedRuntime:
    """Load and verify every bundle that a monitor names, and score its golden windows with the provider in use.

    Nothing that runs is touched, so that this may be done on another thread.

    Args:
        config: What to do.
        before: Whose sessions may be used again.

    Raises:
        ConfigError: A bundle cannot be used or lacks what a monitor asks for; with every mistake.
    """
    pool: Pool = {}
    shared: Pool = ChainMap(pool, dict(before.pool)) if before else pool
    gates: dict[Path, ProviderCheck] = {}
    failed: dict[Path, AsdError] = {}
    scorers: dict[str, BundleScorer] = {}
    mistakes: list[AsdError] = []
    for name, monitor in config.monitors.items():
        path = config.bundle_path(monitor.bundle)
        try:
            if path in failed:
                raise failed[path]
            if path not in gates:
                # Resolved, so that an activation meanwhile cannot mix two bundles.
                bundle = Bundle.open(path.resolve() if path.is_symlink() else path)
                bundle = with_sites(config, path, bundle)
                gates[path] = check_providers(bundle, config.providers, shared)
            scorers[name] = gates[path].scorer
            scorers[name].bundle.domains(monitor.section, monitor.domain)
        except AsdError as error:
            if path not in gates:
                failed[path] = error
            mistakes.append(ConfigError(f"monitor {name}: {error.what}", error.remedy))
    if mistakes:
        raise mistakes[0] if len(mistakes) == 1 else ConfigError("\n".join(str(m) for m in mistakes))
    return LoadedRuntime(config, scorers, _providers(gates), _faults(gates), pool)


def with_sites(config: Config, path: Path, bundle: Bundle) -> Bundle:
    """The bundle with what was calibrated here for the monitors that ask for it."""
    for section in sorted(
        {m.section for m in config.monitors.values() if m.domain == SITE and config.bundle_path(m.bundle) == path}
    ):
        bundle = with_site(bundle, config.paths.state, section)
    return bundle


def make_folder(path: Path) -> None:
    """Make the folder of the state.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"paths.state: {path} cannot be made ({error.strerror})", "Name a folder to write to."
        ) from error


def _providers(gates: Mapping[Path, ProviderCheck]) -> dict[str, str]:
    """By the bundles' names; a second bundle of one name goes by its digest as well."""
    said: dict[str, str] = {}
    digests: dict[str, str] = {}
    for gate in gates.values():
        bundle = gate.scorer.bundle
        name = bundle.manifest.name
        other = digests.setdefault(name, bundle.digest) != bundle.digest
        said[f"{name} {bundle.digest[:12]}" if other else name] = gate.provider
    return said


def _faults(gates: Mapping[Path, ProviderCheck]) -> dict[str, str]:
    faults: dict[str, str] = {}
    for gate in gates.values():
        if gate.complaints:
            faults[f"providers of {gate.scorer.bundle.manifest.name}"] = (
                f"{gate.provider} is in use: {'; '.join(gate.complaints)}"
            )
    return faults
