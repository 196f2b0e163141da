"""What only the embedded broker has: its directory of sockets."""

import gc
import logging
import os
import queue
import socket
from pathlib import Path

import pytest

from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.brokers.places import open_broker


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def dead_socket(directory: Path, name: str = "1-dead.bell") -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(directory / name))


def test_the_bells_lie_in_the_dispatchers_directory(tmp_path: Path) -> None:
    broker = open_broker(tmp_path)
    broker.ring(["ftp"])
    broker.close()
    assert (tmp_path / "dispatcher" / "bells").is_dir()


def test_the_directory_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        EmbeddedBroker(tmp_path / "bells").ring(["ftp"])
    finally:
        os.umask(before)
    assert (tmp_path / "bells").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_may_write_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bells").mkdir()
    (tmp_path / "bells").chmod(0o777)
    broker = EmbeddedBroker(tmp_path / "bells")
    with pytest.raises(PermissionError, match="0700"):
        broker.listen(["ftp"], print)
    with caplog.at_level(logging.WARNING):
        broker.ring(["ftp"])
    assert "0700" in caplog.text


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "bells").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="bells"):
        EmbeddedBroker(tmp_path / "bells").listen(["ftp"], print)


def test_a_dead_listeners_socket_is_removed_at_the_next_ring(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "bells")
    broker.ring([])
    dead_socket(tmp_path / "bells")
    (tmp_path / "bells" / "note.txt").touch()
    broker.ring(["ftp"])
    assert names(tmp_path / "bells") == ["note.txt"]
    broker.close()


def test_closing_removes_the_own_socket(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "bells")
    broker.listen(["ftp"], print)
    assert len(names(tmp_path / "bells")) == 1
    broker.close()
    assert names(tmp_path / "bells") == []


def test_a_home_with_a_long_path_serves_as_well(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / "bells"
    heard: queue.Queue[str] = queue.Queue()
    listener, ringer = EmbeddedBroker(deep), EmbeddedBroker(deep)
    listener.listen(["ftp"], heard.put)
    ringer.ring(["ftp"])
    assert heard.get(timeout=20) == "ftp"
    listener.close()
    assert names(deep) == []
    ringer.close()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests left to be closed must not hide what stays open here
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        broker = EmbeddedBroker(tmp_path / "bells")
        broker.listen(["ftp"], print)
        broker.ring(["x"])
        broker.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_foreign_datagrams_are_passed_over(tmp_path: Path) -> None:
    heard: queue.Queue[str] = queue.Queue()
    broker = EmbeddedBroker(tmp_path / "bells")
    broker.listen(["ftp"], heard.put)
    (own,) = (tmp_path / "bells").iterdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        for junk in (b"", b"\xff\xfe", b"x" * 5000):
            other.sendto(junk, str(own))
    broker.ring(["ftp"])
    assert heard.get(timeout=20) == "ftp"
    broker.close()
