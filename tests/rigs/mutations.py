"""Mutated bundles: one fault each, in the manifest, the arrays, a network, the archive or the file system."""

from __future__ import annotations

import copy
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle.arrays import load_arrays, save_arrays
from rigs.hostile import GRAPH, HOSTILE, relisted

MANIFEST, SCORERS, GOLDEN = "manifest.json", "scorers.npz", "golden.npz"
NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**62,
    10**400,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "x",
    "00",
    "x" * 200_000,
    "[red]markup[/]",
    "[/]",
    "a\nb",
    "\x1b[2J\x07",
    "half \ud83d",
    "../../etc/passwd",
    "members/ae-0.onnx",
    "mahalanobis",
    [],
    [[]],
    {},
    {"a": {"b": 1}},
    [1, 2, 3],
)
"""Values that replace any value of a manifest."""


@dataclass(frozen=True)
class Mutant:
    """A mutated bundle.

    Attributes:
        path: Its folder.
        what: Mutation, in words.
    """

    path: Path
    what: str


def mutate(source: Path, folder: Path, rng: np.random.Generator, kind: str | None = None) -> Mutant:
    """Copy a bundle and mutate it.

    Args:
        source: The bundle.
        folder: Folder that receives the copy, under the same name.
        rng: Random choices.
        kind: Mutation, one of `KINDS`; by default a random one.
    """
    path = Path(shutil.copytree(source, folder / source.name))
    name = kind or str(rng.choice(list(KINDS)))
    return Mutant(path, f"{name}: {KINDS[name](path, rng)}")


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in keys for place in ((*prefix, key), *_paths(inner, (*prefix, key)))]


def _at(document: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        document = document[key]
    return document


def _edit(path: Path, rng: np.random.Generator, change: Callable[[Any, Any, Any], object]) -> str:
    document = json.loads((path / MANIFEST).read_text())
    places = [p for p in _paths(document) if p[0] != "metrics" and p[:2] != ("provenance", "recipe_settings")]
    place = places[int(rng.integers(len(places)))]
    change(_at(document, place[:-1]), place[-1], document)
    (path / MANIFEST).write_text(json.dumps(document))
    return ".".join(map(str, place))


def replace_value(path: Path, rng: np.random.Generator) -> str:
    nasty = NASTY[int(rng.integers(len(NASTY)))]
    return f"{_edit(path, rng, lambda holder, key, _: holder.__setitem__(key, copy.deepcopy(nasty)))} {nasty!r:.40}"


def scale_number(path: Path, rng: np.random.Generator) -> str:
    document = json.loads((path / MANIFEST).read_text())
    places = [p for p in _paths(document) if isinstance(_at(document, p), (int, float)) and p[0] != "metrics"]
    place, factor = places[int(rng.integers(len(places)))], float(rng.choice([-1, 0, 1e-9, 0.5, 3, 1e3, 1e9, 1e30]))
    number = _at(document, place) * factor
    _at(document, place[:-1])[place[-1]] = int(number) if isinstance(_at(document, place), int) else number
    (path / MANIFEST).write_text(json.dumps(document))
    return f"{'.'.join(map(str, place))} times {factor:g}"


def drop_value(path: Path, rng: np.random.Generator) -> str:
    return _edit(path, rng, lambda holder, key, _: holder.__delitem__(key))


def add_key(path: Path, rng: np.random.Generator) -> str:
    def change(holder: Any, _key: Any, _document: Any) -> None:
        holder.update({"[surprise]": 1}) if isinstance(holder, dict) else holder.append(holder[0])

    return _edit(path, rng, change)


def swap_values(path: Path, rng: np.random.Generator) -> str:
    def change(holder: Any, key: Any, document: Any) -> None:
        places = _paths(document)
        other = places[int(rng.integers(len(places)))]
        holder[key] = copy.deepcopy(_at(document, other))

    return _edit(path, rng, change)


def repeat_key(path: Path, rng: np.random.Generator) -> str:
    text = (path / MANIFEST).read_text()
    keys = [f'"{p[-1]}":' for p in _paths(json.loads(text)) if isinstance(p[-1], str)]
    key = keys[int(rng.integers(len(keys)))]
    (path / MANIFEST).write_text(text.replace(key, f"{key} null, {key}", 1))
    return key


def damage(name: str, *, listed: bool) -> Callable[[Path, np.random.Generator], str]:
    """Flip bytes of a file, cut it, or repeat a part of it."""

    def change(path: Path, rng: np.random.Generator) -> str:
        raw = bytearray((path / name).read_bytes())
        how = int(rng.integers(3))
        at = int(rng.integers(len(raw)))
        if how == 0:
            for position in rng.integers(0, len(raw), size=int(rng.integers(1, 20))):
                raw[position] = int(rng.integers(256))
        elif how == 1:
            raw = raw[:at]
        else:
            raw[at:at] = raw[at : at + int(rng.integers(1, 5_000))]
        (path / name).write_bytes(raw)
        if listed:
            relisted(path, name)
        return f"{name} {('bytes', 'cut', 'repeated')[how]}{' and listed' if listed else ''}"

    return change


def change_array(name: str) -> Callable[[Path, np.random.Generator], str]:
    """Change one array of an npz file and list the file again."""

    def change(path: Path, rng: np.random.Generator) -> str:
        arrays = load_arrays(path / name)
        key = str(rng.choice(sorted(arrays)))
        how = str(rng.choice(sorted(_ARRAYS)))
        made = _ARRAYS[how](arrays.pop(key))
        if made is not None:
            arrays[key] = made
        save_arrays(path / name, arrays)
        relisted(path, name)
        return f"{name} {key} {how}"

    return change


_ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "removed": lambda _: None,
    "empty": lambda x: x[:0] if x.ndim else np.empty(0),
    "scalar": lambda _: np.array(3.5),
    "text": lambda x: np.full(x.shape, "ninety"),
    "integers": lambda x: np.zeros(x.shape, np.int8),
    "NaN": lambda x: np.full(x.shape, np.nan),
    "infinite": lambda x: np.full(x.shape, np.inf),
    "huge": lambda x: np.full(x.shape, 1e300),
    "transposed": lambda x: x.T,
    "shorter": lambda x: x[1:] if x.ndim else x,
    "longer": lambda x: np.concatenate([x, x]) if x.ndim else x,
    "one axis more": lambda x: x[None],
    "flat": lambda x: x.ravel(),
    "shuffled": lambda x: x[::-1] if x.ndim else x,
    "other numbers": lambda x: (x * 1.01 + 1e-3).astype(x.dtype) if x.dtype.kind in "fiu" else x,
}


