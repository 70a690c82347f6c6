"""A bundle is read whole and unaltered, or refused with the file that is wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import save_arrays
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


def test_an_unlisted_file_is_refused(copy: Path):
    (copy / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra.bin: is not listed"):
        Bundle.open(copy)


def test_a_link_is_refused(copy: Path):
    (copy / "golden.npz").rename(copy.parent / "elsewhere.npz")
    (copy / "golden.npz").symlink_to(copy.parent / "elsewhere.npz")
    with pytest.raises(BundleError, match="is a link"):
        Bundle.open(copy)


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


def test_arrays_give_the_same_bytes_again(tmp_path: Path):
    arrays = {"b": np.arange(3.0), "a": np.zeros((2, 2), np.uint8)}
    save_arrays(tmp_path / "1.npz", arrays)
    save_arrays(tmp_path / "2.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
