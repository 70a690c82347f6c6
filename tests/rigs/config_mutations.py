"""Mutated configurations: one fault each in agent.yaml, as text, as a value, or in a file that it names."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    10**40,
    -1e308,
    5e-324,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "00",
    "x" * 256,
    "x" * 5000,
    "/".join(["x" * 250] * 20),
    "ä" * 200,
    "[red]markup[/]",
    "a\nb",
    "/dev/zero",
    "/dev/null",
    "/proc/self/mem",
    "..",
    "%s{0}",
    [],
    [[]],
    {},
    {"a": {"b": 1}},
    [1, 2, 3],
    {"file": "/dev/zero"},
    {"file": "/dev"},
)
"""Values that replace any value."""
RAW = (
    "2026-13-45",
    "2026-01-01",
    "!!int x",
    "!!python/object/apply:os.getcwd []",
    "!!binary aGFsbG8=",
    "9" * 5000,
    "0x" + "f" * 5000,
    "1" + "_0" * 3000,
    ".inf",
    "-.inf",
    ".nan",
    "1e400",
    "[" * 500 + "]" * 500,
    "{a: " * 500 + "}" * 500,
    "[" * 50_000,
    "&a [*a]",
    "*missing",
    "&a x",
    '"\\uD800"',
    '"\\0"',
    '"\\x1b[2J"',
    "22:00",
    "190:20:30.15",
    "x" * 300,
    "? [a, b]\n  : c",
    "<<",
    "|\n  text",
    "@",
    "{[a]: b}",
    "'",
    "\t",
)
"""Texts that replace a value without being quoted."""


@dataclass(frozen=True)
class MutantConfig:
    """A mutated configuration.

    Attributes:
        path: Its file.
        what: Mutation, in words.
    """

    path: Path
    what: str


def mutate_config(source: Path, folder: Path, rng: np.random.Generator, kind: str | None = None) -> MutantConfig:
    """Copy a configuration and mutate it.

    Args:
        source: The configuration.
        folder: Folder that receives the copy and what it names.
        rng: Random choices.
        kind: Mutation, one of `CONFIG_KINDS`; by default a random one.
    """
    path = folder / "agent.yaml"
    text = source.read_text()
    name = kind or str(rng.choice(list(CONFIG_KINDS)))
    return MutantConfig(path, f"{name}: {CONFIG_KINDS[name](path, text, rng)}")


def _places(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in keys for place in ((*prefix, key), *_places(inner, (*prefix, key)))]


def _changed(text: str, rng: np.random.Generator, change: Callable[[Any, Any], object]) -> tuple[str, str]:
    document = yaml.safe_load(text)
    places = _places(document)
    place = places[int(rng.integers(len(places)))]
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    change(holder, place[-1])
    return yaml.safe_dump(document, allow_unicode=True), ".".join(map(str, place))


def replace_value(path: Path, text: str, rng: np.random.Generator) -> str:
    nasty = NASTY[int(rng.integers(len(NASTY)))]
    new, where = _changed(text, rng, lambda holder, key: holder.__setitem__(key, copy.deepcopy(nasty)))
    path.write_text(new)
    return f"{where} {nasty!r:.40}"


def replace_by_text(path: Path, text: str, rng: np.random.Generator) -> str:
    raw = RAW[int(rng.integers(len(RAW)))]
    new, where = _changed(text, rng, lambda holder, key: holder.__setitem__(key, "@@RAW@@"))
    path.write_text(new.replace("'@@RAW@@'", raw))
    return f"{where} {raw:.40}"


def drop_value(path: Path, text: str, rng: np.random.Generator) -> str:
    new, where = _changed(text, rng, lambda holder, key: holder.__delitem__(key))
    path.write_text(new)
    return where


def rename_key(path: Path, text: str, rng: np.random.Generator) -> str:
    names = ["x" * 256, "a/b", "..", "", "ä", "[red]", "1", 7, 2.5, True, "a\nb"]
    name = names[int(rng.integers(len(names)))]

    def change(holder: Any, key: Any) -> None:
        if isinstance(holder, dict):
            holder[name] = holder.pop(key)

    new, where = _changed(text, rng, change)
    path.write_text(new)
    return f"{where} to {name!r:.40}"


def change_bytes(path: Path, text: str, rng: np.random.Generator) -> str:
    raw = bytearray(text.encode())
    how, at = int(rng.integers(4)), int(rng.integers(len(raw)))
    if how == 0:
        for position in rng.integers(0, len(raw), size=int(rng.integers(1, 10))):
            raw[position] = int(rng.integers(256))
    elif how == 1:
        raw = raw[:at]
    elif how == 2:
        raw[at:at] = raw[at : at + int(rng.integers(1, 300))]
    else:
        raw = bytearray(text.encode(str(rng.choice(["utf-16", "utf-8-sig", "utf-32"]))))
    path.write_bytes(raw)
    return ("bytes", "cut", "repeated", "encoding")[how]


def whole_file(path: Path, text: str, rng: np.random.Generator) -> str:
    files: dict[str, Callable[[], object]] = {
        "alias bomb": lambda: path.write_text(BOMB + text),
        "recursive alias": lambda: path.write_text(text + "x: &x [*x]\n"),
        "10 MB": lambda: path.write_text(text + "# " + "x" * 10_000_000 + "\n"),
        "1 MB of values": lambda: path.write_text(text + "x: [" + "1, " * 320_000 + "1]\n"),
        "1 MB of keys": lambda: path.write_text(text + "".join(f"k{i}: 1\n" for i in range(90_000))),
        "20,000 unknown keys": lambda: path.write_text(text + "".join(f"k{i}: 1\n" for i in range(20_000))),
        "1 MB of one text": lambda: path.write_text(text + f"x: {'x' * 900_000}\n"),
        "empty": lambda: path.write_text(""),
        "pipe": lambda: os.mkfifo(path),
        "/dev/zero": lambda: path.symlink_to("/dev/zero"),
        "link to itself": lambda: path.symlink_to(path),
        "folder": path.mkdir,
        "two documents": lambda: path.write_text(f"{text}---\n{text}"),
        "a list": lambda: path.write_text("- a\n"),
        "a text": lambda: path.write_text("hello"),
        "tabs": lambda: path.write_text(text.replace("  ", "\t")),
    }
    name = str(rng.choice(sorted(files)))
    files[name]()
    return name


def named_file(path: Path, text: str, rng: np.random.Generator) -> str:
    document = yaml.safe_load(text)
    places: dict[str, Callable[[str], object]] = {
        "mqtt.password": lambda p: document["mqtt"].update(username="u", password={"file": p}),
        "mqtt.tls.ca": lambda p: document["mqtt"].update(tls={"ca": p}),
        "mqtt.tls.certificate": lambda p: document["mqtt"].update(tls={"certificate": p, "key": p}),
        "notify.ca": lambda p: document.update(notify={"t": {"url": {"file": p}, "ca": p}}),
        "paths.state": lambda p: document.update(paths={"state": p}),
    }
    pipe, large = path.with_name("pipe"), path.with_name("large")
    os.mkfifo(pipe)
    large.write_bytes(b"")
    os.truncate(large, 8 << 30)
    noise = path.with_name("noise")
    noise.write_bytes(rng.bytes(500))
    pem = path.with_name("pem")
    pem.write_text("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n")
    targets = ["/dev/zero", "/dev/null", "/dev", "/nowhere/x", "/proc/self/mem", *map(str, (pipe, large, noise, pem))]
    place, target = str(rng.choice(sorted(places))), str(rng.choice(targets))
    places[place](target)
    path.write_text(yaml.safe_dump(document))
    return f"{place} {target}"


CONFIG_KINDS: dict[str, Callable[[Path, str, np.random.Generator], str]] = {
    "value": replace_value,
    "text": replace_by_text,
    "missing": drop_value,
    "key": rename_key,
    "bytes": change_bytes,
    "file": whole_file,
    "named file": named_file,
}
"""Every mutation."""
