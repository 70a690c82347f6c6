"""The cache gives what would be computed, stays within its limit, and is shared without harm."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.cache import Cache
from rigs.waiting import PATIENCE

SPEC = {"what": "squares", "version": 1}
SIZE = 32 + 128 + 8000  # a digest, a npy header and 1000 doubles


def array(value: float) -> np.ndarray:
    return np.full(1000, value)


def never():
    raise AssertionError("computed again")


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.npy"))


def test_an_array_is_computed_once_and_found_by_another_cache_on_the_same_folder(tmp_path):
    made = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert Cache(tmp_path).array("a", SPEC, lambda: made) is made
    found = Cache(tmp_path).array("a", SPEC, never)
    assert found.dtype == np.float32
    assert np.array_equal(found, made)


@pytest.mark.parametrize(
    ("digest", "spec"),
    [("b", SPEC), ("a", {**SPEC, "version": 2}), ("a", FeatureSpec()), ("a", FeatureSpec(n_mels=64))],
)
def test_other_content_or_another_specification_is_another_array(tmp_path, digest, spec):
    cache = Cache(tmp_path)
    cache.array("a", SPEC, lambda: array(1))
    assert cache.array(digest, spec, lambda: array(2))[0] == 2
    assert cache.usage().arrays == 2


def test_arrays_of_an_earlier_arithmetic_are_not_found(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    cache.array("a", SPEC, lambda: array(1))
    monkeypatch.setattr("asd_trainer.data.cache.ARITHMETIC_VERSION", 999)
    assert cache.array("a", SPEC, lambda: array(2))[0] == 2


@pytest.mark.parametrize("damage", ["emptied", "truncated", "flipped", "zeroed"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.array("a", SPEC, lambda: array(1))
    (path,) = files(tmp_path)
    held = path.read_bytes()
    flipped = bytearray(held)
    flipped[-1] ^= 1
    bad = {"emptied": b"", "truncated": held[:-8], "flipped": bytes(flipped), "zeroed": bytes(len(held))}
    path.write_bytes(bad[damage])
    assert cache.array("a", SPEC, lambda: array(2))[0] == 2
    assert cache.array("a", SPEC, never)[0] == 2


def test_the_least_recently_used_arrays_go_first(tmp_path):
    cache = Cache(tmp_path, limit=10 * SIZE)
    for i in range(10):
        cache.array(str(i), SPEC, lambda i=i: array(i))
        os.utime(max(files(tmp_path), key=lambda p: p.stat().st_mtime_ns), ns=(i, i))
    cache.array("0", SPEC, never)  # used again
    cache.array("10", SPEC, lambda: array(10))
    assert cache.usage().arrays == 9
    for digest in ("0", "3", "9", "10"):
        cache.array(digest, SPEC, never)
    assert cache.array("1", SPEC, lambda: array(-1))[0] == -1


def test_an_array_larger_than_the_limit_is_given_and_not_kept(tmp_path):
    cache = Cache(tmp_path / "none", limit=100)
    assert cache.array("a", SPEC, lambda: array(1))[0] == 1
    assert cache.usage().size == 0


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path):
    (tmp_path / "cache").write_text("a file, no folder")
    cache = Cache(tmp_path / "cache")
    assert cache.array("a", SPEC, lambda: array(1))[0] == 1
    assert cache.array("a", SPEC, lambda: array(2))[0] == 2


def test_python_objects_are_not_kept(tmp_path):
    with pytest.raises(ValueError, match="pickle"):
        Cache(tmp_path).array("a", SPEC, lambda: np.array([{}], dtype=object))
    assert files(tmp_path) == []


def test_what_a_dead_process_left_half_written_is_no_array_and_goes_in_time(tmp_path):
    cache = Cache(tmp_path, limit=2 * SIZE)
    (tmp_path / "ab").mkdir(parents=True)
    old, new = tmp_path / "ab/.x.partial", tmp_path / "ab/.y.partial"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.array("a", SPEC, lambda: array(1))
    assert cache.usage().arrays == 1
    assert not old.exists()
    assert new.exists()


def test_nothing_is_left_when_the_computation_fails(tmp_path):
    cache = Cache(tmp_path)
    with pytest.raises(ZeroDivisionError):
        cache.array("a", SPEC, lambda: 1 / 0)
    assert not list(tmp_path.rglob("*.npy"))


PROCESS = """
import sys, numpy as np
from pathlib import Path
from asd_trainer.data.cache import Cache
cache = Cache(Path(sys.argv[1]), limit=int(sys.argv[2]))
order = np.random.default_rng(int(sys.argv[3])).permutation(np.arange(120) % 20)
for i in order:
    got = cache.array(str(i), {"what": "squares"}, lambda: np.full(1000, float(i)))
    assert got.shape == (1000,) and (got == i).all(), i
"""


def test_processes_share_a_cache_that_is_too_small_for_them(tmp_path):
    limit = 12 * SIZE
    started = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path), str(limit), str(seed)], stderr=subprocess.PIPE)
        for seed in range(3)
    ]
    for process in started:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors.decode()
    assert Cache(tmp_path).usage().arrays <= 12
    assert not list(tmp_path.glob("??/.*.partial"))
