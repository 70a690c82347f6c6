"""Write the locks: a version and its hashes for each package, for each supported Python and machine.

    scripts/write_locks.py [--upgrade | --upgrade-package NAME]        `make lock` calls it

One file for the agent, one for each extra and each dependency group of pyproject.toml; an extra's file holds what the
extra adds to the agent. All agree on versions. What is locked already stays as it is while pyproject.toml allows it.
`cuda.txt` holds what a CUDA build of torch needs; its CPU builds need none of it (`install-locked` decides).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "locks"
ALSO = LOCKS / "also-allowed.txt"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
EXTRAS = ("cpu", "gpu", "metrics", "calibrate", "demo", "web", "notify", "trainer", "cluster", "dev")
GROUPS = ("build", "pip", "site", "tools")
CUDA = re.compile(r"nvidia-|cuda-|triton$")
WHOLE = (
    "trainer",
    "cluster",
    "dev",
)  # files that hold the agent's own needs, too: nothing else is installed beside them
ENTRY = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)(?: *; *([^\\]*?))? *\\?$")


@dataclass
class Pin:
    """One version of a package, the environments that it is for, and the digests of its files."""

    name: str
    version: str
    environments: frozenset[tuple[str, str]]
    hashes: list[str]

    def text(self) -> str:
        """Return the lines of a requirements file."""
        rows = [f"{self.name}=={self.version}{marker(self.environments)}", *(f"    --hash={h}" for h in self.hashes)]
        return " \\\n".join(rows) + "\n"


def marker(environments: frozenset[tuple[str, str]]) -> str:
    """Return the shortest marker for a set of environments, with its semicolon; nothing when all are in it."""
    pythons = [p for p in PYTHONS if any(e[0] == p for e in environments)]
    machines = [m for m in MACHINES if any(e[1] == m for e in environments)]
    if len(pythons) * len(machines) != len(environments):
        raise SystemExit(f"write_locks: no marker for {sorted(environments)}")
    parts = []
    if len(pythons) == 1:
        parts.append(f'python_version == "{pythons[0]}"')
    elif len(pythons) < len(PYTHONS):
        if pythons[0] != PYTHONS[0]:
            parts.append(f'python_version >= "{pythons[0]}"')
        if pythons[-1] != PYTHONS[-1]:
            parts.append(f'python_version <= "{pythons[-1]}"')
    if len(machines) < len(MACHINES):
        parts.append(f'platform_machine == "{machines[0]}"')
    return f" ; {' and '.join(parts)}" if parts else ""


def chosen(text: str | None) -> frozenset[tuple[str, str]]:
    """Return the environments that a marker admits."""
    fixed = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"}
    condition = Marker(text) if text else None
    return frozenset(
        (python, machine)
        for python in PYTHONS
        for machine in MACHINES
        if condition is None
        or condition.evaluate(
            {
                **fixed,
                "platform_python_implementation": "CPython",
                "python_version": python,
                "python_full_version": f"{python}.1",
                "platform_machine": machine,
            }
        )
    )


def read(text: str) -> list[Pin]:
    """Return the pins of a requirements file with hashes."""
    pins: list[Pin] = []
    for line in text.splitlines():
        if found := ENTRY.match(line):
            pins.append(Pin(found[1], found[2], chosen(found[3]), []))
        elif digest := re.search(r"--hash=(\S+)", line):
            pins[-1].hashes.append(digest[1])
    return pins


def project() -> str:
    """Return pyproject.toml with the environments to resolve for."""
    rows = [
        f"\"sys_platform == 'linux' and platform_machine == '{machine}' and python_version < '3.14' and "
        "implementation_name == 'cpython' and platform_python_implementation == 'CPython'\""
        for machine in MACHINES
    ]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return f"{text}\n[tool.uv]\nenvironments = [{', '.join(rows)}]\n"


def resolver(folder: Path) -> Callable[..., list[Pin]]:
    """Return a function that resolves a selection of the project's needs."""

    def resolve(out: Path, *selection: str) -> list[Pin]:
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0]]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "-o", str(out), *selection]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"write_locks: {done.stderr.strip()}")
        return read(out.read_text(encoding="utf-8"))

    return resolve


def write(name: str, pins: list[Pin]) -> None:
    """Write one lock, with the digests that are allowed beside those of the index."""
    also = {(p.name, p.version): p.hashes for p in read(ALSO.read_text(encoding="utf-8"))}
    for pin in pins:
        pin.hashes = sorted({*pin.hashes, *also.get((pin.name, pin.version), [])})
    head = f"# Lock of {name}, written by `make lock`.\n"
    (LOCKS / f"{name}.txt").write_text(head + "".join(p.text() for p in pins if p.environments), encoding="utf-8")


def main(options: list[str]) -> None:
    """Resolve everything once, then each part with the versions of the whole."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pyproject.toml").write_text(project(), encoding="utf-8")
        whole = folder / "whole.txt"
        known = {p.text() for f in LOCKS.glob("*.txt") if f != ALSO for p in read(f.read_text(encoding="utf-8"))}
        if seed := os.environ.get("LOCK_SEED"):
            known = {Path(seed).read_text(encoding="utf-8")}
        whole.write_text("".join(sorted(known)), encoding="utf-8")
        resolve = resolver(folder)
        extras = [word for extra in EXTRAS for word in ("--extra", extra)]
        groups = [word for group in GROUPS for word in ("--group", group)]
        everything = resolve(whole, "pyproject.toml", *extras, *groups, *options)
        agree = ("-c", str(whole))
        agent = resolve(folder / "agent.txt", "pyproject.toml", *agree)
        write("agent", agent)
        has = {(p.name, p.version, e) for p in agent for e in p.environments}
        for extra in EXTRAS:
            pins = [
                p
                for p in resolve(folder / f"{extra}.txt", "pyproject.toml", "--extra", extra, *agree)
                if not CUDA.match(p.name)
            ]
            if extra not in WHOLE:
                for pin in pins:
                    pin.environments = frozenset(e for e in pin.environments if (pin.name, pin.version, e) not in has)
            write(extra, pins)
        for group in GROUPS:
            write(group, resolve(folder / f"{group}.txt", "--group", group, *agree))
        write("cuda", [p for p in everything if CUDA.match(p.name)])


if __name__ == "__main__":
    main(sys.argv[1:])
