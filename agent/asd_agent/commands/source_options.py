"""Source of sound that the options of `record` and `learn` name, and the gate of its monitors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from asd_agent.commands.console import warn
from asd_agent.config.file import load_config
from asd_agent.config.model import LevelGate, MonitorSettings, TopicGate
from asd_agent.config.sources import FileSettings, MicrophoneSettings, SourceKind
from asd_agent.errors import UsageError


def chosen_source(
    config: Path | None, source: str | None, device: str | None, file: Path | None, channel: int
) -> tuple[Path | None, str, SourceKind]:
    """Return the service's state folder, the name and the settings of the source that options name.

    Raises:
        UsageError: No source is given, more than one, or one that the configuration lacks.
    """
    if sum(x is not None for x in (config, device, file)) != 1:
        raise UsageError("no source is given, or more than one", "Give one of --config, --device and --file.")
    if device is not None:
        return None, device, microphone(device, channel)
    if file is not None:
        return None, str(file), FileSettings(kind="file", path=file, channels=(channel,), speed=1000.0)
    assert config is not None
    settings = load_config(config)
    if source is None and len(settings.sources) == 1:
        source = next(iter(settings.sources))
    if source not in settings.sources:
        raise UsageError(f"{config} has no source {source!r}", f"It has: {', '.join(sorted(settings.sources))}.")
    return settings.paths.state, source, settings.sources[source]


def microphone(device: str, channel: int) -> MicrophoneSettings:
    """Return the settings of a microphone that an option names.

    Raises:
        UsageError: It is no name, or an index that changes at a reboot; or the channel is out of range.
    """
    try:
        return MicrophoneSettings(kind="microphone", device=device, channels=(channel,))
    except ValidationError as error:
        text = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--device {device[:60]!r}, --channel {channel}: {text}") from error


def gate_of(config: Path | None, source: str, channel: int) -> float | None:
    """Return the level above which the machine of a channel runs; the highest where monitors differ."""
    if config is None:
        return None
    monitors = load_config(config).monitors.values()
    return gate_level([m for m in monitors if (m.source, m.channel) == (source, channel)])


def gate_level(monitors: Iterable[MonitorSettings]) -> float | None:
    """Return the level above which the machine of some monitors runs; None where no gate is set."""
    found = [m.active_when for m in monitors]
    if any(isinstance(gate, TopicGate) for gate in found):
        warn("`active_when` names a topic, which is not read here: let the machine run all the time")
    return max((gate.level_above_dbfs for gate in found if isinstance(gate, LevelGate)), default=None)
