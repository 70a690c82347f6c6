"""Names for microphones that survive a reboot, read from /proc/asound and /sys.

`usb-path:<controller>/<ports>` names the socket, `usb-id:<vendor>:<product>:<serial>` the device,
`hw:CARD=<id>` the ALSA card; anything else is a PortAudio name or an unambiguous part of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import AudioError

_USB_DEVICE = re.compile(r"\d+-(\d+(?:\.\d+)*)\Z")
_HW = re.compile(r"\(hw:(\d+),(\d+)\)")
_CARD = re.compile(r"hw:CARD=([^,]+)(?:,DEV=(\d+))?\Z")
_LIST = "`asd-agent devices` lists what is there."


@dataclass(frozen=True)
class SoundCard:
    """Sound card as the kernel lists it.

    Attributes:
        index: Its number since boot; it may get another one at the next.
        id: ALSA's short name for it.
        usb_path: `<controller>/<ports>` of the USB socket that it is plugged into.
        usb_id: `<vendor>:<product>:<serial>`; the serial is empty where the device has none.
    """

    index: int
    id: str
    usb_path: str | None = None
    usb_id: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All stable names, the most specific first: a serial number, then the socket, then the card."""
        names = [f"usb-path:{self.usb_path}"] if self.usb_path else []
        if self.usb_id:
            place = 1 if self.usb_id.endswith(":") else 0
            names.insert(place, f"usb-id:{self.usb_id}")
        return (*names, f"hw:CARD={self.id}")


def read_cards(root: Path = Path("/")) -> list[SoundCard]:
    """Return the sound cards of this machine; empty where there is no ALSA.

    Args:
        root: Folder that holds `proc` and `sys`.
    """
    cards = []
    for folder in sorted((root / "proc/asound").glob("card[0-9]*")):
        index = int(folder.name[4:])
        name = _text(folder / "id")
        if name:
            usb = _usb_device(root / f"sys/class/sound/card{index}/device")
            cards.append(SoundCard(index, name, *_usb_names(usb)))
    return sorted(cards, key=lambda card: card.index)


def card_of(portaudio_name: str, cards: Sequence[SoundCard]) -> SoundCard | None:
    """Return the card of a PortAudio device, found by the `(hw:1,0)` in its name."""
    match = _HW.search(portaudio_name)
    return next((card for card in cards if match and card.index == int(match[1])), None)


def find_input(device: str, names: Sequence[str], cards: Sequence[SoundCard]) -> int:
    """Find the PortAudio device that a name means.

    Args:
        device: A stable name, or a PortAudio name or an unambiguous part of one.
        names: PortAudio's names by index; empty for devices that cannot record.
        cards: The sound cards.

    Returns:
        An index into `names`.

    Raises:
        AudioError: The name means no device, or more than one.
    """
    if device.startswith(("usb-path:", "usb-id:", "hw:")):
        found = _by_card(device, names, cards)
    else:
        found = [i for i, name in enumerate(names) if name == device]
        if not found:
            found = [i for i, name in enumerate(names) if device.lower() in name.lower()]
    if not found:
        raise AudioError(f"no microphone {device!r}", _LIST)
    if len(found) > 1:
        several = ", ".join(repr(names[i]) for i in found)
        raise AudioError(f"{device!r} means more than one microphone: {several}", f"Give a stable name; {_LIST}")
    return found[0]


def _by_card(device: str, names: Sequence[str], cards: Sequence[SoundCard]) -> list[int]:
    wanted_dev: int | None = None
    if device.startswith("hw:"):
        match = _CARD.match(device)
        if match is None:
            raise AudioError(f"{device!r} is no stable name", f"Write hw:CARD=<id>; {_LIST}")
        meant = [card for card in cards if card.id == match[1]]
        wanted_dev = int(match[2]) if match[2] else None
    else:
        meant = [card for card in cards if device in card.names or f"{device}:" in card.names]
    if len(meant) > 1:
        several = ", ".join(card.names[0] for card in meant)
        raise AudioError(f"{device!r} means more than one card: {several}", f"Give the socket instead; {_LIST}")
    found = []
    for place, name in enumerate(names):
        match = _HW.search(name)
        if match and meant and int(match[1]) == meant[0].index and wanted_dev in {None, int(match[2])}:
            found.append(place)
    # A card with several recording devices means its first one unless the name has a DEV.
    return found[:1]


def _usb_device(link: Path) -> Path | None:
    if not link.exists():
        return None
    place = link.resolve()
    return next((p for p in (place, *place.parents) if _USB_DEVICE.match(p.name)), None)


def _usb_names(device: Path | None) -> tuple[str | None, str | None]:
    match = _USB_DEVICE.match(device.name) if device else None
    if device is None or match is None:
        return None, None
    hub = next((p for p in device.parents if re.fullmatch(r"usb\d+", p.name)), None)
    path = f"{hub.parent.name}/{match[1]}" if hub else None
    vendor, product = _text(device / "idVendor"), _text(device / "idProduct")
    return path, f"{vendor}:{product}:{_text(device / 'serial')}" if vendor and product else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
