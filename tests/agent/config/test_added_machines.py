"""Machines that the page added, beside those of agent.yaml."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from asd_agent.config.added import FILE_NAME, AddedMachines, staged
from asd_agent.config.file import ConfigFileError, load_added, load_config

OWN = """\
agent: {name: box}  # a comment
sources: {mic: {kind: microphone, device: "hw:CARD=A"}}
monitors: {press: {source: mic, bundle: press}}
paths: {state: state, bundles: bundles}
"""
EMPTY = """\
agent: {name: box}
paths: {state: state, bundles: bundles}
"""
FAN = {
    "sources": {"fan-mic": {"kind": "microphone", "device": "hw:CARD=B"}},
    "monitors": {"fan": {"source": "fan-mic", "bundle": "fan"}},
}


def box(folder: Path, own: str, added: str | None) -> Path:
    """An agent.yaml, and the file of the page where there is one."""
    config = folder / "agent.yaml"
    config.write_text(own)
    (folder / "state").mkdir()
    if added is not None:
        (folder / "state" / FILE_NAME).write_text(added)
    return config


def test_added_machines_are_read_beside_those_of_the_configuration(tmp_path: Path):
    config = load_config(box(tmp_path, OWN, yaml.safe_dump(FAN)))
    assert {name: m.source for name, m in config.monitors.items()} == {"press": "mic", "fan": "fan-mic"}
    assert config.sources["fan-mic"].hardware == "hw:CARD=B"


def test_a_machine_of_both_files_is_that_of_the_configuration(tmp_path: Path):
    clash = {"monitors": {"press": {"source": "mic", "bundle": "another"}}}
    assert load_config(box(tmp_path, OWN, yaml.safe_dump(clash))).monitors["press"].bundle == "press"


def test_a_box_without_machines_needs_the_page(tmp_path: Path):
    config = box(tmp_path, EMPTY, None)
    with pytest.raises(ConfigFileError, match=r"there is no monitor\. Add one below `monitors`, or a section `web`"):
        load_config(config)
    config.write_text(EMPTY + "web: {}\n")
    assert load_config(config).monitors == {}
    (tmp_path / "state" / FILE_NAME).write_text(yaml.safe_dump(FAN))
    assert set(load_config(config).monitors) == {"fan"}


@pytest.mark.parametrize(
    ("added", "mistake"),
    [
        ("web: {port: 80}\n", rf"{FILE_NAME}:1: web: unknown key"),
        ("monitors:\n  fan: {source: nothing, bundle: fan}\n", rf"{FILE_NAME}:2: .*there is no source 'nothing'"),
        ("sources:\n  s: {kind: file, path: /etc/passwd}\n", rf"{FILE_NAME}:2: "),
        ("monitors: [\n", rf"{FILE_NAME}:\d: not valid YAML"),
        ("monitors: 5\n", rf"{FILE_NAME}:1: monitors"),
    ],
)
def test_a_mistake_is_reported_with_the_file_that_has_it(tmp_path: Path, added: str, mistake: str):
    with pytest.raises(ConfigFileError, match=mistake):
        load_config(box(tmp_path, OWN, added))


def test_what_is_written_is_read_again_and_a_failure_leaves_the_former_file(tmp_path: Path):
    path, machines = tmp_path / FILE_NAME, AddedMachines.model_validate(FAN)
    assert load_added(path) == AddedMachines()
    with staged(path, machines):
        assert not path.exists()
    assert load_added(path) == machines
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert yaml.safe_load(path.read_text()) == FAN
    with pytest.raises(RuntimeError), staged(path, AddedMachines()):
        raise RuntimeError
    assert load_added(path) == machines
