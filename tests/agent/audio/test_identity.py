"""Stable names, read from kernel files as a Jetson and a PC show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_agent.audio.identity import SoundCard, card_of, find_input, read_cards
from asd_agent.errors import AudioError


def machine(root: Path, cards: dict[int, dict[str, str]]) -> Path:
    """Fake /proc/asound and /sys/class/sound; a card's `place` is its device folder below /sys/devices."""
    for index, card in cards.items():
        (root / f"proc/asound/card{index}").mkdir(parents=True)
        (root / f"proc/asound/card{index}/id").write_text(card["id"] + "\n")
        device = root / "sys/devices" / card["place"]
        device.mkdir(parents=True, exist_ok=True)
        for name in ("idVendor", "idProduct", "serial"):
            if name in card:
                (device.parent / name).write_text(card[name] + "\n")
        link = root / f"sys/class/sound/card{index}/device"
        link.parent.mkdir(parents=True)
        link.symlink_to(device)
    return root


JETSON = {
    0: {"id": "HDA", "place": "platform/3510000.hda"},
    1: {
        "id": "Device",
        "place": "platform/bus@0/3610000.usb/usb1/1-4/1-4.2/1-4.2:1.0",
        "idVendor": "0d8c",
        "idProduct": "0014",
    },
    2: {
        "id": "UMIK",
        "place": "platform/bus@0/3610000.usb/usb1/1-4/1-4.1/1-4.1:1.0",
        "idVendor": "2752",
        "idProduct": "0007",
        "serial": "00001",
    },
}
NAMES = ["HDA: - (hw:0,3)", "USB PnP Sound Device: Audio (hw:1,0)", "", "UMIK: USB Audio (hw:2,0)", "default"]


def test_cards_are_named_by_socket_and_device(tmp_path: Path):
    cards = read_cards(machine(tmp_path, JETSON))
    assert cards == [
        SoundCard(0, "HDA"),
        SoundCard(1, "Device", "3610000.usb/4.2", "0d8c:0014:"),
        SoundCard(2, "UMIK", "3610000.usb/4.1", "2752:0007:00001"),
    ]
    assert cards[0].names == ("hw:CARD=HDA",)
    assert cards[1].names == ("usb-path:3610000.usb/4.2", "usb-id:0d8c:0014:", "hw:CARD=Device")
    assert cards[2].names[0] == "usb-id:2752:0007:00001"


def test_names_outlive_a_reboot_that_counts_the_cards_otherwise(tmp_path: Path):
    before = read_cards(machine(tmp_path / "before", JETSON))
    after = read_cards(machine(tmp_path / "after", {0: JETSON[2], 1: JETSON[0], 2: JETSON[1]}))
    assert {card.names for card in before} == {card.names for card in after}
    names = ["UMIK: USB Audio (hw:0,0)", "HDA: - (hw:1,3)", "USB PnP Sound Device: Audio (hw:2,0)"]
    for name in before[1].names:
        assert find_input(name, NAMES, before) == 1
        assert find_input(name, names, after) == 2


def test_a_machine_without_alsa_has_no_cards(tmp_path: Path):
    assert read_cards(tmp_path) == []


def test_ten_cards_are_not_taken_for_one(tmp_path: Path):
    cards = {i: {"id": f"C{i}", "place": f"platform/{i}"} for i in (1, 10)}
    found = read_cards(machine(tmp_path, cards))
    assert find_input("hw:CARD=C1", ["x (hw:10,0)", "y (hw:1,0)"], found) == 1


@pytest.mark.parametrize(
    ("device", "place"),
    [
        ("usb-path:3610000.usb/4.2", 1),
        ("usb-id:0d8c:0014", 1),
        ("usb-id:0d8c:0014:", 1),
        ("usb-id:2752:0007:00001", 3),
        ("hw:CARD=UMIK", 3),
        ("hw:CARD=UMIK,DEV=0", 3),
        ("UMIK: USB Audio (hw:2,0)", 3),
        ("pnp sound", 1),
        ("default", 4),
    ],
)
def test_every_kind_of_name_finds_its_device(tmp_path: Path, device: str, place: int):
    assert find_input(device, NAMES, read_cards(machine(tmp_path, JETSON))) == place


@pytest.mark.parametrize("device", ["usb-id:2752:0007:00002", "usb-path:3610000.usb/4", "hw:CARD=UMIK,DEV=1", "tascam"])
def test_a_device_that_is_not_there_is_named(tmp_path: Path, device: str):
    with pytest.raises(AudioError, match="no microphone") as caught:
        find_input(device, NAMES, read_cards(machine(tmp_path, JETSON)))
    assert repr(device) in str(caught.value)


def test_a_part_of_two_names_is_refused_with_both(tmp_path: Path):
    with pytest.raises(AudioError, match=r"more than one.*PnP.*UMIK"):
        find_input("USB", NAMES, read_cards(machine(tmp_path, JETSON)))


def test_an_exact_name_wins_over_names_that_contain_it():
    assert find_input("mic", ["mic boost", "mic", "my mic"], []) == 1


def test_two_devices_of_one_make_are_told_apart_by_their_socket(tmp_path: Path):
    twin = {**JETSON[1], "place": "platform/bus@0/3610000.usb/usb1/1-4/1-4.3/1-4.3:1.0", "id": "Device_1"}
    cards = read_cards(machine(tmp_path, {1: JETSON[1], 2: twin}))
    names = ["", "USB PnP: Audio (hw:1,0)", "USB PnP: Audio (hw:2,0)"]
    with pytest.raises(AudioError, match=r"more than one card.*4\.2.*4\.3"):
        find_input("usb-id:0d8c:0014", names, cards)
    assert find_input("usb-path:3610000.usb/4.3", names, cards) == 2


def test_a_card_number_is_no_name():
    with pytest.raises(AudioError, match="no stable name"):
        find_input("hw:1,0", NAMES, [])


def test_a_device_knows_its_card(tmp_path: Path):
    cards = read_cards(machine(tmp_path, JETSON))
    assert card_of(NAMES[3], cards) == cards[2]
    assert card_of("default", cards) is None
