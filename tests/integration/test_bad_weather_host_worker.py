"""A real host worker that is killed at any moment, told to stop, or left alone by its dispatcher, in mid-run."""

import fcntl
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
import pytest

from central_dispatch.host import identity
from central_dispatch.host.identity import Identity
from central_dispatch.host.journal_file import read
from central_dispatch.host.settings import Home
from central_dispatch.platforms import commands, proc
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.provisioning.journal import replay
from central_dispatch.provisioning.problem import Unavailable
from central_dispatch.provisioning.protocol import Order
from servers.fingerprint import difference
from servers.host_process import HostProcess
from servers.host_rig import WORDPRESS, HostRig, add_source
from servers.own_lines import own_lines
from servers.places import passable_directory
from servers.scripted_dispatcher import Notifying, hex_id, over_https
from servers.weather import fresh, make_source

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")

SEED = 20261124
LIMIT_S = 60.0  # only ever reached by a test that fails


@dataclass
class Weather:
    """A host with a neighbour, its dispatcher, and the host worker's processes."""

    rig: HostRig
    home: Home
    dispatcher: Notifying
    clean: list[str]
    number: int = 0
    processes: list[HostProcess] = field(default_factory=list)

    def start(self, *, once: bool = False) -> HostProcess:
        process = HostProcess(self.home, once=once)
        self.processes.append(process)
        return process

    def order(self, source: str, release: str = "1.0.0", kind: str = "deploy", instance: str = "") -> Order:
        self.number += 1
        changes = {"id": instance} if instance else {}
        order = Order(run=hex_id(self.number), kind=kind, spec=fresh(self.rig, source, release, **changes))
        self.dispatcher.give(order)
        return order

    def journal(self, order: Order) -> Path:
        return self.rig.sandbox.state_directory / "journal" / f"{order.run}.jsonl"

    def ended(self, order: Order) -> str:
        """Return how a run ended on the host; empty for one that never began."""
        if not self.journal(order).exists():
            return ""
        state = replay(read(self.journal(order)))
        assert state
        return state.ended or f"neither: {state.stuck or state.backing_out}"

    def forget(self, *orders: Order) -> None:
        """Have the next process find no order that was not begun."""
        with self.dispatcher.changed:
            for order in orders:
                self.dispatcher.orders.pop(order.run, None)


@pytest.fixture(scope="module")
def host() -> Iterator[tuple[HostRig, Notifying, list[str]]]:
    with passable_directory() as place:
        box = sandboxes.create(str(place / "box"))
        try:
            box.start()
            add_source(box, "sample")
            add_source(box, "wordpress", "6.1.9", WORDPRESS)
            make_source(box, "slow", "i=0; while [ $i -lt 20 ]; do echo $i; sleep 0.1; i=$((i+1)); done")
            dispatcher = Notifying()
            with over_https(dispatcher, place) as (url, pin):
                identity.save(box.state_directory, Identity(url, pin, "1" * 32, "web1", "fp", "credential"))
                rig = HostRig(box)
                rig.home()
                yield rig, dispatcher, own_lines(box)
        finally:
            box.stop()


_numbers = iter(range(0, 10**6, 100))


@pytest.fixture
def weather(host: tuple[HostRig, Notifying, list[str]]) -> Iterator[Weather]:
    rig, dispatcher, clean = host
    made = Weather(rig, rig.home(), dispatcher, clean, next(_numbers))
    yield made
    for process in made.processes:
        process.kill()
    for path in (rig.sandbox.state_directory / "journal").glob("*.*"):
        path.unlink()
    with dispatcher.changed:
        dispatcher.orders.clear()
        dispatcher.away = False


def wait_for(fact: Callable[[], object]) -> None:
    until = time.monotonic() + LIMIT_S
    while not fact():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.001)


def killed_then_restarted(weather: Weather, order: Order, moment: Callable[[], object]) -> str:
    """Kill a host worker at a moment, start it again; return how the run ended, all else being as before."""
    first = weather.start()
    wait_for(lambda: weather.journal(order).exists())
    moment()
    first.kill()
    weather.forget(order)
    again = weather.start(once=True)
    assert again.wait() == 0
    ending = weather.ended(order)
    if ending == "committed":
        weather.rig.get(order.spec.hostnames[0], "/")
        assert weather.rig.delete(order.spec) == "committed"
    assert ending in {"committed", "backed_out"}
    assert difference(weather.clean, own_lines(weather.rig.sandbox)) == []
    return ending


def children_named(pid: int, name: str) -> list[proc.Process]:
    def is_that(one: proc.Process) -> bool:
        try:
            return Path(f"/proc/{one.pid}/comm").read_text().strip() == name
        except OSError:
            return False

    return [one for one in proc.processes() if one.parent == pid and is_that(one)]


def test_killed_while_a_useradd_runs_nothing_of_it_appears_later(weather: Weather) -> None:
    order = weather.order("sample")
    # A group table that somebody else holds: useradd waits for it, and outlives its host worker.
    lock = Path("/etc/.pwd.lock")
    with lock.open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        first = weather.start()
        wait_for(lambda: children_named(first.pid, "useradd"))
        left = children_named(first.pid, "useradd")
        first.kill()
        weather.forget(order)
        again = weather.start(once=True)
        assert proc.find(left[0].pid), "it waits for the lock"
        # Ample time for a recovery that would not wait for it.
        time.sleep(2)
        assert weather.ended(order) != "backed_out", "what the useradd will have made could not be seen yet"
    assert again.wait() == 0
    assert weather.ended(order) == "backed_out"
    assert difference(weather.clean, own_lines(weather.rig.sandbox)) == []


