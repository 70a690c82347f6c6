"""Installing, putting to use and going back: in one step each, and nothing is lost when one is ended halfway."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.registry import BundleRegistry
from asd_agent.errors import BundleError
from asd_agent.inference.provider_check import check_providers
from rigs.bundles import make_bundle


@pytest.fixture(scope="module")
def other_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("other") / "hum", clips=20).path


@pytest.fixture(scope="module")
def third_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("third") / "hum", clips=21).path


def prove(bundle: Bundle) -> None:
    check_providers(bundle, ["CPUExecutionProvider"])


def registry(folder: Path) -> BundleRegistry:
    return BundleRegistry(folder, prove, lambda: 1.8e9)


def digest(path: Path) -> str:
    return Bundle.open(path).digest


def test_the_newest_is_in_use_and_one_goes_back_step_by_step(
    bundle_path: Path, other_path: Path, third_path: Path, tmp_path: Path
):
    place = registry(tmp_path)
    for source in (bundle_path, other_path, third_path):
        place.install(source)
        assert digest(tmp_path / "hum") == digest(source)
    assert [place.rollback("hum").short for _ in range(2)] == [digest(p)[:12] for p in (other_path, bundle_path)]
    assert digest(tmp_path / "hum") == digest(bundle_path)
    with pytest.raises(BundleError, match="no bundle 'hum' is here that was in use before"):
        place.rollback("hum")
    assert sorted((s.short, s.active) for s in place.listed()) == sorted(
        (digest(p)[:12], p == bundle_path) for p in (bundle_path, other_path, third_path)
    )


def test_what_was_gone_back_from_is_not_gone_back_to(
    bundle_path: Path, other_path: Path, third_path: Path, tmp_path: Path
):
    place = registry(tmp_path)
    place.install(bundle_path)
    place.install(other_path)
    place.rollback("hum")
    place.install(third_path)
    assert place.rollback("hum").short == digest(bundle_path)[:12]
    assert place.activate("hum", digest(other_path)[:6]).short == digest(other_path)[:12]
    assert place.rollback("hum").short == digest(bundle_path)[:12]


def test_a_bundle_may_be_installed_and_not_used_yet(bundle_path: Path, other_path: Path, tmp_path: Path):
    place = registry(tmp_path)
    place.install(bundle_path)
    assert not place.install(other_path, activate=False).active
    assert digest(tmp_path / "hum") == digest(bundle_path)
    with pytest.raises(BundleError, match="is in use"):
        place.remove("hum", digest(bundle_path)[:12])
    place.remove("hum", digest(other_path)[:12])
    assert [s.short for s in place.listed()] == [digest(bundle_path)[:12]]


def test_a_folder_put_there_by_hand_can_be_gone_back_to(bundle_path: Path, other_path: Path, tmp_path: Path):
    shutil.copytree(other_path, tmp_path / "hum")
    place = registry(tmp_path)
    (by_hand,) = place.listed()
    assert (by_hand.active, by_hand.short) == (True, digest(other_path)[:12])
    place.install(bundle_path)
    assert digest(tmp_path / "hum") == digest(bundle_path)
    assert place.rollback("hum").short == digest(other_path)[:12]


def test_a_link_put_there_by_hand_can_be_gone_back_to(bundle_path: Path, other_path: Path, tmp_path: Path):
    folder = tmp_path / "bundles"
    folder.mkdir()
    (folder / "hum").symlink_to(other_path)
    place = registry(folder)
    place.install(bundle_path)
    place.rollback("hum")
    assert digest(folder / "hum") == digest(other_path)
    assert digest(other_path)


def test_something_else_in_the_way_is_left_alone(bundle_path: Path, tmp_path: Path):
    (tmp_path / "hum").mkdir()
    (tmp_path / "hum" / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="is in the way"):
        registry(tmp_path).install(bundle_path)
    assert (tmp_path / "hum" / "notes.txt").read_text() == "mine"


def test_a_bundle_that_does_not_prove_itself_stays_out(bundle_path: Path, other_path: Path, tmp_path: Path):
    registry(tmp_path).install(bundle_path)

    def refuse(bundle: Bundle) -> None:
        raise BundleError(f"{bundle.path}: golden window 0 differs")

    place = BundleRegistry(tmp_path, refuse, lambda: 1.8e9)
    with pytest.raises(BundleError, match="golden window 0 differs") as error:
        place.install(other_path)
    assert str(other_path) in str(error.value)
    assert digest(tmp_path / "hum") == digest(bundle_path)
    assert [s.short for s in place.listed()] == [digest(bundle_path)[:12]]


def test_a_damaged_copy_is_mended_by_installing_it_again(bundle_path: Path, tmp_path: Path):
    place = registry(tmp_path)
    stored = place.install(bundle_path)
    (stored.path / "scorers.npz").write_bytes(b"rotten")
    place.install(bundle_path)
    assert digest(tmp_path / "hum") == digest(bundle_path)


def test_a_damaged_copy_is_mended_also_where_it_is_not_to_be_put_to_use(bundle_path: Path, tmp_path: Path):
    place = registry(tmp_path)
    stored = place.install(bundle_path)
    (stored.path / "scorers.npz").write_bytes(b"rotten")
    assert place.install(bundle_path, activate=False).active
    assert digest(tmp_path / "hum") == digest(bundle_path)
    assert [s.short for s in place.listed()] == [digest(bundle_path)[:12]]


def test_the_registry_is_not_locked_while_a_bundle_is_checked(bundle_path: Path, other_path: Path, tmp_path: Path):
    inner: list[str] = []

    def check(bundle: Bundle) -> None:
        if not inner:
            inner.append(registry(tmp_path).install(other_path).short)  # another command, meanwhile
        prove(bundle)

    stored = BundleRegistry(tmp_path, check, lambda: 1.8e9).install(bundle_path)
    assert inner == [digest(other_path)[:12]]
    assert stored.short == digest(bundle_path)[:12]
    assert digest(tmp_path / "hum") == digest(bundle_path)
    assert registry(tmp_path).rollback("hum").short == inner[0]


def test_what_another_command_changed_meanwhile_is_not_rolled_back(
    bundle_path: Path, other_path: Path, third_path: Path, tmp_path: Path
):
    for source in (bundle_path, other_path):
        registry(tmp_path).install(source)

    def check(_bundle: Bundle) -> None:
        registry(tmp_path).install(third_path)

    with pytest.raises(BundleError, match="another command changed what is in use"):
        BundleRegistry(tmp_path, check, lambda: 1.8e9).rollback("hum")
    assert digest(tmp_path / "hum") == digest(third_path)


def killed_at(step: int, folder: Path, work: str, *arguments: str) -> bool:
    """Run a change in a process that is killed before its so-manieth step; whether it was."""
    pid = os.fork()
    if pid == 0:
        try:
            left = step

            def count(_text: str) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            # Without golden windows: a forked process must not run ONNX Runtime's threads.
            own = BundleRegistry(folder, lambda _: None, lambda: 1.8e9, step=count)
            getattr(own, work)(*(Path(a) if "/" in a else a for a in arguments))
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            sys.stderr.write(f"{error}\n")
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("before", ["nothing", "installed", "by hand"])
def test_an_installation_killed_at_any_step_leaves_the_old_or_the_new_and_nothing_else(
    bundle_path: Path, other_path: Path, tmp_path: Path, before: str
):
    old, new = digest(bundle_path), digest(other_path)
    step, killed = 0, True
    while killed:
        folder = tmp_path / str(step)
        folder.mkdir()
        if before == "installed":
            registry(folder).install(bundle_path)
        elif before == "by hand":
            shutil.copytree(bundle_path, folder / "hum")
        killed = killed_at(step, folder, "install", str(other_path))
        if before != "nothing":
            assert digest(folder / "hum") in (old, new)
        elif (folder / "hum").exists():
            assert digest(folder / "hum") == new
        place = registry(folder)
        place.install(other_path)
        assert digest(folder / "hum") == new
        if before != "nothing":
            assert place.rollback("hum").short == old[:12]
        left = [p.name for p in (*folder.iterdir(), *(folder / ".store").iterdir())]
        assert not [n for n in left if n.startswith((".link-", ".adopt-", "stage-"))]
        step += 1
    assert step >= {"nothing": 6, "installed": 6, "by hand": 9}[before]


def test_going_back_killed_at_any_step_can_be_done_again(bundle_path: Path, other_path: Path, tmp_path: Path):
    step, killed = 0, True
    while killed:
        folder = tmp_path / str(step)
        place = registry(folder)
        place.install(bundle_path)
        place.install(other_path)
        killed = killed_at(step, folder, "rollback", "hum")
        if digest(folder / "hum") == digest(other_path):
            place.rollback("hum")
        assert digest(folder / "hum") == digest(bundle_path)
        assert place.install(other_path).active
        assert place.rollback("hum").short == digest(bundle_path)[:12]
        step += 1
    assert step >= 4
