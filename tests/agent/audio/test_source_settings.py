"""Which sources a configuration may name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from asd_agent.config.model import FileSettings, MicrophoneSettings


@pytest.mark.parametrize("device", ["2", " 2 ", "hw:1,0", "plughw:1", "USB PnP Sound Device: Audio (hw:1,0)"])
def test_a_number_that_changes_at_the_next_reboot_is_no_device(device: str):
    with pytest.raises(ValidationError, match="asd-agent devices"):
        MicrophoneSettings(kind="microphone", device=device)


@pytest.mark.parametrize("device", ["usb-path:3610000.usb/4.2", "usb-id:0d8c:0014:", "hw:CARD=Device", "testmic"])
def test_stable_names_and_names_of_the_alsa_configuration_are_devices(device: str):
    assert MicrophoneSettings(kind="microphone", device=device).device == device


@pytest.mark.parametrize("channels", [(), (-1,), (0, 0)])
def test_channels_are_different_and_counted_from_zero(channels: tuple[int, ...]):
    with pytest.raises(ValidationError, match="channels"):
        MicrophoneSettings(kind="microphone", device="testmic", channels=channels)
    with pytest.raises(ValidationError, match="channels"):
        FileSettings(kind="file", path="x.wav", channels=channels)
