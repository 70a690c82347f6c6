"""The cache gives what would be computed, whatever happens to its folder, and stays within its limit."""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from asd_trainer.data.cache import ArrayCache, FileDigests

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Compute:
    """Computes an array of a seed and counts how often."""

    def __init__(self, seed: int = 0, size: int = 100) -> None:
        self.value = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
        self.times = 0

    def __call__(self) -> np.ndarray:
        self.times += 1
        return self.value


def fail() -> np.ndarray:
    raise AssertionError("was computed again")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def test_a_second_call_and_a_second_process_get_the_kept_array(tmp_path: Path):
    compute = Compute()
    first = ArrayCache(tmp_path).get("a" * 64, "mel", compute)
    again = ArrayCache(tmp_path).get("a" * 64, "mel", fail)
    np.testing.assert_array_equal(first, again)
    assert again.dtype == np.float32
    assert compute.times == 1


def test_another_content_or_other_settings_are_another_entry(tmp_path: Path):
    cache = ArrayCache(tmp_path)
    found = [cache.get(c, s, Compute(i)) for i, (c, s) in enumerate([("a", "x"), ("b", "x"), ("a", "y"), ("ax", "")])]
    assert len({f.tobytes() for f in found}) == 4
    assert len(entries(tmp_path)) == 4


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_a_damaged_entry_is_dropped_and_computed_again(tmp_path: Path, damage: str):
    cache, compute = ArrayCache(tmp_path), Compute()
    cache.get("a", "x", compute)
    (entry,) = entries(tmp_path)
    held = entry.read_bytes()
    flipped = bytearray(held)
    flipped[-1] ^= 1
    entry.write_bytes({"truncated": held[:-4], "flipped": bytes(flipped), "emptied": b""}[damage])
    np.testing.assert_array_equal(cache.get("a", "x", compute), compute.value)
    assert compute.times == 2
    np.testing.assert_array_equal(cache.get("a", "x", fail), compute.value)


def test_pickled_arrays_are_neither_kept_nor_read(tmp_path: Path):
    objects = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match="pickle"):
        ArrayCache(tmp_path).get("a", "x", lambda: objects)
    assert entries(tmp_path) == []


def test_the_entries_that_were_used_longest_ago_go_first(tmp_path: Path):
    size = 32 + 128 + 4 * 100
    cache = ArrayCache(tmp_path, limit=8 * size, clock=Clock())
    for i in range(7):
        cache.get(str(i), "x", Compute(i))
    cache.get("0", "x", fail)  # used again, so that 1 is now the oldest
    cache.get("7", "x", Compute(7))
    assert cache.bytes() <= 8 * size
    cache.get("0", "x", fail)
    cache.get("7", "x", fail)
    one = Compute(1)
    cache.get("1", "x", one)
    assert one.times == 1


def test_an_array_above_the_limit_is_given_and_not_kept(tmp_path: Path):
    cache, compute = ArrayCache(tmp_path, limit=1000), Compute(size=1000)
    np.testing.assert_array_equal(cache.get("a", "x", compute), compute.value)
    assert entries(tmp_path) == []


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path):
    (tmp_path / "cache").write_text("a file, no folder")
    compute = Compute()
    np.testing.assert_array_equal(ArrayCache(tmp_path / "cache").get("a", "x", compute), compute.value)


def test_what_killed_processes_left_half_written_is_removed_once_it_is_old(tmp_path: Path):
    cache = ArrayCache(tmp_path)
    cache.get("a", "x", Compute())
    folder = entries(tmp_path)[0].parent
    for name, age in ((".old.partial", 7200), (".new.partial", 60)):
        (folder / name).write_bytes(b"half")
        stamp = (folder / name).stat().st_mtime - age
        os.utime(folder / name, (stamp, stamp))
    cache.bytes()
    assert [p.name for p in folder.iterdir() if p.suffix == ".partial"] == [".new.partial"]


def _work(folder: str, seed: int, limit: int) -> None:
    cache = ArrayCache(Path(folder), limit=limit)
    rng = np.random.default_rng(seed)
    for key in rng.integers(0, 30, size=200):
        want = np.full(200, key, np.float32)
        got = cache.get(str(key), "x", want.copy)
        assert np.array_equal(got, want)


def test_several_processes_share_one_folder_within_its_limit(tmp_path: Path):
    limit = 20 * 1000
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(str(tmp_path), i, limit)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert 0 < ArrayCache(tmp_path, limit=limit).bytes() <= limit
    assert list(tmp_path.rglob("*.partial")) == []


def write(path: Path, text: str, mtime_ns: int) -> Path:
    path.write_text(text)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def test_a_file_is_read_again_only_when_its_size_or_time_is_another(tmp_path: Path):
    memory = tmp_path / "digests.json"
    path = write(tmp_path / "clip", "one", 5 * SECOND)
    digests = FileDigests(memory, lambda: 100 * SECOND)
    first = digests.of(path)
    write(path, "two", 5 * SECOND)  # the same size and time: taken for the same file, by design
    assert digests.of(path) == first
    digests.remember()
    later = FileDigests(memory, lambda: 100 * SECOND)
    assert later.of(path) == first
    assert later.of(write(path, "two", 6 * SECOND)) != first


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path):
    path = write(tmp_path / "clip", "one", 99 * SECOND)
    digests = FileDigests(None, lambda: 100 * SECOND)
    first = digests.of(path)
    assert digests.of(write(path, "two", 99 * SECOND)) != first


def test_two_processes_keep_what_the_other_learnt(tmp_path: Path):
    memory = tmp_path / "digests.json"
    one, other = (FileDigests(memory, lambda: 100 * SECOND) for _ in range(2))
    one.of(write(tmp_path / "a", "a", SECOND))
    other.of(write(tmp_path / "b", "b", SECOND))
    one.remember()
    other.remember()
    assert sorted(Path(p).name for p in json.loads(memory.read_text())) == ["a", "b"]


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 3}', ""])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, text: str):
    (tmp_path / "digests.json").write_text(text)
    path = write(tmp_path / "clip", "one", SECOND)
    digests = FileDigests(tmp_path / "digests.json", lambda: 100 * SECOND)
    assert digests.of(path) == FileDigests().of(path)
    digests.remember()
    assert list(json.loads((tmp_path / "digests.json").read_text())) == [str(path)]
