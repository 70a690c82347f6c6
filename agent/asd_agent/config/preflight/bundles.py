"""Preflight of bundles: complete, made for this agent, and giving their golden scores on this box."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from asd_agent.bundle import Bundle
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import Config
from asd_agent.config.preflight.guard import guarded
from asd_agent.errors import AsdError
from asd_agent.inference.isolated_check import check_isolated


def preflight_bundles(config: Config) -> tuple[dict[Path, Bundle], list[Finding]]:
    """Open every bundle and score its golden windows; a damaged one hides no other.

    Returns:
        The bundles that could be opened, by path, also where their scores are off; and the findings.
    """
    bundles: dict[Path, Bundle] = {}
    found: list[Finding] = []
    first: dict[Path, str] = {}
    for name, monitor in config.monitors.items():
        first.setdefault(config.bundle_path(monitor.bundle), f"monitors.{name}.bundle")
    for path, key in first.items():
        found += guarded(key, partial(_bundle, key, path, config, bundles))
    return bundles, found


def _bundle(key: str, path: Path, config: Config, bundles: dict[Path, Bundle]) -> list[Finding]:
    try:
        bundles[path] = Bundle.open(path)
        check = check_isolated(bundles[path], config.providers)
    except AsdError as error:
        return [problem(key, error.what, error.remedy)]
    text = f"{path.name}: golden windows on {check.provider} are off by at most {check.worst:.2g}"
    complaints = [
        warning("providers", f"{path.name} runs on {check.provider}: {complaint}", _INSTALL)
        for complaint in check.complaints
    ]
    return [ok(key, text), *complaints]


_INSTALL = "Install the ONNX Runtime that has it, or take it out of 'providers'"
