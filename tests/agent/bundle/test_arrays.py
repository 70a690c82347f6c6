"""Files of plain arrays: the same bytes again, every type back, and nothing allocated beyond the budget."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.errors import BundleError


def test_arrays_give_the_same_bytes_again(tmp_path: Path):
    arrays = {"b": np.arange(3.0), "a": np.zeros((2, 2), np.uint8)}
    save_arrays(tmp_path / "1.npz", arrays)
    save_arrays(tmp_path / "2.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_every_kind_of_array_comes_back_as_numpy_reads_it(tmp_path: Path):
    rng = np.random.default_rng(0)
    arrays = {
        "matrix": rng.normal(size=(3, 4, 5)),
        "columns": np.asfortranarray(rng.normal(size=(3, 4))),
        "scalar": np.array(2),
        "empty": np.empty((0, 7), np.float32),
        "names": np.array(["00", "source"]),
        "flags": np.array([True, False]),
        "big": rng.integers(0, 255, 3 << 20).astype(np.uint8),
    }
    save_arrays(tmp_path / "a.npz", arrays)
    found = load_arrays(tmp_path / "a.npz")
    assert list(found) == sorted(arrays)
    with np.load(tmp_path / "a.npz") as expected:
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name])
            assert array.dtype == expected[name].dtype
            assert array.flags.writeable


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + content


def written(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as out:
        for name, raw in entries.items():
            out.writestr(name, raw)
    return path


HUGE = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000)}"
NEGATIVE = "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}"
OBJECT = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
NESTED = "{'descr': " + "(" * 60 + ")" * 40


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("x.npy", npy(HUGE), "has another type or size"),
        ("x.npy", npy(NEGATIVE, b"\0" * 8), "has another type or size"),
        ("x.npy", npy(OBJECT, b"\0" * 8), "has another type or size"),
        ("x.npy", npy(NESTED), "not readable as plain arrays"),
        ("x.npy", npy(HUGE, version=b"\x03\x00"), "not readable as plain arrays"),
        ("x.npy", b"", "not readable as plain arrays"),
        ("x.txt", b"hello", "holds something else than arrays"),
    ],
)
def test_an_entry_that_is_no_plain_array_of_its_size_is_refused(tmp_path: Path, name: str, raw: bytes, words: str):
    with pytest.raises(BundleError, match=words):
        load_arrays(written(tmp_path / "a.npz", {name: raw}))


def test_what_unpacks_to_more_than_the_budget_is_refused_unread(tmp_path: Path):
    path = written(tmp_path / "a.npz", {"x.npy": bytes(50 << 20)})
    assert path.stat().st_size < 1 << 17
    for names in (None, ()):
        with pytest.raises(BundleError, match="unpacks to 52428800 bytes, more than 1000000"):
            load_arrays(path, 1_000_000, names)


def test_another_compression_is_refused(tmp_path: Path):
    path = written(tmp_path / "a.npz", {"x.npy": npy(HUGE)}, zipfile.ZIP_LZMA)
    with pytest.raises(BundleError, match="another way than deflate"):
        load_arrays(path)


def test_a_directory_of_millions_of_entries_is_refused_before_it_is_held_in_memory(tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        out.writestr("x.npy", b"")
    raw = bytearray(packed.getvalue())
    raw[-14:-10] = (60_000).to_bytes(2, "little") * 2
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(BundleError, match="holds more than 20000 arrays"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("at", [30, 200, -30])
def test_a_damaged_file_is_refused(tmp_path: Path, at: int):
    save_arrays(tmp_path / "a.npz", {"x": np.random.default_rng(1).normal(size=100)})
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[at] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(raw)
    with pytest.raises(BundleError, match=r"a\.npz"):
        load_arrays(tmp_path / "a.npz")
