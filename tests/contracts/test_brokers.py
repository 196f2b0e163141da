"""The contract of `jobs.ports.Broker`, which every adapter passes."""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from central_dispatch.jobs.ports import Broker
from job_adapters import BROKERS, EmbeddedSite

#: A bound on waiting for what must come, in seconds; nothing is said about speed here.
PATIENCE_S = 20.0


@pytest.fixture(params=BROKERS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> EmbeddedSite:
    return BROKERS[request.param](tmp_path)


@pytest.fixture
def open_broker(site: EmbeddedSite) -> Iterator[Callable[[], Broker]]:
    opened: list[Broker] = []

    def make() -> Broker:
        opened.append(site.open())
        return opened[-1]

    yield make
    for broker in opened:
        broker.close()


class Heard:
    """Collects bells."""

    def __init__(self) -> None:
        self.bells: queue.Queue[str] = queue.Queue()

    def __call__(self, name: str) -> None:
        self.bells.put(name)

    def next(self) -> str:
        return self.bells.get(timeout=PATIENCE_S)

    def until(self, name: str) -> list[str]:
        """All bells up to the one of that queue."""
        found = []
        while (bell := self.next()) != name:
            found.append(bell)
        return found


def test_every_listener_of_a_queue_hears_its_bell_and_no_other_queues(open_broker: Callable[[], Broker]) -> None:
    first, second = Heard(), Heard()
    open_broker().listen(["ftp", "end"], first)
    open_broker().listen(["mail", "end"], second)
    ringer = open_broker()
    ringer.ring(["ftp", "other"])
    ringer.ring({"mail"})
    ringer.ring(["end"])
    assert first.until("end") == ["ftp"]
    assert second.until("end") == ["mail"]


def test_a_listener_hears_what_it_rings_itself(open_broker: Callable[[], Broker]) -> None:
    heard, broker = Heard(), open_broker()
    broker.listen(["ftp"], heard)
    broker.ring(["ftp"])
    assert heard.next() == "ftp"


def test_who_listens_again_hears_the_new_queues_and_leaves_the_old_ones_to_others(
    open_broker: Callable[[], Broker],
) -> None:
    heard, other, ringer, broker = Heard(), Heard(), open_broker(), open_broker()
    broker.listen(["ftp"], lambda name: heard(f"before: {name}"))
    broker.listen(["mail"], heard)
    open_broker().listen(["ftp"], other)
    ringer.ring(["ftp"])
    assert other.next() == "ftp"
    ringer.ring(["mail"])
    assert heard.next() == "mail"


def test_ringing_where_nobody_listens_is_no_error(open_broker: Callable[[], Broker]) -> None:
    ringer = open_broker()
    ringer.ring(["ftp"])
    heard, late = Heard(), open_broker()
    late.listen(["ftp"], heard)
    ringer.ring(["ftp"])
    assert heard.next() == "ftp", "a bell that nobody heard keeps none of the later ones back"


def test_many_rings_that_wait_together_are_heard_as_few(open_broker: Callable[[], Broker]) -> None:
    begun, go_on, calls = threading.Event(), threading.Event(), Heard()

    def slow(name: str) -> None:
        calls(name)
        begun.set()
        go_on.wait(PATIENCE_S)

    open_broker().listen(["ftp", "end"], slow)
    ringer = open_broker()
    ringer.ring(["ftp"])
    assert begun.wait(PATIENCE_S)
    for _ in range(5000):
        ringer.ring(["ftp"])
    go_on.set()
    calls.next()
    assert calls.next() == "ftp"  # at least one after the first
    ringer.ring(["end"])
    assert len(calls.until("end")) < 50


def test_a_listener_that_does_not_read_never_blocks_who_rings(open_broker: Callable[[], Broker]) -> None:
    go_on = threading.Event()
    stuck, other = Heard(), Heard()

    def hangs(name: str) -> None:
        stuck(name)
        go_on.wait(PATIENCE_S)

    open_broker().listen(["ftp"], hangs)
    ringer = open_broker()
    try:
        for _ in range(20_000):
            ringer.ring(["ftp", "mail"])
        open_broker().listen(["ftp"], other)
        ringer.ring(["ftp"])
        assert other.next() == "ftp"
    finally:
        go_on.set()


def test_a_fault_of_the_listener_does_not_end_its_bells(open_broker: Callable[[], Broker]) -> None:
    heard = Heard()

    def fails(name: str) -> None:
        heard(name)
        raise LookupError

    open_broker().listen(["ftp"], fails)
    ringer = open_broker()
    for _ in range(2):
        ringer.ring(["ftp"])
        assert heard.next() == "ftp"


def test_after_closing_nothing_is_heard_and_nothing_raised(open_broker: Callable[[], Broker]) -> None:
    heard, broker, ringer = Heard(), open_broker(), open_broker()
    broker.listen(["ftp"], heard)
    broker.close()
    broker.close()
    broker.ring(["ftp"])
    ringer.ring(["ftp"])
    assert heard.bells.empty()


def test_a_listener_may_close_the_broker_while_it_hears(open_broker: Callable[[], Broker]) -> None:
    broker, closed = open_broker(), threading.Event()

    def once(_name: str) -> None:
        broker.close()
        closed.set()

    broker.listen(["ftp"], once)
    open_broker().ring(["ftp"])
    assert closed.wait(PATIENCE_S)


def test_threads_may_ring_at_the_same_time(open_broker: Callable[[], Broker]) -> None:
    heard, ringer = Heard(), open_broker()
    names = [f"q{number}" for number in range(8)]
    open_broker().listen(names, heard)
    threads = [threading.Thread(target=ringer.ring, args=([name],)) for name in names]
    for thread in threads:
        thread.start()
    assert {heard.next() for _ in names} == set(names)
    for thread in threads:
        thread.join()


_LISTEN = """
import sys, time
sys.path[:0] = {path!r}
from job_adapters import *
broker = {broker}
broker.listen(["ftp"], lambda name: print(name, flush=True))
print("ready", flush=True)
time.sleep(600)
"""


def test_bells_cross_processes_and_a_killed_listener_costs_nothing(
    site: EmbeddedSite, open_broker: Callable[[], Broker]
) -> None:
    script = _LISTEN.format(path=sys.path, broker=site.expression)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    ringer, heard = open_broker(), Heard()
    try:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        ringer.ring(["ftp"])
        assert child.stdout.readline() == "ftp\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()
    open_broker().listen(["ftp"], heard)
    for _ in range(3):
        ringer.ring(["ftp"])
        assert heard.next() == "ftp"
