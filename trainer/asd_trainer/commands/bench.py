"""asd-trainer bench: speed of a bundle in the agent beside eager torch and librosa."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json


def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    threads: Annotated[int, typer.Option(help="Threads of both implementations.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="Duration of each comparison.", min=0.0)] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Time the front ends and networks of a bundle in the agent, beside eager torch and librosa.

    Both implementations run alternately, so that other load affects both. Ratios are of processor time, pair by pair.
    The networks in torch have random weights. `asd-agent bench` times the whole window.

    Example: asd-trainer bench exported_models/demo-fan
    """
    from rich.console import Console

    from asd_agent.bench import Effort
    from asd_agent.bundle import Bundle
    from asd_trainer.evaluation.speed_comparison import SpeedComparison, comparisons

    found: list[SpeedComparison] = []
    with Console(stderr=True).status("comparing") as status:
        for one in comparisons(Bundle.open(bundle), threads, Effort(seconds)):
            found.append(one)
            status.update(f"compared: {one.stage} {one.part} with {one.other}")
    rows = [_row(one) for one in found]
    if json:
        print_json({"schema": 1, "bundle": str(bundle), "threads": threads, "comparisons": rows})
    else:
        _print_table(rows)


def _row(one: Any) -> dict[str, Any]:
    low, middle, high = one.agent_times.ratio(one.other_times)
    return {
        "stage": one.stage,
        "part": one.part,
        "other": one.other,
        "agent_p50_ms": one.agent_times.p50,
        "other_p50_ms": one.other_times.p50,
        "agent_cpu_ms": one.agent_times.cpu,
        "other_cpu_ms": one.other_times.cpu,
        "ratio": middle,
        "ratio_p5": low,
        "ratio_p95": high,
        "repeats": len(one.agent_times.milliseconds),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "of", "agent, processor ms", "other ms", "other", "ratio (5 % to 95 %)")
    for column in (2, 3, 5):
        table.columns[column].justify = "right"
    for r in rows:
        ratio = f"{r['ratio']:.2f} ({r['ratio_p5']:.2f} to {r['ratio_p95']:.2f})"
        table.add_row(r["stage"], r["part"], f"{r['agent_cpu_ms']:.2f}", f"{r['other_cpu_ms']:.2f}", r["other"], ratio)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
