"""Files that are whole or not at all: a link in the place of an unfinished one is never followed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from asd_agent.small_files import read_small
from asd_agent.whole_files import STAGE, put, whole_file, write_whole


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_planted_link_is_removed_and_its_target_stays(tmp_path: Path, folder: bool):
    target = tmp_path / "target"
    target.mkdir() if folder else target.write_text("precious")
    (tmp_path / f"{STAGE}new").symlink_to(target)
    if folder:
        put(tmp_path / "new", {"x": b"1"})
        assert list(target.iterdir()) == []
        assert (tmp_path / "new" / "x").read_bytes() == b"1"
    else:
        write_whole(tmp_path / "new", b"1")
        assert target.read_text() == "precious"
        assert (tmp_path / "new").read_bytes() == b"1"
    assert not (tmp_path / "new").is_symlink()


def test_a_leftover_of_a_killed_writer_is_replaced(tmp_path: Path):
    (tmp_path / f"{STAGE}new").write_text("half")
    write_whole(tmp_path / "new", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]


def test_a_file_has_its_rights_before_its_content(tmp_path: Path):
    with whole_file(tmp_path / "users.json", 0o640) as stage:
        assert stat.S_IMODE(stage.stat().st_mode) & 0o137 == 0
        stage.write_text("{}")
    assert read_small(tmp_path / "users.json") == b"{}"
