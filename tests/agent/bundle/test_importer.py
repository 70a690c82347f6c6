"""Import of a bundle from outside: anything else is refused, and then nothing has changed."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.files import LIMITS, BundleLimits, file_digest, is_bundle_file
from asd_agent.bundle.importer import import_bundle
from asd_agent.bundle.registry import BundleRegistry
from asd_agent.errors import BundleError
from asd_agent.inference.provider_check import check_providers

Change = Callable[[tarfile.TarFile], None]


def registry(folder: Path, limits: BundleLimits = LIMITS) -> BundleRegistry:
    return BundleRegistry(folder, lambda b: check_providers(b, ["CPUExecutionProvider"]), lambda: 1.8e9, limits=limits)


def tarred(bundle: Path, path: Path, change: Change = lambda _: None, top: str = "hum") -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(bundle, top)
        change(archive)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", link: str = "") -> Change:
    def change(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(content), link
        archive.addfile(info, io.BytesIO(content))

    return change


@pytest.mark.parametrize("top", ["hum", ".", "anything-1.2"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_folder_as_one_tar_is_that_folder(bundle_path: Path, tmp_path: Path, top: str, form: int):
    archive = tmp_path / "hum.tar"
    with tarfile.open(archive, "w", format=form) as out:
        out.add(bundle_path, top)
    stored = registry(tmp_path / "bundles").install(archive)
    assert (stored.name, stored.active) == ("hum", True)
    assert Bundle.open(tmp_path / "bundles" / "hum").digest == Bundle.open(bundle_path).digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (member("../outside.npz", content=b"x"), "points outside"),
        (member("hum/../../outside.npz", content=b"x"), "points outside"),
        (member("/etc/cron.d/asd", content=b"x"), "points outside"),
        (member("hum/members/../../x", content=b"x"), "points outside"),
        (member("hum//golden.npz", content=b"x"), "points outside"),
        (member("other/golden.npz", content=b"x"), "is outside of 'hum/'"),
        (member("hum/members/a.onnx", tarfile.SYMTYPE, link="/etc/passwd"), "is a link"),
        (member("hum/members/a.onnx", tarfile.LNKTYPE, link="hum/golden.npz"), "is a hard link"),
        (member("hum/members/a.onnx", tarfile.CHRTYPE), "is a device"),
        (member("hum/members/a.onnx", tarfile.BLKTYPE), "is a device"),
        (member("hum/members/a.onnx", tarfile.FIFOTYPE), "is a pipe"),
        (member("hum/members/a.onnx", tarfile.GNUTYPE_SPARSE), "is a sparse file"),
        (member("hum/members/a.onnx", b"Z"), "is of unknown kind"),
        (member("hum/scorers.npz", content=b"again"), "is in it twice"),
        (member("hum/run.sh", content=b"#!"), "'run.sh' does not belong to a bundle"),
        (member("hum/members/.hidden.onnx", content=b"x"), "does not belong to a bundle"),
        (member("hum/members/deep/a.onnx", content=b"x"), "does not belong to a bundle"),
        (member("hum/weights.pkl", content=pickle.dumps([1])), "does not belong to a bundle"),
        (member("hum/plugins", tarfile.DIRTYPE), "does not belong to a bundle"),
        (member("hum/" + "a" * 120 + ".onnx", content=b"x"), "extended header sets 'path'"),
        (member("hum/members/extra.onnx", content=b"x"), "is not listed in the manifest"),
    ],
)
def test_a_hostile_archive_is_refused(bundle_path: Path, tmp_path: Path, change: Change, said: str):
    place = registry(tmp_path / "bundles")
    with pytest.raises(BundleError) as error:
        place.install(tarred(bundle_path, tmp_path / "hum.tar", change))
    assert said in str(error.value)
    assert place.listed() == []
    assert sorted(p.name for p in (tmp_path / "bundles" / ".store").iterdir()) == [".lock"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundles", "hum.tar"]


@pytest.mark.parametrize("at", [0, 100, 511, 700, 5000, -600, -9000])
def test_an_archive_that_is_cut_off_is_refused(bundle_path: Path, tmp_path: Path, at: int):
    raw = tarred(bundle_path, tmp_path / "whole.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "cut.tar").write_bytes(raw[:at])
    with pytest.raises(BundleError, match=r"is cut off|cut\.tar: is no tar"):
        registry(tmp_path / "bundles").install(tmp_path / "cut.tar")


def test_noise_is_refused_in_words_whatever_it_is(bundle_path: Path, tmp_path: Path):
    raw = bytearray(tarred(bundle_path, tmp_path / "whole.tar").read_bytes())
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(60):
        noisy = bytearray(raw)
        for position in rng.integers(0, 2048, size=3):
            noisy[position] = rng.integers(256)
        (tmp_path / "noisy.tar").write_bytes(noisy)
        stage = tmp_path / "stage"
        stage.mkdir()
        try:
            import_bundle(tmp_path / "noisy.tar", stage)
            Bundle.open(stage)
        except BundleError:
            refused += 1
        shutil.rmtree(stage)
    assert refused > 30


def test_a_compressed_archive_is_refused_with_what_to_do(bundle_path: Path, tmp_path: Path):
    archive = tarred(bundle_path, tmp_path / "hum.tar")
    packed = tmp_path / "hum.tar.gz"
    packed.write_bytes(gzip.compress(archive.read_bytes()))
    with pytest.raises(BundleError, match=r"is compressed \(gzip\)\. Unpack it"):
        registry(tmp_path / "bundles").install(packed)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (BundleLimits(file_bytes=1000), "larger than 1000"),
        (BundleLimits(all_bytes=5000), "holds more than 5000 bytes"),
        (BundleLimits(files=2), "or 2 files"),
        (BundleLimits(manifest_bytes=100), "larger than 100"),
    ],
)
@pytest.mark.parametrize("as_tar", [True, False])
def test_too_much_is_refused(bundle_path: Path, tmp_path: Path, limits: BundleLimits, said: str, as_tar: bool):
    source = tarred(bundle_path, tmp_path / "hum.tar") if as_tar else bundle_path
    with pytest.raises(BundleError, match=said):
        registry(tmp_path / "bundles", limits).install(source)


def test_a_size_that_a_header_only_claims_allocates_nothing(tmp_path: Path):
    info = tarfile.TarInfo("hum/golden.npz")
    info.size = 7 << 30
    (tmp_path / "hum.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(BundleError, match="larger than"):
        registry(tmp_path / "bundles").install(tmp_path / "hum.tar")


def relisted(bundle: Path, name: str) -> None:
    """A manifest that vouches for the file as it is now."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = file_digest(bundle / name)
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def zipped(path: Path, name: str, raw: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(name, raw)


def pickled(path: Path) -> None:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (pickled, "not readable as plain arrays"),
        (lambda p: zipped(p, "x.npy", b"\0" * (1 << 21)), "unpacks to 2097152 bytes"),
        (lambda p: zipped(p, "../x.pkl", b"x"), "something else than arrays"),
        (lambda p: zipped(p, "x.npy", b"not an array"), "not readable as plain arrays"),
        (lambda p: p.write_bytes(b"PK\3\4 and no more"), "is no file of arrays"),
    ],
)
@pytest.mark.parametrize("name", ["scorers.npz", "golden.npz"])
def test_a_manifest_that_vouches_for_hostile_arrays_does_not_help_them(
    bundle_path: Path, tmp_path: Path, write: Callable[[Path], object], said: str, name: str
):
    copy = Path(shutil.copytree(bundle_path, tmp_path / "hum"))
    write(copy / name)
    relisted(copy, name)
    with pytest.raises(BundleError, match=said):
        registry(tmp_path / "bundles", BundleLimits(scorers_bytes=(1 << 21) - 1, golden_bytes=(1 << 21) - 1)).install(
            copy
        )


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe", "unlisted"])
def test_a_hostile_folder_is_refused(bundle_path: Path, tmp_path: Path, kind: str):
    copy = Path(shutil.copytree(bundle_path, tmp_path / "hum"))
    if kind == "link":
        (copy / "golden.npz").rename(tmp_path / "golden.npz")
        (copy / "golden.npz").symlink_to(tmp_path / "golden.npz")
    elif kind == "folder link":
        (copy / "members").symlink_to("/etc")
    elif kind == "pipe":
        (copy / "golden.npz").unlink()
        os.mkfifo(copy / "golden.npz")
    else:
        (copy / "notes.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"is a link|no regular file|does not belong"):
        registry(tmp_path / "bundles").install(copy)


def test_names_of_a_bundle():
    good = ["manifest.json", "scorers.npz", "golden.npz", "members/ae-0.onnx", "members/a_b.1.onnx"]
    bad = ["members/.onnx", "members/a.onnx.data", "members/../a.onnx", "Manifest.json", "members/a.onnx\n", ""]
    assert [n for n in good + bad if is_bundle_file(n)] == good
