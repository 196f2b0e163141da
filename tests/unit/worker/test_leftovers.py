"""The work directory is this user's alone, and emptied without following a link."""

import os
from pathlib import Path

import pytest

from central_dispatch.worker.leftovers import WorkDirectory


def test_what_a_killed_worker_left_is_removed_and_nothing_that_a_link_points_to(tmp_path: Path) -> None:
    treasure, work = tmp_path / "treasure", tmp_path / "work"
    treasure.mkdir()
    (treasure / "kept").touch()
    (work / "1" / "2").mkdir(parents=True)
    (work / "1" / "2" / "draft").touch()
    (work / "1" / "2" / "out").symlink_to(treasure)
    (work / "link").symlink_to(treasure)
    (work / "file").touch()
    directory = WorkDirectory(work)
    directory.take()
    assert list(work.iterdir()) == []
    assert (treasure / "kept").exists()
    directory.release()


def test_it_is_private_however_it_was_made(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir(mode=0o755)
    (tmp_path / "work").chmod(0o777)
    for path in (tmp_path / "work", tmp_path / "new"):
        directory = WorkDirectory(path)
        directory.take()
        assert path.stat().st_mode & 0o777 == 0o700
        directory.release()


def test_what_another_worker_uses_is_not_emptied(tmp_path: Path) -> None:
    first, second = WorkDirectory(tmp_path / "work"), WorkDirectory(tmp_path / "work")
    first.take()
    (tmp_path / "work" / "1").mkdir()
    second.take()
    assert (tmp_path / "work" / "1").is_dir()
    for directory in (first, second):
        assert directory.is_used()
        directory.release()


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").touch()
    (tmp_path / "work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="work"):
        WorkDirectory(tmp_path / "work").take()
    assert (tmp_path / "elsewhere" / "kept").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused_and_said_so(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "kept").touch()
    os.chown(tmp_path / "work", 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to another user"):
        WorkDirectory(tmp_path / "work").take()
    assert (tmp_path / "work" / "kept").exists()
