"""Alarms of an installed box on real sound: those on normal clips, faults found, and the delay.

    python benchmarks/streams.py ../shared/data/real_machines --machine fan --machine valve --recipe instant

For each section and domain with faulty test clips, `asd-agent learn` builds a bundle of the training clips, and
`asd-trainer` with each recipe that is named; that bundle's own domain judges. The normal
test clips become one recording, and with the faulty ones behind them another; `asd-agent score` judges both with a
monitor's rule. `calibrate` takes five minutes of the normal test clips, where there are more, and is judged by the
others. Nothing waits for sound. Labels choose nothing: they only show which clips are faulty.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
import yaml

from asd_agent.alarm.rate import a_day
from asd_agent.bundle.bundle import Bundle

RATE = 16_000
SITE_MINUTES = (5, 20)


@dataclass(frozen=True)
class Cell:
    """Clips of one section and domain."""

    machine: str
    section: str
    domain: str
    train: tuple[Path, ...]
    normal: tuple[Path, ...]
    faulty: tuple[Path, ...]

    @property
    def name(self) -> str:
        return f"{self.machine} {self.section} {self.domain}"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        cell: Machine, section and domain.
        what: How the bundle was made.
        wanted: Wanted false alarms a day; None for the default.
        alarms: Alarms on normal sound.
        normal_hours: Hours of normal sound.
        over_normal: Share of normal windows over the raise level, in %.
        over_faulty: Share of faulty windows over it, in %.
        delay: Seconds of faulty sound until the alarm; None where none came.
        note: Why nothing was measured.
        stated: Upper 95 % limit of the alarms a day that the level states; None where it states none.
        alone: The same for the operating condition of which the clips show least, where that is larger.
    """

    cell: str
    what: str
    wanted: float | None
    alarms: int = 0
    normal_hours: float = 0.0
    over_normal: float = 0.0
    over_faulty: float = 0.0
    delay: float | None = None
    note: str = ""
    stated: float | None = None
    alone: float | None = None

    @property
    def limit(self) -> str:
        """The stated limits, and whether so many alarms are too many for them: less likely than 5 %."""
        if self.stated is None:
            return "none"
        text = a_day(self.stated) + (f", {a_day(self.alone)} alone" if self.alone is not None else "")
        if self._exceeds(self.stated):
            text += ", exceeded" if self._exceeds(self.alone or 0.0) else ", first one exceeded"
        return text

    def _exceeds(self, per_day: float) -> bool:
        expected = per_day * self.normal_hours / 24
        below = sum(math.exp(-expected) * expected**n / math.factorial(n) for n in range(self.alarms))
        return 1 - below < 0.05


def cells(root: Path, machines: Sequence[str]) -> Iterator[Cell]:
    """Yield every section and domain that has normal and faulty test clips."""
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and (not machines or p.name in machines)):
        clips = sorted(folder.rglob("section_*.flac")) + sorted(folder.rglob("section_*.wav"))
        found: dict[tuple[str, str], dict[str, list[Path]]] = {}
        for clip in clips:
            parts = re.match(r"section_(\d+)_(source|target)_(train|test)_(normal|anomaly)", clip.name)
            if parts:
                kinds = found.setdefault((parts[1], parts[2]), {})
                kinds.setdefault(f"{parts[3]} {parts[4]}", []).append(clip)
        for (section, domain), kinds in sorted(found.items()):
            # The few clips of a target domain are learnt beside those of its source, as in training.
            train = [c for (s, _), k in found.items() if s == section for c in k.get("train normal", [])]
            if kinds.get("test normal") and kinds.get("test anomaly"):
                yield Cell(
                    folder.name,
                    section,
                    domain,
                    tuple(train),
                    tuple(kinds["test normal"]),
                    tuple(kinds["test anomaly"]),
                )


def agent(*arguments: str) -> str:
    """Run asd-agent and return what it printed."""
    return asd("asd-agent", *arguments)


