"""Cost of several bundles to the agent: milliseconds a window, megabytes on disk and in memory.

    python benchmarks/cost.py RUNS --machine fan --recipes level,mahalanobis,ae-ens,mix --rounds 3

`asd-agent bench` is run on every bundle in turn, one round after the other, so that a busy moment hits all alike. Shown
are the processor time of a whole window (the median round, the least and most), how many times as much
as the first recipe's it is (paired round by round), and the resident memory of the command, which holds one bundle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One recipe's bundle.

    Attributes:
        recipe: Its name.
        networks: In the bundle.
        disk_mb: All of its files.
        window_ms: Processor time of a whole window, one value a round.
        resident_mib: Of the command, one value a round.
    """

    recipe: str
    networks: int
    disk_mb: float
    window_ms: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)


def main() -> None:
    """Bench every bundle and print a table in Markdown, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="RUNS of a training, or RUNS/<data> where there are several data sets")
    parser.add_argument("--machine", required=True)
    parser.add_argument("--recipes", required=True, help="with commas between; NAME=FOLDER for a bundle elsewhere")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each stage is repeated")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    bundles: dict[str, Path] = {}
    for recipe in asked.recipes.split(","):
        name, _, folder = recipe.partition("=")
        run = asked.runs / name / f"seed-{asked.seed}" / asked.machine / "bundle"
        bundles[name] = Path(folder) if folder else run
    for path in bundles.values():
        if not path.is_dir():
            parser.error(f"{path} is no bundle")
    rows = {r: Row(r, len(list(p.rglob("*.onnx"))), _megabytes(p)) for r, p in bundles.items()}
    for number in range(asked.rounds):
        for recipe, path in bundles.items():
            sys.stderr.write(f"round {number + 1} of {asked.rounds}: {recipe}\n")
            found = _bench(path, asked.seconds)
            (whole,) = (s for s in found["stages"] if s["stage"] == "whole window")
            rows[recipe].window_ms.append(whole["cpu_p50_ms"])
            rows[recipe].resident_mib.append(found["resident_bytes"] / 2**20)
    if asked.json:
        print(json.dumps([vars(r) for r in rows.values()], indent=1))
    else:
        _print(list(rows.values()))


def _bench(bundle: Path, seconds: float) -> dict:
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "bench", "--bundle", str(bundle)]
    done = subprocess.run([*command, "--seconds", str(seconds), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _megabytes(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def _print(rows: list[Row]) -> None:
    print("| recipe | networks | a window | times the first | on disk | in memory |\n|---|---:|---:|---:|---:|---:|")
    for row in rows:
        times = [a / b for a, b in zip(row.window_ms, rows[0].window_ms, strict=True)]
        spread = f"{statistics.median(row.window_ms):.1f} ms ({min(row.window_ms):.1f}–{max(row.window_ms):.1f})"
        print(
            f"| `{row.recipe}` | {row.networks} | {spread} | {statistics.median(times):.1f} "
            f"| {row.disk_mb:.2f} MB | {statistics.median(row.resident_mib):.0f} MiB |"
        )


if __name__ == "__main__":
    main()