def test_killed_while_the_code_is_copied(weather: Weather) -> None:
    order = weather.order("wordpress", "6.1.9")
    releases = Path(weather.rig.sandbox.layout.install_path) / order.spec.web_root / "releases"
    copying = killed_then_restarted(
        weather, order, lambda: wait_for(lambda: releases.exists() and any(releases.glob(".cd-*.new/*")))
    )
    assert copying == "backed_out"


def test_killed_while_the_install_command_makes_tables(weather: Weather) -> None:
    order = weather.order("wordpress", "6.1.9")
    find = weather.rig.host.databases.find

    def tables() -> int:
        found = find(order.spec.database)
        return found.tables if found else 0

    assert killed_then_restarted(weather, order, lambda: wait_for(tables)) == "backed_out"


def test_killed_at_any_of_thirty_moments_it_ends_fully_up_or_as_if_it_had_never_been(weather: Weather) -> None:
    chance = random.Random(SEED)  # noqa: S311 not a secret
    endings = []
    for number in range(30):
        source, release = ("wordpress", "6.1.9") if number % 5 == 0 else ("sample", "1.0.0")
        order = weather.order(source, release)
        pause_s = chance.uniform(0, 1.2 if source == "wordpress" else 0.5)
        endings.append(killed_then_restarted(weather, order, lambda pause_s=pause_s: time.sleep(pause_s)))
    assert "backed_out" in endings


def test_told_to_stop_it_finishes_the_run_under_way_and_begins_no_other(weather: Weather) -> None:
    order = weather.order("slow")
    process = weather.start()
    wait_for(lambda: "output" in weather.dispatcher.kinds(int(order.run, 16)))
    second = weather.order("sample")
    process.terminate()
    assert process.wait() == 0
    assert weather.ended(order) == "committed"
    # All of it was reported, too.
    assert weather.dispatcher.kinds(int(order.run, 16))[-1] == "end"
    assert weather.ended(second) in {"", "committed"}
    weather.forget(second)
    for one in (order, second):
        if weather.ended(one):
            assert weather.rig.delete(one.spec) == "committed"
    assert difference(weather.clean, own_lines(weather.rig.sandbox)) == []


def test_with_the_dispatcher_away_in_mid_run_it_goes_on_and_is_reported_later(weather: Weather) -> None:
    order = weather.order("slow")
    number = int(order.run, 16)
    process = weather.start()
    wait_for(lambda: "output" in weather.dispatcher.kinds(number))
    weather.dispatcher.set_away(away=True)
    known = len(weather.dispatcher.kinds(number))
    wait_for(lambda: weather.ended(order) == "committed")
    assert len(weather.dispatcher.kinds(number)) == known
    weather.dispatcher.set_away(away=False)
    kinds = weather.dispatcher.await_kind(number, "end", LIMIT_S)
    assert kinds.count("end") == 1
    assert [event.sequence for event in weather.dispatcher.events[order.run]] == list(range(1, len(kinds) + 1))
    process.terminate()
    assert process.wait() == 0
    assert weather.rig.delete(order.spec) == "committed"


def test_killed_with_the_dispatcher_away_it_recovers_alone_and_reports_when_it_is_back(weather: Weather) -> None:
    order = weather.order("slow")
    number = int(order.run, 16)
    first = weather.start()
    wait_for(lambda: "output" in weather.dispatcher.kinds(number))
    weather.dispatcher.set_away(away=True)
    first.kill()
    again = weather.start()
    wait_for(lambda: weather.ended(order) == "backed_out")
    assert difference(weather.clean, own_lines(weather.rig.sandbox)) == []
    weather.dispatcher.set_away(away=False)
    assert weather.dispatcher.await_kind(number, "end", LIMIT_S)[-1] == "end"
    again.terminate()
    assert again.wait() == 0


def test_killed_while_the_server_still_holds_its_statement_nothing_is_called_absent(weather: Weather) -> None:
    """CREATE DATABASE waits for a lock, its host worker is gone: what it will make must not be overlooked."""
    access = weather.rig.sandbox.database
    name, server = "bw_late", MariaDb(access)
    # The server knows root by the socket.
    with pymysql.connect(unix_socket=access.socket, user="root") as locking:
        locking.cursor().execute("FLUSH TABLES WITH READ LOCK")
        child = os.fork()
        if child == 0:
            MariaDb(access).create(name, "late")
            os._exit(0)
        statement = f"CREATE DATABASE `{name}`%"
        wait_for(lambda: executed(access, statement))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with pytest.raises(Unavailable, match="busy with an earlier statement"):
            server.find(name)
        locking.cursor().execute("UNLOCK TABLES")
    wait_for(lambda: not executed(access, statement))
    found = server.find(name)
    assert found
    assert found.comment == "late"
    server.drop(name)
    assert server.find(name) is None


def executed(access: DatabaseAccess, statement: str) -> int:
    """Return how many connections are at that statement."""
    with (
        pymysql.connect(unix_socket=access.socket, user=access.user, password=access.password) as connection,
        connection.cursor() as cursor,
    ):
        return cursor.execute("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE %s", (statement,))


def test_a_systems_command_has_all_of_its_input_before_it_starts() -> None:
    """From a pipe, `crontab -` would install what it got until its host worker was killed: an empty table."""
    assert "memfd" in commands.run(["/bin/readlink", "/proc/self/fd/0"], stdin="a table").out
    assert commands.run(["/bin/cat"], stdin="a table\n").out == "a table\n"
