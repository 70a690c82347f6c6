"""asd-agent devices: microphones of this box by names that survive a reboot, and their levels."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import asdict
from typing import Annotated

import typer

from asd_agent.audio.devices import InputDevice, list_inputs
from asd_agent.audio.quality import FLOOR_DBFS
from asd_agent.audio.source import CaptureSource
from asd_agent.commands.console import print_json
from asd_agent.config.sources import MicrophoneSettings
from asd_agent.errors import AudioError, UsageError

_TICK_SECONDS = 0.2
_METER_SECONDS = 10.0
"""Length of the level meter where nobody sits at a terminal to end it: enough to open every device."""
_BAR = 40
_BAR_FLOOR_DBFS = -80.0


def devices(
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    level: Annotated[bool, typer.Option("--level", help="Show how loud each microphone is, until Ctrl-C.")] = False,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be repeated.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="End the level meter by itself after this long; 10 s where there is no terminal."),
    ] = None,
) -> None:
    """List the microphones with the names to give them in agent.yaml.

    Exit code 1 when there is none, or PortAudio is missing.

    Example: asd-agent devices --level
    """
    if json and level:
        raise UsageError("--json and --level do not go together", "Ask for one of them.")
    found = list_inputs()
    if device:
        found = [entry for entry in found if any(name in device for name in (entry.name, *entry.aliases))]
    if not found:
        raise AudioError(
            f"no microphone {', '.join(map(repr, device))}" if device else "no microphone is there",
            "Plug one in; the user needs the group `audio` (`usermod -aG audio <user>`), then `arecord -l` sees it.",
        )
    if json:
        print_json({"devices": [{**asdict(entry), "stable": entry.stable} for entry in found]})
    elif level:
        endless = float("inf") if sys.stdout.isatty() else _METER_SECONDS
        _show_levels(found, endless if seconds is None else seconds)
    else:
        _show(found)


def _show(found: list[InputDevice]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("device", "channels", "takes", "opened with", "also called")
    for entry in found:
        rates = ", ".join(f"{rate / 1000:g}" for rate in entry.rates)
        table.add_row(
            entry.name,
            str(entry.channels) if entry.stable else f"up to {entry.channels}",
            f"{rates} kHz" if rates else "in use?",
            _opening(entry),
            ", ".join(entry.aliases),
        )
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    if not any(entry.stable for entry in found):
        console.print("None of them is tied to hardware; their names come from the ALSA configuration.")


def _opening(entry: InputDevice) -> str:
    if entry.opened_rate is None:
        return "–"
    resampler = "" if entry.resampler == "none" else f", {entry.resampler}"
    return f"{entry.opened_rate / 1000:g} kHz, {entry.opened_channels} channels{resampler}"


def _show_levels(found: list[InputDevice], seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live

    sources = [
        CaptureSource(entry.name, MicrophoneSettings(kind="microphone", device=entry.name), seconds=1.0)
        for entry in found
    ]
    until = time.monotonic() + seconds
    pause = threading.Event()
    for source in sources:
        source.start()
    try:
        with Live(console=Console(), refresh_per_second=1 / _TICK_SECONDS) as live:
            while (now := time.monotonic()) < until:
                for source in sources:
                    source.tick(now)
                live.update("\n".join(_meter(source) for source in sources))
                pause.wait(min(_TICK_SECONDS, max(0.0, until - now)))
    except KeyboardInterrupt:
        pass
    finally:
        for source in sources:
            source.stop()


def _meter(source: CaptureSource) -> str:
    status = source.status
    dbfs = source.counters.level_dbfs
    if status.state not in {"healthy", "silent"}:
        return f"{source.name}: {status.state} {status.reason}"
    share = (max(dbfs, _BAR_FLOOR_DBFS) - _BAR_FLOOR_DBFS) / -_BAR_FLOOR_DBFS
    bar = "█" * round(share * _BAR)
    shown = "silence" if dbfs <= FLOOR_DBFS else f"{dbfs:.1f} dBFS"
    return f"{bar:<{_BAR}} {shown:>11}  {source.name}"