def asd(command: str, *arguments: str) -> str:
    """Run a command of the product and return what it printed."""
    program = Path(sys.executable).with_name(command)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}")
    return done.stdout


def joined(clips: Sequence[Path], to: Path) -> Path:
    """Write clips one behind the other."""
    sound = [soundfile.read(clip, dtype="int16", always_2d=True)[0][:, 0] for clip in clips]
    soundfile.write(to, np.concatenate(sound), RATE)
    return to


def judged(bundle: Path, cell: Cell, normal: Sequence[Path], place: Path, *how: str) -> Row:
    """Score both streams by the rule of a monitor with default settings."""
    streams = [joined(normal, place / "normal.wav"), joined([*normal, *cell.faulty], place / "whole.wav")]
    printed = agent("score", *map(str, streams), "-b", str(bundle), "--section", cell.section, *how, "--json")
    quiet, whole = json.loads(printed)["clips"]
    begin = len(normal) * 10.0
    raised = [a["raised"] for a in whole["alarms"] if a["raised"] > begin]
    # An alarm that normal sound raised and that still stands does not show that the fault was found.
    standing = any(a["raised"] <= begin and (a["cleared"] is None or a["cleared"] > begin) for a in whole["alarms"])

    def over(windows: list[dict[str, float]]) -> float:
        return 100 * float(np.mean([w["score"] > w["threshold"] for w in windows])) if windows else 0.0

    behind = [w for w in whole["windows"] if w["start"] >= begin and w["score"] is not None]
    return Row(
        cell.name, "", None, len(quiet["alarms"]), begin / 3600,
        over([w for w in quiet["windows"] if w["score"] is not None]), over(behind),
        min(raised) - begin if raised else None, "an alarm of normal sound still stood" if standing else "",
    )  # fmt: skip


def measured(cell: Cell, rates: Sequence[float | None], place: Path) -> Iterator[Row]:
    """Yield the rows of a cell: `learn` at each rate, then calibrated on the spot at each rate."""
    for wanted in rates:
        name = "default" if wanted is None else str(wanted)
        rate = () if wanted is None else ("--alarms-per-day", str(wanted))
        out = place / name
        try:
            agent(
                "learn", "--machine", cell.machine, "--section", cell.section, "--out", str(out), *rate,
                *(part for clip in cell.train for part in ("--clips", str(clip))),
            )  # fmt: skip
        except RuntimeError as error:
            yield Row(cell.name, "learn", wanted, note=str(error))
            continue
        bundle = out / cell.machine
        row = judged(bundle, cell, cell.normal, place, "--domain", "source")
        yield replace(row, what="learn", wanted=wanted, **limits(bundle, cell.section, "source"))
        for minutes in SITE_MINUTES:
            what, count = f"site, {minutes} min", minutes * 6
            if len(cell.normal) < count + 6:
                yield Row(cell.name, what, wanted, note=f"only {len(cell.normal) / 6:.1f} min of normal sound")
                continue
            try:
                state, stated, alone = calibrated(bundle, cell, cell.normal[:count], out / what.replace(" ", ""), rate)
                row = judged(bundle, cell, cell.normal[count:], place, "--domain", "site", "--state", str(state))
            except RuntimeError as error:
                yield Row(cell.name, what, wanted, note=str(error))
                continue
            yield replace(row, what=what, wanted=wanted, stated=stated, alone=alone)


def trained(
    cell: Cell, data: Path, recipes: Sequence[str], rates: Sequence[float | None], place: Path
) -> Iterator[Row]:
    """Yield the rows of a cell: a bundle of each recipe, at each rate. Nothing that was trained is trained again."""
    for recipe in recipes:
        for wanted in rates:
            name = f"{recipe}-{'default' if wanted is None else f'{wanted:g}'}".replace(".", "_")
            asked = {} if wanted is None else {"thresholds": {"false_alarms_per_day": wanted}}
            file, bundle = place / f"{name}.yaml", place / name / cell.machine
            try:
                if not bundle.exists():
                    file.write_text(yaml.safe_dump({"name": name, "extends": recipe, **asked}))
                    asd("asd-trainer", "train", str(data), "--machine", cell.machine, "--recipe", str(file),
                        "--out", str(place / "runs"))  # fmt: skip
                    asd("asd-trainer", "export", str(place / "runs"), "--machine", cell.machine, "--recipe", name,
                        "--out", str(place / name))  # fmt: skip
                row = judged(bundle, cell, cell.normal, place, "--domain", cell.domain)
            except RuntimeError as error:
                yield Row(cell.name, recipe, wanted, note=str(error))
                continue
            yield replace(row, what=recipe, wanted=wanted, **limits(bundle, cell.section, cell.domain))


