"""Files that payloads name: only our own ones, below the spool, and no link on the way."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager.spool import open_spooled, spool_directory


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CENTRAL_DISPATCH_HOME", str(tmp_path))
    made = spool_directory()
    made.mkdir(mode=0o700, parents=True)
    return made


def put(spool: Path, name: str = "in/a.jsonl", mode: int = 0o600) -> Path:
    path = spool / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text("{}\n", encoding="ascii")
    path.chmod(mode)
    return path


def refused(name: str) -> str:
    found = open_spooled(name)
    assert isinstance(found, Problem)
    assert found.field == "file"
    return str(found)


def test_a_file_of_ours_is_opened(spool: Path) -> None:
    put(spool)
    found = open_spooled("in/a.jsonl")
    assert not isinstance(found, Problem)
    with found:
        assert found.read() == b"{}\n"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "in/../../x", "in//a", "./a", "a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(spool: Path, name: str) -> None:
    put(spool)
    assert "no name of a spooled file" in refused(name)


def test_no_link_is_followed_on_the_way(spool: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}", encoding="ascii")
    (spool / "link").symlink_to(tmp_path / "secret")
    assert "links are not followed" in refused("link")
    put(spool)
    (spool / "there").symlink_to(spool / "in")
    assert "links are not followed" in refused("there/a.jsonl")


def test_what_others_could_have_written_is_refused(spool: Path) -> None:
    put(spool, "in/open.jsonl", mode=0o666)
    assert "written by others" in refused("in/open.jsonl")
    put(spool, "in/a.jsonl")
    (spool / "in").chmod(0o777)
    assert "others may change the directory" in refused("in/a.jsonl")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_another_user_is_refused(spool: Path) -> None:
    os.chown(put(spool), 4242, 4242)
    assert "written by others" in refused("in/a.jsonl")


def test_what_is_no_file_holds_nobody(spool: Path) -> None:
    os.mkfifo(spool / "pipe", 0o600)
    assert "no plain file" in refused("pipe")
    (spool / "directory").mkdir(mode=0o700)
    assert "no plain file" in refused("directory")


@pytest.mark.usefixtures("spool")
def test_a_file_that_is_not_there_is_said() -> None:
    assert "cannot be read" in refused("in/none.jsonl")
