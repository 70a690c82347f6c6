from __future__ import annotations

import json
import zipfile

import pytest
import soundfile
from typer.testing import CliRunner

from asd_agent.bundle import Bundle
from asd_agent.commands.evidence import app
from asd_agent.evidence.job import build_files
from asd_agent.evidence.store import ACKNOWLEDGED, CLIP, PICTURE, RECORD
from asd_agent.inference.scorer import BundleScorer
from asd_agent.whole_files import put
from rigs.bundles import hum
from rigs.evidence import make_job

CONFIG = """
agent: {name: box}
sources: {mic: {kind: file, path: sound.wav}}
monitors: {m: {source: mic, bundle: hum}}
paths: {state: state}
"""
IDS = ("20270115T080010Z-aa", "20270115T090000Z-bb", "20270116T080010Z-cc")


@pytest.fixture
def config(tmp_path, bundle_path):
    scorer = BundleScorer(Bundle.open(bundle_path))
    for name in IDS:
        files, _proof = build_files(make_job(scorer, name, hum(0.5, 1)), 1.8e9, 7.0)
        put(tmp_path / "state" / "evidence" / "m" / name, files)
    (tmp_path / "state" / "evidence" / "m" / IDS[1] / ACKNOWLEDGED).touch()
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG)
    return path


def call(config, *arguments):
    return CliRunner().invoke(app, [*arguments, "-c", str(config)])


def test_list_shows_the_newest_first_with_what_is_known(config):
    rows = json.loads(call(config, "list", "--json").stdout)["evidence"]
    assert [r["id"] for r in rows] == list(reversed(IDS))
    assert [r["acknowledged"] for r in rows] == [False, True, False]
    assert (rows[0]["monitor"], rows[0]["severity"], rows[0]["alarm_id"]) == ("m", 350, f"alarm-{IDS[2]}")
    assert rows[0]["what_stood_out"] == "3.0 kHz, every 0.33 s"
    assert json.loads(call(config, "list", "--json", "--monitor", "x").stdout)["evidence"] == []
    assert call(config, "list").exit_code == 0


def test_export_copies_all_files_of_one(config, tmp_path):
    result = call(config, "export", IDS[0], "--to", str(tmp_path / "usb"))
    assert result.stdout.strip() == str(tmp_path / "usb" / IDS[0])
    assert sorted(p.name for p in (tmp_path / "usb" / IDS[0]).iterdir()) == sorted([CLIP, PICTURE, RECORD])
    assert soundfile.info(tmp_path / "usb" / IDS[0] / CLIP).frames == 8000


def test_export_into_a_zip_by_the_end_of_the_id(config, tmp_path):
    assert call(config, "export", "bb", "--to", str(tmp_path / "x.zip"), "--json").exit_code == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(f"{IDS[1]}/{n}" for n in (CLIP, ACKNOWLEDGED, PICTURE, RECORD))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [("2028", "there is no evidence"), ("20270115", "evidence of 2 alarms begins with"), ("", "evidence of 3 alarms")],
)
def test_what_is_not_one_is_refused_in_words(config, tmp_path, wanted, words):
    result = call(config, "export", wanted, "--to", str(tmp_path / "usb"))
    assert words in str(result.exception)
    assert not (tmp_path / "usb").exists()


def test_what_was_altered_is_not_exported(config, tmp_path):
    clip = tmp_path / "state" / "evidence" / "m" / IDS[0] / CLIP
    clip.write_bytes(clip.read_bytes()[:-1])
    result = call(config, "export", IDS[0], "--to", str(tmp_path / "usb"))
    assert "differs from what was stored" in str(result.exception)
    (clip.parent / RECORD).write_text("{")
    assert "cannot be read" in str(call(config, "export", IDS[0], "--to", str(tmp_path / "usb")).exception)
    assert "cannot be read" in call(config, "list", "--json").stdout


def test_what_is_there_already_is_not_written_over(config, tmp_path):
    assert call(config, "export", IDS[0], "--to", str(tmp_path)).exit_code == 0
    assert "is there already" in str(call(config, "export", IDS[0], "--to", str(tmp_path)).exception)


def test_before_the_first_alarm_there_is_nothing_to_list(tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(CONFIG)
    assert json.loads(call(config, "list", "--json").stdout)["evidence"] == []
