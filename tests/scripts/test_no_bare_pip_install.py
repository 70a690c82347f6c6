"""Texts never send a person to a package index by the name `asd`, which belongs to another project there.

A remedy names the pip of the environment that is in use with the source or wheel that it came from, or
`make install EXTRAS=…`.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BARE = re.compile(r"""\bpip3?\s+install\b[^\n`]*?[\s'"](asd(?:-edge)?)(?=[\['"`\s,.;:)]|==|$)""")
PLACES = (
    "agent/**/*.py",
    "trainer/**/*.py",
    "tests/rigs/**/*.py",
    "benchmarks/*.py",
    "scripts/*",
    "systemd/*",
    "docs/**/*.md",
    "*.md",
)


def bare(text: str) -> list[tuple[int, str]]:
    """Return line and text of each command that installs the project by name from an index."""
    return [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if BARE.search(line)]


@pytest.mark.parametrize(
    "line",
    [
        "pip install asd",
        "Run `pip install 'asd[metrics]'`, or remove 'metrics'",
        "pip install --force-reinstall 'asd[cpu,demo]'",
        "pip install -U asd-edge",
        'pip install "asd-edge[cpu]==0.2"',
    ],
)
def test_an_install_by_name_is_found(line: str) -> None:
    assert bare(line)


@pytest.mark.parametrize(
    "line",
    [
        "pip install '.[cpu,demo]'",
        "pip install -e '.[trainer]'",
        "/opt/asd/current/bin/pip install ./asd_edge-0.2.0-py3-none-any.whl",
        "make install EXTRAS=metrics,calibrate",
        "pip install scikit-learn",
        "pip install asdf-standard",
    ],
)
def test_an_install_from_the_source_or_of_something_else_is_fine(line: str) -> None:
    assert not bare(line)


@pytest.mark.parametrize("place", PLACES)
def test_no_text_installs_the_project_by_name(place: str) -> None:
    files = sorted(p for p in ROOT.glob(place) if p.is_file() and "__pycache__" not in p.parts)
    assert files, f"nothing matches {place}"
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line}"
        for file in files
        for number, line in bare(file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)