def zip_bomb(path: Path, rng: np.random.Generator) -> str:
    name = str(rng.choice([SCORERS, GOLDEN]))
    header = b"\x93NUMPY\x01\x00\x76\x00{'descr': '|u1', 'fortran_order': False, 'shape': (400000000,)}"
    with zipfile.ZipFile(path / name, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("x.npy", "w") as entry:
        entry.write(header.ljust(127) + b"\n")
        for _ in range(400):
            entry.write(bytes(1_000_000))
    relisted(path, name)
    return name


def another_network(path: Path, rng: np.random.Generator) -> str:
    name = str(rng.choice(sorted(HOSTILE)))
    if (path / GRAPH).exists():
        (path / GRAPH).write_bytes(HOSTILE[name]().SerializeToString())
        relisted(path, GRAPH)
    return name


def change_files(path: Path, rng: np.random.Generator) -> str:
    names = [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()]
    name, how = str(rng.choice(names)), str(rng.choice(sorted(_FILES)))
    _FILES[how](path / name)
    return f"{name} {how}"


def _removed_for(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


_FILES: dict[str, Callable[[Path], object]] = {
    "removed": lambda p: p.unlink(),
    "as pipe": _removed_for(os.mkfifo),
    "as folder": _removed_for(Path.mkdir),
    "as link to /dev/zero": _removed_for(lambda p: p.symlink_to("/dev/zero")),
    "as link to itself": _removed_for(lambda p: p.symlink_to(p)),
    "as empty file": lambda p: p.write_bytes(b""),
    "as file of 8 GB": lambda p: os.truncate(p, 8 << 30),
    "beside another file": lambda p: p.with_name("extra [red].bin").write_bytes(b"x"),
    "beside a folder": lambda p: p.with_name("more").mkdir(),
}

KINDS: dict[str, Callable[[Path, np.random.Generator], str]] = {
    "value": replace_value,
    "number": scale_number,
    "missing": drop_value,
    "surplus": add_key,
    "swap": swap_values,
    "repeated key": repeat_key,
    "manifest bytes": damage(MANIFEST, listed=False),
    "scorers bytes": damage(SCORERS, listed=False),
    "scorers listed": damage(SCORERS, listed=True),
    "golden listed": damage(GOLDEN, listed=True),
    "network bytes": damage(GRAPH, listed=True),
    "scorers array": change_array(SCORERS),
    "golden array": change_array(GOLDEN),
    "zip bomb": zip_bomb,
    "network": another_network,
    "files": change_files,
}
"""Every mutation."""
