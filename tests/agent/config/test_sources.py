"""Kinds of sources: what a configuration may name, and what the agent asks of each kind."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from pydantic import ValidationError

from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.sources import SOURCE_KINDS, FileSettings, MicrophoneSettings


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


def test_every_kind_has_a_capture_module_that_the_child_can_call():
    assert set(SOURCE_KINDS) == {"microphone", "file", "stream"}
    for name, kind in SOURCE_KINDS.items():
        assert callable(import_module(kind.capture_module).capture), name


def test_a_recording_waits_for_its_readers_and_a_microphone_does_not():
    recording = FileSettings(kind="file", path="x.wav", speed=4.0)
    assert (recording.is_live, recording.ends, recording.playback_speed) == (False, True, 4.0)
    assert (recording.files, recording.hardware, recording.sample_rate) == ((Path("x.wav"),), None, None)
    assert not recording.model_copy(update={"loop": True}).ends
    microphone = MicrophoneSettings(kind="microphone", device="testmic", rate=48_000)
    assert (microphone.is_live, microphone.ends, microphone.playback_speed) == (True, False, 1.0)
    assert (microphone.files, microphone.hardware, microphone.sample_rate) == ((), "testmic", 48_000)


def test_a_kind_that_does_not_exist_is_refused_by_name_with_its_line(tmp_path: Path):
    path = tmp_path / "agent.yaml"
    path.write_text(
        "agent: {name: box}\nsources:\n  mic:\n    channels: [0]\n    kind: strem\n"
        "monitors:\n  m: {source: mic, bundle: fan}\n"
    )
    with pytest.raises(ConfigFileError) as caught:
        load_config(path)
    (found,) = caught.value.mistakes
    assert (found.line, found.key) == (5, "sources.mic.kind")
    assert "no source kind 'strem'" in found.text
    assert found.remedy == "Kinds are: file, microphone, stream."
