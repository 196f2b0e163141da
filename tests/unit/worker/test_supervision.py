"""What systemd is told, over a real datagram socket."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from central_dispatch.worker.supervision import Supervision
from central_dispatch.worker.vitals import Parts, Vitals


class Seen:
    slots, busy, down, queues, pids = 4, 3, "", ("q",), ()
    turned = time.monotonic()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_it_is_ready_once_alive_often_and_stopping_when_told_to_end(systemd: socket.socket) -> None:
    vitals = Vitals()
    told = Supervision(vitals)
    told.alive()
    assert systemd.recv(4096).decode().splitlines() == ["WATCHDOG=1", "STATUS=it is starting", "READY=1"]
    vitals.parts = Parts(Seen(), Seen(), Seen())  # type: ignore[arg-type]  # what is read of them
    told.alive()
    assert systemd.recv(4096).decode().splitlines() == ["WATCHDOG=1", "STATUS=3 of 4 busy"]
    vitals.draining = lambda: True
    told.alive()
    assert systemd.recv(4096).decode().splitlines() == ["WATCHDOG=1", "STATUS=draining, 3 of 4 busy", "STOPPING=1"]


def test_jobs_do_not_inherit_the_socket(systemd: socket.socket) -> None:
    Supervision(Vitals())
    assert systemd.fileno() >= 0
    assert "NOTIFY_SOCKET" not in os.environ


def test_an_abstract_name_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"central-dispatch-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Supervision(Vitals()).alive()
        assert b"READY=1" in listener.recv(4096)


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Supervision(Vitals()).alive()


def test_a_status_cannot_add_a_line_of_its_own(systemd: socket.socket) -> None:
    told = Supervision(Vitals(waits_for="a\nERRNO=1"))
    told.alive()
    assert "ERRNO=1" not in systemd.recv(4096).decode().splitlines()
