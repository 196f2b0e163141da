"""The pages for those who watch: right, on the address that was named, and no caller harms another."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from central_dispatch.jobs.job import Claim, Settlement
from central_dispatch.jobs.ports import Depth, Settled, StoreDown
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker import monitor as module
from central_dispatch.worker.monitor import Monitor, listening, parsed
from central_dispatch.worker.vitals import Parts, Vitals

AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Seen:
    """What is looked at of the loop, the children and the clerk; this process stands for a child."""

    slots: int = 4
    busy: int = 3
    down: str = ""
    queues: tuple[str, ...] = ("ftp", "mail")
    pids: list[int] = field(default_factory=lambda: [os.getpid()])

    @property
    def turned(self) -> float:
        return time.monotonic()


@dataclass
class Depths:
    """Answers with depths, or is away."""

    away: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def depths(self, queues: Collection[str], _now: datetime) -> list[Depth]:
        self.asked.append(tuple(queues))
        if self.away:
            raise StoreDown("away")
        return [Depth(queue, 7, 1, 2, 31.5, paused=queue == "mail") for queue in queues]


class Bells:
    said = ""

    def problem(self) -> str:
        return self.said


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def vitals(seen: Seen) -> Vitals:
    made = Vitals(parts=Parts(seen, seen, seen))
    made.beat()
    return made


@pytest.fixture
def store() -> Depths:
    return Depths()


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
def start(vitals: Vitals, store: Depths, bells: Bells) -> Iterator[Callable[[str], Monitor]]:
    started: list[Monitor] = []

    def make(address: str = "127.0.0.1:0") -> Monitor:
        monitor = Monitor(address, store, bells, vitals)  # type: ignore[arg-type]  # what is called of them
        monitor.start()
        started.append(monitor)
        return monitor

    yield make
    for monitor in started:
        monitor.close()


def get(monitor: Monitor, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(monitor.address, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(monitor: Monitor) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    status, text = get(monitor, "/metrics")
    assert status == 200
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def execution(queue: str, outcome: str, seconds: float) -> Settled:
    claim = Claim(job=1, kind=queue, payload={}, payload_version=1, fence=1, attempts=0, deferrals=0, priority=5)
    settlement = Settlement(state="finished", attempts=1, deferrals=0)
    return Settled(claim, settlement, 1, AT, AT + timedelta(seconds=seconds), outcome)


def test_what_the_worker_does_and_has_done_is_on_the_page(start: Callable[..., Monitor], vitals: Vitals) -> None:
    monitor = start()
    vitals.settled([execution("ftp", "done", 2.0), execution("ftp", "done", 3.0), execution("ftp", "crashed", 400)])
    found = figures(monitor)
    assert found["central_dispatch_worker_slots",] == 4
    assert found["central_dispatch_worker_busy",] == 3
    assert found["central_dispatch_executions_total", "done", "ftp"] == 2
    assert found["central_dispatch_executions_total", "crashed", "ftp"] == 1
    assert found["central_dispatch_execution_seconds_sum", "ftp"] == 405
    assert found["central_dispatch_execution_seconds_bucket", "5.0", "ftp"] == 2
    assert found["central_dispatch_worker_children_resident_bytes",] > 1 << 20


def test_the_queues_depths_are_read_once_for_many_scrapes(start: Callable[..., Monitor], store: Depths) -> None:
    monitor = start()
    until(lambda: ("central_dispatch_queue_jobs", "ftp", "waiting") in figures(monitor))
    found = figures(monitor)
    assert found["central_dispatch_queue_jobs", "ftp", "waiting"] == 7
    assert found["central_dispatch_queue_jobs", "mail", "in_error"] == 2
    assert found["central_dispatch_queue_oldest_due_seconds", "mail"] == 31.5
    assert found["central_dispatch_queue_paused", "ftp"] == 0
    assert found["central_dispatch_queue_paused", "mail"] == 1
    assert found["central_dispatch_executions_total", "done", "mail"] == 0
    assert store.asked == [("ftp", "mail")]


def test_without_the_database_there_are_no_depths_rather_than_old_ones(
    start: Callable[..., Monitor], store: Depths, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEPTHS_S", 0.01)
    monitor = start()
    until(lambda: ("central_dispatch_queue_jobs", "ftp", "waiting") in figures(monitor))
    store.away, seen.down = True, "away"
    until(lambda: ("central_dispatch_queue_jobs", "ftp", "waiting") not in figures(monitor))
    assert figures(monitor)["central_dispatch_database_up",] == 0
    status, text = get(monitor, "/healthz")
    assert (status, json.loads(text)["status"]) == (503, "failing")


def test_a_broker_that_is_away_is_said(start: Callable[..., Monitor], bells: Bells) -> None:
    monitor = start()
    assert get(monitor, "/healthz") == (200, '{"status": "ok", "reasons": []}')
    assert figures(monitor)["central_dispatch_broker_up",] == 1
    bells.said = "connection refused"
    status, text = get(monitor, "/healthz")
    assert (status, json.loads(text)["status"]) == (503, "degraded")
    assert figures(monitor)["central_dispatch_broker_up",] == 0


def test_while_the_worker_waits_for_the_database_the_pages_answer(
    start: Callable[..., Monitor], vitals: Vitals
) -> None:
    vitals.parts, vitals.waits_for = None, "the database is away: x"
    monitor = start()
    assert json.loads(get(monitor, "/healthz")[1]) == {"status": "starting", "reasons": ["the database is away: x"]}
    assert figures(monitor)["central_dispatch_database_up",] == 0


def test_there_are_two_pages(start: Callable[..., Monitor]) -> None:
    assert get(start(), "/")[0] == 404


def test_callers_that_say_nothing_or_nonsense_or_go_away_keep_no_other_waiting(start: Callable[..., Monitor]) -> None:
    monitor = start()
    place = parsed(monitor.address)
    silent = [socket.create_connection(place) for _ in range(5)]
    for nonsense in (b"\0\xff\r\n\r\n", b"GET " + b"x" * 100_000, b"GET /metrics HTTP/1.0\r\n\r\n"):
        with socket.create_connection(place) as caller, suppress(OSError):
            caller.sendall(nonsense)
    assert get(monitor, "/healthz")[0] == 200
    for caller in silent:
        caller.close()


def test_more_callers_than_there_is_room_for_are_let_go_and_room_comes_back(start: Callable[..., Monitor]) -> None:
    monitor = start()
    many = [socket.create_connection(parsed(monitor.address)) for _ in range(30)]
    # Those over the bound are closed at once, without an answer.
    until(lambda: sum(_is_closed(caller) for caller in many) >= 30 - module._MOST)
    for caller in many:
        caller.close()
    until(lambda: _status(monitor) == 200)


def test_callers_for_whom_no_thread_could_be_made_take_no_room(
    start: Callable[..., Monitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = start()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(module._MOST + 1):
            assert _status(monitor) == 0
    assert _status(monitor) == 200


def _status(monitor: Monitor) -> int:
    with suppress(OSError, http.client.HTTPException):
        return get(monitor, "/healthz")[0]
    return 0


def _is_closed(caller: socket.socket) -> bool:
    caller.setblocking(False)  # noqa: FBT003 the name says it
    try:
        return caller.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_socket_answers_is_private_to_its_group_and_replaces_that_of_a_dead_worker(
    start: Callable[..., Monitor], tmp_path: Path
) -> None:
    path = tmp_path / "worker.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    monitor = start(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))
        caller.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert caller.recv(1000).startswith(b"HTTP/1.0 200")
    assert path.stat().st_mode & 0o777 == 0o660
    assert isinstance(listen(f"unix:{path}"), Problem)
    assert monitor.address == f"unix:{path}"


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("x", encoding="ascii")
    assert isinstance(listen(f"unix:{path}"), Problem)
    assert path.read_text(encoding="ascii") == "x"


def listen(address: str) -> object:
    return listening(address, Depths(), Bells(), Vitals())  # type: ignore[arg-type]  # what is called of them


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("9464", "it has no host"),
        (":9464", "it has no host"),
        ("localhost:http", "“http” is no port"),
        ("localhost:70000", "“70000” is no port"),
        ("localhost:", "“” is no port"),
        ("192.0.2.1:9464", "Cannot listen on 192.0.2.1:9464"),
        ("no-such-host.invalid:9464", "Cannot listen on no-such-host.invalid:9464"),
        ("unix:/nowhere/at/all", "Cannot listen on unix:/nowhere/at/all"),
    ],
)
def test_an_address_that_cannot_be_is_a_problem_with_its_reason(address: str, words: str) -> None:
    found = listen(address)
    assert isinstance(found, Problem)
    assert words in str(found)
    assert found.field == "listen"


def test_a_taken_address_is_a_problem(start: Callable[..., Monitor]) -> None:
    found = listen(start().address)
    assert isinstance(found, Problem)
    assert "in use" in found.why


def test_the_newer_internet_protocols_addresses_are_read() -> None:
    assert parsed("[::1]:9464") == ("::1", 9464)
