"""agent.yaml: every mistake at once, with its line and a remedy."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.model import MqttSettings, TopicGate

GOOD = """\
agent: {name: hall-3-box-1}
mqtt: {host: broker.lan}
sources:
  mic: {kind: microphone, device: "USB Audio"}
monitors:
  press:
    source: mic
    bundle: fan
    section: "01"
    alarm: {raise_after: 2 of 5}
paths: {state: state, bundles: bundles}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def findings(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigFileError) as caught:
        load_config(write(folder, text))
    assert caught.value.exit_code == 78
    return [(f.line, f.key, f"{f.text} {f.remedy}") for f in caught.value.mistakes]


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path):
    config = load_config(write(tmp_path, GOOD))
    monitor = config.monitors["press"]
    assert (monitor.alarm.raise_after.k, monitor.alarm.raise_after.n, monitor.hop_seconds) == (2, 5, 5.0)
    assert config.mqtt.port == 1883


@pytest.mark.parametrize("section", ["00", "0", "7", "one", '"1"'])
def test_a_section_that_is_no_text_of_two_digits_is_answered_with_what_to_write(tmp_path: Path, section: str):
    ((line, key, text),) = findings(tmp_path, GOOD.replace('section: "01"', f"section: {section}"))
    assert (line, key) == (9, "monitors.press.section")
    assert 'is no section: write two digits in quotes, such as "00"' in text


def test_relative_paths_start_at_the_files_own_folder(tmp_path: Path):
    config = load_config(write(tmp_path, GOOD))
    assert config.paths.state == tmp_path / "state"
    assert config.bundle_path("fan") == tmp_path / "bundles" / "fan"


def test_every_mistake_is_said_with_line_key_and_remedy(tmp_path: Path):
    text = GOOD.replace("host:", "hots:").replace('section: "01"', "section: one").replace("2 of 5", "6 of 5")
    found = findings(tmp_path, text)
    assert [(line, key) for line, key, _ in found] == [
        (2, "mqtt.hots"),
        (9, "monitors.press.section"),
        (10, "monitors.press.alarm.raise_after"),
    ]
    assert "Did you mean 'host'?" in found[0][2]
    assert "6 of 5 can never happen" in found[2][2]


def test_a_key_that_stands_twice_is_refused(tmp_path: Path):
    assert findings(tmp_path, GOOD + "agent: {name: other}\n")[0][:2] == (12, "agent")


def test_a_monitor_of_an_unknown_source_names_the_known_ones(tmp_path: Path):
    (found,) = findings(tmp_path, GOOD.replace("source: mic\n", "source: mike\n"))
    assert "no source 'mike' There is: mic" in found[2]


def test_a_bare_device_index_is_refused(tmp_path: Path):
    (found,) = findings(tmp_path, GOOD.replace("USB Audio", "1"))
    assert found[:2] == (4, "sources.mic.device")
    assert "asd-agent devices" in found[2]


@pytest.mark.parametrize(
    ("text", "words"), [("a: [1", "not valid YAML"), ("", "holds no keys"), ("- 1", "holds no keys")]
)
def test_what_is_no_mapping_is_refused_in_words(tmp_path: Path, text: str, words: str):
    assert words in findings(tmp_path, text)[0][2]


def test_a_missing_file_is_one_line(tmp_path: Path):
    with pytest.raises(ConfigFileError, match="cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_names_that_would_break_a_topic_are_refused(tmp_path: Path):
    (found,) = findings(tmp_path, GOOD.replace("hall-3-box-1", "hall/3"))
    assert found[:2] == (1, "agent.name")


def test_a_wrong_key_hides_no_monitor_of_an_unknown_source(tmp_path: Path):
    text = GOOD.replace("host:", "hots:").replace("source: mic\n", "source: mike\n").replace("2 of 5", "6 of 5")
    found = findings(tmp_path, text)
    assert [key for _, key, _ in found] == ["mqtt.hots", "monitors.press.source", "monitors.press.alarm.raise_after"]


def test_every_channel_that_is_not_sent_is_said(tmp_path: Path):
    text = GOOD + "  # more\n"
    text = text.replace("    source: mic\n", "    source: mic\n    channel: 2\n")
    ((line, key, said),) = findings(tmp_path, text)
    assert (line, key) == (8, "monitors.press.channel")
    assert "It sends [0]" in said


@pytest.mark.parametrize("host", ["mqtt://broker", "broker:1883", "wss://x", "[::1]", "", "two words"])
def test_a_host_is_a_name_or_an_address_alone(host):
    with pytest.raises(ValidationError):
        MqttSettings(host=host)


@pytest.mark.parametrize("host", ["broker.factory.lan", "127.0.0.1", "::1", "fe80::1%eth0", "broker_2"])
def test_names_and_addresses_are_hosts(host):
    assert MqttSettings(host=host).host == host


@pytest.mark.parametrize("topic", ["", "plant/#/run", "press/state#", "a/+b", "bad\x00", "line\nbreak"])
def test_a_gate_s_topic_is_a_topic_filter(topic):
    with pytest.raises(ValidationError):
        TopicGate(topic=topic, equals="on")


@pytest.mark.parametrize("topic", ["press/state", "plant/+/run", "plant/#", "#", "+"])
def test_topic_filters_are_taken(topic):
    assert TopicGate(topic=topic, equals="on").topic == topic
