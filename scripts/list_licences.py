"""Write docs/licences.md: the licence of each package that the agent's locks hold, as the installed package states it.

list_licences.py            write the page
list_licences.py --check    end with status 1 where the page differs or a licence is not permissive

A licence is permissive here if the package may be passed on inside a product that is not under the same licence.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
LOCKS = ("agent", "cpu", "metrics", "calibrate", "web", "notify", "demo")
PERMISSIVE = re.compile(r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL-2\.0|Mozilla|Zlib|HPND|Unlicense")
# Weak copyleft: a library that is used through its interface and stays replaceable in the environment.
REPLACEABLE = {"soxr": "LGPL-2.1-or-later"}
TEXTS = {"Redistribution and use in source": "BSD-3-Clause", "Permission is hereby granted": "MIT"}


def names() -> list[str]:
    """Return the packages of the agent's locks."""
    found: set[str] = set()
    for lock in LOCKS:
        found |= set(
            re.findall(r"^([a-z0-9-]+)==", (ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8"), re.MULTILINE)
        )
    return sorted(found)


def licence(name: str) -> str:
    """Return the licence that an installed package states: its expression, else its classifier, else its first line."""
    about = metadata(name)
    if expression := about.get("License-Expression"):
        return expression
    kinds = [line.rpartition(":: ")[2] for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    kinds = [kind for kind in kinds if kind != "OSI Approved"]
    if kinds:
        return ", ".join(kinds)
    text = about.get("License") or ""
    for beginning, short in TEXTS.items():
        if beginning in text:
            return short
    return text.strip().splitlines()[0] if text.strip() else "not stated"


def rows() -> dict[str, str]:
    """Return name and licence of each package that is installed here; a marker may leave one out."""
    found = {}
    for name in names():
        try:
            found[name] = licence(name)
        except PackageNotFoundError:
            continue
    return found


def refused(found: dict[str, str]) -> list[str]:
    """Return the packages whose licence is neither permissive nor known as replaceable."""
    return [
        f"{name}: {text}"
        for name, text in found.items()
        if REPLACEABLE.get(name) != text and ("GPL" in text or not PERMISSIVE.search(text))
    ]


def page(found: dict[str, str]) -> str:
    """Return the page."""
    lines = ["# Licences", ""]
    lines += ["Packages that the agent installs, all extras included, with the licence that each states. Written by"]
    lines += ["`scripts/list_licences.py`; a test refuses a licence that is not permissive. `soxr` (LGPL) is used as a"]
    lines += ["library of its own that can be replaced in the environment.", "", "| package | licence |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {text} |" for name, text in found.items())]) + "\n"


def main() -> int:
    """Write or check."""
    found = rows()
    if bad := refused(found):
        print("not permissive, or not stated:", *bad, sep="\n  ", file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        PAGE.write_text(page(found), encoding="utf-8")
    elif not set(page(found).splitlines()) <= set(
        PAGE.read_text(encoding="utf-8").splitlines()
    ):  # less on some Pythons
        print("docs/licences.md differs from the locks: python scripts/list_licences.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
