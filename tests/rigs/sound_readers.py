"""Every command that reads recordings, as the fuzzers call it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_agent.cli import main as agent
from asd_agent.commands.console import run_command
from asd_trainer.cli import main as trainer
from asd_trainer.data.clips import load_clips
from asd_trainer.data.layout import parse
from rigs.agent import write_config
from rigs.bundles import hum, write_wav


@dataclass(frozen=True)
class SoundReader:
    """A command on one recording.

    Attributes:
        name: Its name.
        main: Its entry point.
        arguments: Its arguments.
        codes: Exit codes that are documented for it.
    """

    name: str
    main: Callable[[], None]
    arguments: list[str]
    codes: frozenset[int] = frozenset({0, 1})


@dataclass(frozen=True)
class Prepared:
    """Files that do not change.

    Attributes:
        folder: Their folder.
        bundle: A bundle.
        config: A configuration with a monitor `m`.
    """

    folder: Path
    bundle: Path
    config: Path


def prepared(folder: Path, bundle: Path) -> Prepared:
    """Write the configuration that `calibrate` needs."""
    clip = write_wav(folder / "good.wav", hum(10, 1))
    return Prepared(folder, bundle, write_config(folder, bundle, {"kind": "file", "path": str(clip)}, 1883))


def readers(whole: Prepared, path: Path) -> list[SoundReader]:
    """Return the calls for one recording, which is a clip of a data set: root/fan/train/NAME."""
    root, out, file = path.parents[2], str(path.parents[2] / "out"), str(path)
    fan = ["--machine", "fan"]
    return [
        SoundReader("score", agent, ["score", file, "--bundle", str(whole.bundle)]),
        SoundReader("record", agent, ["record", *fan, "--file", file, "--out", out, "--minutes", "0.1"]),
        SoundReader("calibrate", agent, ["calibrate", "m", "-c", str(whole.config), "--clips", file, "--dry-run"]),
        SoundReader("learn", agent, ["learn", *fan, "--clips", file, "--out", out]),
        SoundReader("inspect", trainer, ["inspect", str(root)]),
        SoundReader("import", trainer, ["import", file, out, *fan]),
        SoundReader("train", load, [file]),
    ]


def load() -> None:
    """Read a clip as `train` does."""

    def read() -> None:
        clip = parse(Path(sys.argv[1]))
        assert clip is not None
        assert np.isfinite(load_clips([clip]).samples).all()

    run_command("asd-trainer", read)


def names_the_file(output: str, path: Path) -> bool:
    """Return true where a refusal names the file, or what all files together lack."""
    return path.name in output or "too few" in output or "nothing can be fitted" in output
