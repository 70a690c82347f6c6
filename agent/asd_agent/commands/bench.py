"""asd-agent bench: speed of a bundle on this box."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from asd_agent.bench import Capacity, Effort, StageTimes, capacity, window_stages
from asd_agent.bundle import Bundle
from asd_agent.commands.console import print_json
from asd_agent.demo.assets import demo_bundle
from asd_agent.inference.isolated_check import check_foreign
from asd_agent.inference.provider_check import check_providers
from asd_agent.inference.scorer import BundleScorer

DEMO = "demo"
_SHOWN = ("numpy", "scipy", "onnxruntime")


def bench(
    bundle: Annotated[str, typer.Option("--bundle", "-b", help="Folder of the bundle, or `demo`.")] = DEMO,
    hop: Annotated[float, typer.Option(help="Seconds from one window of a monitor to its next.", min=0.01)] = 5.0,
    provider: Annotated[
        list[str] | None, typer.Option(help="Execution provider; may be given again, in order of preference.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds for which each stage is repeated.", min=0.0)] = 2.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Measure every stage of a window and show how many monitors this box carries.

    The windows are the bundle's own golden ones. A busy box gives other figures than an idle one.

    Example: asd-agent bench --bundle exported_models/fan --hop 5
    """
    from rich.console import Console

    place = demo_bundle() if bundle == DEMO else Path(bundle)
    effort = Effort(seconds)
    with Console(stderr=True).status("loading") as status:
        wanted, providers = Bundle.open(place), provider or ("CPUExecutionProvider",)
        check_foreign(wanted, providers)
        begun = time.perf_counter()
        check = check_providers(wanted, providers)
        scorer = check.scorer
        loaded = time.perf_counter() - begun
        condition = scorer.bundle.manifest.conditions[0]
        golden = scorer.bundle.golden()
        windows = [w.astype(np.float32) / 32768.0 for w in golden["windows"]]
        stages = window_stages(scorer, condition, windows[0], effort, status.update)
        status.update("as fast as possible")
        carried = capacity(scorer, condition, windows, hop, effort)
    if json:
        print_json(_document(scorer, check.provider, loaded, stages, carried))
    else:
        _print_table(scorer, check.provider, loaded, stages, carried)


def _document(
    scorer: BundleScorer, provider: str, loaded: float, stages: list[StageTimes], carried: Capacity
) -> dict[str, Any]:
    return {
        "schema": 1,
        "bundle": scorer.bundle.digest,
        "name": scorer.bundle.manifest.name,
        "provider": provider,
        "box": {"processor": processor(), "cores": os.cpu_count(), "versions": {n: version(n) for n in _SHOWN}},
        "load_seconds": loaded,
        "stages": [
            {
                "stage": s.name,
                "part": s.part,
                "p50_ms": s.times.p50,
                "p99_ms": s.times.p99,
                "cpu_p50_ms": s.times.cpu,
                "repeats": len(s.times.milliseconds),
            }
            for s in stages
        ],
        "windows_per_second": carried.windows_per_second,
        "hop_seconds": carried.hop_seconds,
        "monitors": carried.monitors,
        "cpu_ms_per_window": carried.cpu_milliseconds,
        "core_share_per_monitor": carried.core_share,
        "resident_bytes": carried.resident_bytes,
    }


def _print_table(
    scorer: BundleScorer, provider: str, loaded: float, stages: list[StageTimes], carried: Capacity
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "of", "p50 ms", "p99 ms", "processor ms")
    for column in table.columns[2:]:
        column.justify = "right"
    for s in stages:
        table.add_row(s.name, s.part, f"{s.times.p50:.2f}", f"{s.times.p99:.2f}", f"{s.times.cpu:.2f}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    versions = ", ".join(f"{n} {version(n)}" for n in _SHOWN)
    console.print(f"{scorer.bundle.manifest.name} with {provider} on {processor()}, {os.cpu_count()} cores, {versions}")
    console.print(table)
    console.print(
        f"loaded and re-scored in {loaded:.2f} s; {carried.windows_per_second:.1f} windows a second; "
        f"{carried.cpu_milliseconds:.2f} ms of processor time a window\n"
        f"at a hop of {carried.hop_seconds:g} s: {carried.monitors} monitors, each {100 * carried.core_share:.2f} % of "
        f"a core; {carried.resident_bytes / 2**20:.0f} MiB resident"
    )


def processor(root: Path = Path("/")) -> str:
    """Return the processor's name, or its architecture where it has none."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.machine())
