"""A bundle is read whole and unaltered, or refused with the file that is wrong."""

import json
import os
import shutil
from pathlib import Path

import pytest

from asd_agent.bundle import Bundle
from asd_agent.errors import BundleError


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "hum"))


def test_a_bundle_says_what_it_holds(bundle_path: Path):
    bundle = Bundle.open(bundle_path)
    found = {(c.section, c.domain): c for c in bundle.manifest.conditions}
    assert set(found) == {(s, d) for s in ("00", "01") for d in ("source", "target")}
    assert not found["00", "source"].provisional
    assert found["00", "target"].provisional
    assert bundle.domains("01", "auto") == ["source", "target"]


@pytest.mark.parametrize("name", ["scorers.npz", "golden.npz"])
def test_one_changed_byte_is_found(copy: Path, name: str):
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    with pytest.raises(BundleError, match=rf"{name}: differs from what was exported"):
        Bundle.open(copy)


def test_a_missing_file_is_named(copy: Path):
    (copy / "golden.npz").unlink()
    with pytest.raises(BundleError, match=r"golden\.npz: is missing"):
        Bundle.open(copy)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("extra.bin", r"'extra.bin' does not belong to a bundle"),
        ("members/extra.onnx", r"extra.onnx: is not listed in the manifest"),
        ("plugins/x", r"'plugins' does not belong to a bundle"),
    ],
)
def test_an_unlisted_file_is_refused(copy: Path, name: str, words: str):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"x")
    with pytest.raises(BundleError, match=words):
        Bundle.open(copy)


def test_a_link_is_refused(copy: Path):
    (copy / "golden.npz").rename(copy.parent / "elsewhere.npz")
    (copy / "golden.npz").symlink_to(copy.parent / "elsewhere.npz")
    with pytest.raises(BundleError, match="is a link"):
        Bundle.open(copy)


@pytest.mark.parametrize("name", ["manifest.json", "scorers.npz", "golden.npz"])
def test_a_pipe_is_refused_and_not_waited_for(copy: Path, name: str):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(BundleError, match=rf"{name}: is no regular file"):
        Bundle.open(copy)


def test_a_link_to_a_bundle_is_resolved_once(copy: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(copy)
    assert Bundle.open(tmp_path / "link").path == copy


def test_a_loop_of_links_is_no_bundle(tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle.open(tmp_path / "loop")


def edit_manifest(folder: Path, **changes) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**data, **changes}))


def test_a_manifest_that_points_outside_is_refused(copy: Path):
    files = json.loads((copy / "manifest.json").read_text())["files"]
    edit_manifest(copy, files={**files, "../../etc/passwd": "0" * 64})
    with pytest.raises(BundleError, match="points outside"):
        Bundle.open(copy)


def test_a_bundle_of_another_version_is_refused(copy: Path):
    edit_manifest(copy, schema_version=99)
    with pytest.raises(BundleError, match="made for schema 99"):
        Bundle.open(copy)


def test_an_unknown_key_is_refused_by_name(copy: Path):
    edit_manifest(copy, surprise=1)
    with pytest.raises(BundleError, match="surprise"):
        Bundle.open(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json"])
def test_what_is_no_manifest_is_refused(copy: Path, text: str):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"is no manifest"):
        Bundle.open(copy)


def test_a_section_that_is_not_there_names_those_that_are(bundle_path: Path):
    with pytest.raises(BundleError, match=r"no section '07'.*It has: 00/source"):
        Bundle.open(bundle_path).condition("07", "source")