def calibrated(
    bundle: Path, cell: Cell, clips: Sequence[Path], place: Path, rate: Sequence[str]
) -> tuple[Path, float | None, float | None]:
    """Calibrate a monitor of an agent.yaml to clips, and return its state folder and the stated limits."""
    place.mkdir(parents=True)
    sound, state = joined(clips, place / "site.wav"), place / "state"
    monitor = {"source": "sound", "bundle": str(bundle), "section": cell.section, "domain": "site"}
    config = {
        "agent": {"name": "box"},
        "sources": {"sound": {"kind": "file", "path": str(sound)}},
        "monitors": {"m": monitor},
        "paths": {"state": str(state)},
        "mqtt": {"host": "127.0.0.1"},
    }
    (place / "agent.yaml").write_text(yaml.safe_dump(config))
    printed = agent("calibrate", "m", "-c", str(place / "agent.yaml"), "--clips", str(sound), *rate, "--json")
    found = json.loads(printed)
    return state, found["upper_per_day"], found["upper_alone_per_day"]


def limits(bundle: Path, section: str, domain: str) -> dict[str, float | None]:
    """Return the limits that the level of a bundle states."""
    threshold = Bundle.open(bundle).condition(section, domain).threshold
    return {"stated": threshold.upper_per_day, "alone": threshold.upper_alone_per_day}


def show(row: Row) -> None:
    """Print one row of a Markdown table."""
    wanted = "default" if row.wanted is None else f"{row.wanted:g}"
    if row.note and not row.normal_hours:
        sys.stdout.write(f"| {row.cell} | {row.what} | {wanted} | – | – | – | – | {row.note} |\n")
    else:
        delay = f"{row.delay:.0f} s" if row.delay is not None else "not found"
        if row.note:
            delay += f"; {row.note}"
        alarms = f"{row.alarms} in {row.normal_hours * 60:.0f} min"
        shares = f"{row.over_normal:.0f} | {row.over_faulty:.0f}"
        sys.stdout.write(f"| {row.cell} | {row.what} | {wanted} | {alarms} | {row.limit} | {shares} | {delay} |\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder for each machine, as in DCASE 2021 to 2023")
    parser.add_argument("--machine", action="append", default=[], help="only this machine; may be given again")
    parser.add_argument(
        "--recipe", action="append", default=[], help="also a bundle of this recipe; may be given again"
    )
    parser.add_argument("--rates", default="default,0.1,1,10,50", help="wanted false alarms a day")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    given = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    rates = [None if rate == "default" else float(rate) for rate in given.rates.split(",")]
    sys.stdout.write(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}; no seeds\n\n")
    sys.stdout.write(
        "| cell | bundle | wanted a day | alarms on normal sound | at most a day "
        "| normal over % | faulty over % | delay |\n"
    )
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    rows = []
    kept = tempfile.TemporaryDirectory()  # what recipes have trained, for all cells of a machine
    for cell in cells(given.data, given.machine):
        sys.stderr.write(f"{cell.name}: {len(cell.train)} training clips, {len(cell.normal)} + {len(cell.faulty)}\n")
        with tempfile.TemporaryDirectory() as place:
            learnt = measured(cell, rates, Path(place))
            for row in chain(learnt, trained(cell, given.data, given.recipe, rates, Path(kept.name))):
                rows.append(row)
                show(row)
    kept.cleanup()
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
