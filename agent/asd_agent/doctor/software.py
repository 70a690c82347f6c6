"""Check of the installed software: one ONNX Runtime and not two, the wanted providers, versions."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from asd_agent import __version__
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.errors import AsdError
from asd_agent.inference.provider_check import absent
from asd_agent.inference.providers import load_runtime

_RUNTIMES = re.compile(r"onnxruntime(-gpu|-openvino|-directml|-rocm|-training|-qnn)?\Z")
_SHOWN = ("numpy", "scipy", "paho-mqtt", "sounddevice", "soxr", "pydantic")


def runtimes(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the installed wheels of ONNX Runtime: name to version.

    They all hold one package, `onnxruntime`; of two the second one overwrote files of the first.

    Args:
        path: Folders to search; by default those of this Python.
    """
    found = metadata.distributions(path=list(path)) if path is not None else metadata.distributions()
    names = {re.sub(r"[-_.]+", "-", d.metadata["Name"] or "").lower(): d.version for d in found}
    return {name: version for name, version in sorted(names.items()) if _RUNTIMES.match(name)}


def check_runtime(wanted: Sequence[str], *, needed: bool, path: Sequence[str] | None = None) -> list[Finding]:
    """Check that ONNX Runtime is what the bundles need.

    Args:
        wanted: `providers` of the configuration.
        needed: A bundle holds a network.
        path: As for `runtimes`.
    """
    there = runtimes(path)
    if len(there) > 1:
        keep = "onnxruntime-gpu" if "onnxruntime-gpu" in there else next(iter(there))
        remedy = f"Run `pip uninstall -y {' '.join(there)}`, then `pip install {keep}`"
        installed = " and ".join(f"{name} {version}" for name, version in there.items())
        return [problem("onnxruntime", f"{installed} are installed over each other", remedy)]
    try:
        runtime = load_runtime()
    except AsdError as error:
        found = (problem if needed else warning)("onnxruntime", error.what, error.remedy)
        return [found]
    return judge_runtime(runtime, wanted)


def judge_runtime(runtime: Any, wanted: Sequence[str]) -> list[Finding]:
    """Check which of the wanted providers an ONNX Runtime has.

    Args:
        runtime: The module `onnxruntime`.
        wanted: As for `check_runtime`.
    """
    lacking = absent(wanted, runtime)
    text = f"ONNX Runtime {runtime.__version__} with {', '.join(runtime.get_available_providers())}"
    remedy = "Install the ONNX Runtime that has it (docs/install.md), or take it out of 'providers'"
    if len(lacking) == len(wanted):
        return [problem("providers", "; ".join(lacking), remedy)]
    return [ok("onnxruntime", text), *(warning("providers", lack, remedy) for lack in lacking)]


def versions() -> dict[str, str]:
    """Return the versions of the agent, Python, the kernel and the libraries that matter."""
    found = {"asd-agent": __version__, "python": platform.python_version(), "kernel": platform.release()}
    found["machine"] = platform.machine()
    for name in _SHOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found | runtimes()
