"""The contract of `jobs.ports.Broker`, which every adapter passes."""

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from central_dispatch.jobs.ports import Broker, DeadLetter
from job_adapters import BROKERS, BrokerSite

#: A bound on waiting for what must come, in seconds; nothing is said about speed here.
PATIENCE_S = 20.0


@pytest.fixture(params=BROKERS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> BrokerSite:
    return BROKERS[request.param](tmp_path)


@pytest.fixture
def open_broker(site: BrokerSite) -> Iterator[Callable[[], Broker]]:
    opened: list[Broker] = []

    def make() -> Broker:
        opened.append(site.open())
        return opened[-1]

    yield make
    for broker in opened:
        broker.close()


class Heard:
    """Collects bells, and looks after each at once, as a parent with room does."""

    def __init__(self, broker: Broker) -> None:
        self.bells: queue.Queue[str] = queue.Queue()
        self.broker = broker

    def __call__(self, name: str) -> None:
        self.bells.put(name)
        self.broker.looked(name)

    def next(self) -> str:
        return self.bells.get(timeout=PATIENCE_S)

    def until(self, name: str) -> list[str]:
        """All bells up to the one of that queue."""
        found = []
        while (bell := self.next()) != name:
            found.append(bell)
        return found


def listening(broker: Broker, *queues: str) -> Heard:
    heard = Heard(broker)
    broker.listen(queues, heard)
    return heard


def test_a_bell_is_heard_by_who_listens_to_its_queue_and_by_nobody_else(open_broker: Callable[[], Broker]) -> None:
    first, second = listening(open_broker(), "ftp", "end"), listening(open_broker(), "mail", "over")
    ringer = open_broker()
    ringer.ring(["ftp", "other"])
    ringer.ring({"mail"})
    assert first.next() == "ftp"
    assert second.next() == "mail"
    ringer.ring(["end", "over"])
    assert first.until("end") == []
    assert second.until("over") == []


def test_a_call_is_heard_by_all_who_listen_to_its_queue(open_broker: Callable[[], Broker]) -> None:
    everybody = [listening(open_broker(), "ftp") for _ in range(3)]
    other = listening(open_broker(), "mail")
    ringer = open_broker()
    ringer.call(["ftp", "unknown"])
    assert [heard.next() for heard in everybody] == ["ftp"] * 3
    ringer.call(["mail"])
    assert other.next() == "mail"


def test_a_bell_that_nobody_looked_after_comes_to_another_listener(open_broker: Callable[[], Broker]) -> None:
    heard: queue.Queue[str] = queue.Queue()
    silent = open_broker()
    silent.listen(["ftp"], heard.put)
    open_broker().ring(["ftp"])
    assert heard.get(timeout=PATIENCE_S) == "ftp"
    other = listening(open_broker(), "ftp")
    silent.close()
    open_broker().ring(["ftp"])
    assert other.next() == "ftp"


def test_a_listener_hears_what_it_rings_itself(open_broker: Callable[[], Broker]) -> None:
    broker = open_broker()
    heard = listening(broker, "ftp")
    broker.ring(["ftp"])
    assert heard.next() == "ftp"


def test_who_listens_again_hears_the_new_queues_and_leaves_the_old_ones_to_others(
    open_broker: Callable[[], Broker],
) -> None:
    broker, ringer = open_broker(), open_broker()
    before, heard = listening(broker, "ftp", "end"), Heard(broker)
    broker.listen(["mail", "end"], heard)
    other = listening(open_broker(), "ftp", "over")
    ringer.ring(["mail", "ftp"])
    assert heard.next() == "mail"
    assert other.next() == "ftp"
    ringer.ring(["end", "over"])
    assert heard.until("end") == []
    assert other.until("over") == []
    assert before.bells.empty()


def test_ringing_where_nobody_listens_is_no_error(open_broker: Callable[[], Broker]) -> None:
    ringer = open_broker()
    ringer.ring(["ftp"])
    ringer.call(["ftp"])
    late = listening(open_broker(), "ftp")
    ringer.ring(["ftp"])
    assert late.next() == "ftp", "a bell that nobody heard keeps none of the later ones back"


def test_copies_of_dead_letters_are_taken_without_a_word(open_broker: Callable[[], Broker]) -> None:
    broker = open_broker()
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    broker.bury([DeadLetter(7, "ftp", {"file": "ä\udc80"}, "no \x00 such host\udc80", 3, expires_at)] * 2)
    heard = listening(broker, "ftp")
    broker.ring(["ftp"])
    assert heard.next() == "ftp"
    assert broker.problem() == ""


def test_many_rings_that_wait_together_are_heard_as_few(open_broker: Callable[[], Broker]) -> None:
    begun, go_on = threading.Event(), threading.Event()
    broker = open_broker()
    calls = Heard(broker)

    def slow(name: str) -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        calls(name)

    broker.listen(["ftp"], slow)
    ringer = open_broker()
    ringer.ring(["ftp"])
    assert begun.wait(PATIENCE_S)
    for _ in range(5000):
        ringer.ring(["ftp"])
    ringer.close()  # sends what it has
    go_on.set()
    assert [calls.next(), calls.next()] == ["ftp"] * 2  # at least one after the first
    broker.close()  # what is heard is all that there is
    assert calls.bells.qsize() < 50


def test_a_listener_that_does_not_read_never_blocks_who_rings(open_broker: Callable[[], Broker]) -> None:
    go_on = threading.Event()

    def hangs(_name: str) -> None:
        go_on.wait(PATIENCE_S)

    open_broker().listen(["ftp"], hangs)
    ringer = open_broker()
    try:
        for _ in range(20_000):
            ringer.ring(["ftp", "mail"])
        other = listening(open_broker(), "ftp")
        ringer.ring(["ftp"])
        assert other.next() == "ftp"
    finally:
        go_on.set()


def test_a_fault_of_the_listener_does_not_end_its_bells(open_broker: Callable[[], Broker]) -> None:
    broker = open_broker()
    heard = Heard(broker)

    def fails(name: str) -> None:
        heard(name)
        raise LookupError

    broker.listen(["ftp"], fails)
    ringer = open_broker()
    for _ in range(2):
        ringer.ring(["ftp"])
        assert heard.next() == "ftp"


def test_after_closing_nothing_is_heard_and_nothing_raised(open_broker: Callable[[], Broker]) -> None:
    broker, ringer = open_broker(), open_broker()
    heard = listening(broker, "ftp")
    broker.close()
    broker.close()
    for act in (broker.ring, broker.call):
        act(["ftp"])
    broker.looked("ftp")
    broker.bury([DeadLetter(7, "ftp", {}, "no such host", 3, datetime.now(UTC) + timedelta(hours=1))])
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
    ringer = open_broker()
    names = [f"q{number}" for number in range(8)]
    heard = listening(open_broker(), *names)
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
broker.listen(["ftp"], lambda name: (print(name, flush=True), broker.looked(name)))
print("ready", flush=True)
time.sleep(600)
"""


def test_bells_cross_processes_and_a_killed_listener_costs_nothing(
    site: BrokerSite, open_broker: Callable[[], Broker]
) -> None:
    script = _LISTEN.format(path=sys.path, broker=site.expression)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    ringer = open_broker()
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
    heard = listening(open_broker(), "ftp")
    for _ in range(3):
        ringer.ring(["ftp"])
        assert heard.next() == "ftp"
