"""Capture devices as the kernel lists them: the process that holds each, and who may open it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_agent.audio.identity import read_cards
from asd_agent.doctor.user import BoxUser

_READ_WRITE = 6
"""ALSA opens a capture device for reading and writing."""


@dataclass(frozen=True)
class CaptureDevice:
    """Device that records, as ALSA lists it.

    Attributes:
        card: ALSA's short name of its card.
        names: Stable names of the card.
        node: Its file below /dev/snd.
        allowed: The service's user may open that file.
        held_by: Process that has it open, for people; None when no process has.
    """

    card: str
    names: tuple[str, ...]
    node: Path
    allowed: bool
    held_by: str | None


def capture_devices(user: BoxUser, root: Path = Path("/")) -> list[CaptureDevice]:
    """Return every device of every card that records.

    Args:
        user: The service's user.
        root: Folder that holds `proc`, `sys` and `dev`.
    """
    found = []
    for card in read_cards(root):
        for folder in sorted((root / f"proc/asound/card{card.index}").glob("pcm[0-9]*c")):
            device = folder.name.removeprefix("pcm").removesuffix("c")
            node = root / f"dev/snd/pcmC{card.index}D{device}c"
            try:
                allowed = user.may(node.stat(), _READ_WRITE)
            except OSError:
                allowed = False
            found.append(CaptureDevice(card.id, card.names, node, allowed, _holder(folder, root)))
    return found


def _holder(folder: Path, root: Path) -> str | None:
    for status in folder.glob("sub*/status"):
        lines = (line.partition(":") for line in _text(status).splitlines())
        owner = next((value.strip() for key, _, value in lines if key.strip() == "owner_pid"), "")
        if owner:
            name = _text(root / f"proc/{owner}/comm").strip()
            return f"{name} (process {owner})" if name else f"process {owner}"
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
