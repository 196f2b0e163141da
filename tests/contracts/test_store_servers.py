"""Stores on servers: connections that break at any moment, answers that are lost, servers that stop or refuse."""

import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.jobs.job import Claim, NewJob
from central_dispatch.jobs.outcome import Done
from central_dispatch.jobs.ports import Parent, StoreDown
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server import ServerStore
from central_dispatch.stores.server import connection as connections
from central_dispatch.stores.server.session import Session
from job_adapters import STORES, ServerSite
from servers.commit_cutter import CommitCutter
from servers.job_databases import DatabaseServer, started
from servers.places import passable_directory
from store_calls import NOW, Q, ended, joined, put, take

ENGINES = ["postgresql", "mariadb"]


@pytest.fixture(params=ENGINES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerSite]:
    made: ServerSite = STORES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module", params=ENGINES)
def own_server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server that a test may stop."""
    with passable_directory() as place:
        server = started(request.param, place)
        server.make_database("jobs")
        with_tables(server).close()
        yield server
        server.stop(signal.SIGKILL)


def on(server: DatabaseServer, name: str = "jobs", **more: Any) -> ServerStore:
    return ServerStore(driver_of(server.engine), server.configuration(name, **more))


def with_tables(server: DatabaseServer) -> ServerStore:
    store = on(server)
    store.create_tables()
    return store


class Breaking:
    """Has the server end the connection of whoever runs the statement of this number."""

    def __init__(self, server: DatabaseServer, at: int) -> None:
        self.server = server
        self.at = at
        self.seen = 0

    def __call__(self, session: Session, sql: str, values: Sequence[Any]) -> None:
        self.seen += 1
        if self.seen == self.at:
            own = "SELECT pg_backend_pid()" if self.server.engine == "postgresql" else "SELECT connection_id()"
            session._cursor.execute(own, ())
            self.server.cut(session._cursor.fetchall()[0][0])
        EXECUTE(session, sql, values)


EXECUTE = Session._execute


def do(act: str, store: ServerStore, parent: Parent, new: NewJob, claims: Sequence[Claim]) -> None:
    """Do it, as its caller does: asked again where nobody knows whether it was done."""
    try:
        match act:
            case "enqueue":
                assert store.enqueue([new], NOW) != [None]
            case "claim":
                assert len(take(store, parent)) == 1
            case "settle":
                assert store.settle([ended(store, claim, Done()) for claim in claims]) == [True]
            case "register":
                store.register(replace(parent, id=secrets.token_hex(16), host="elsewhere"), NOW)
    except connections.CommitUnknown:
        if act == "settle":
            assert store.settle([ended(store, claim, Done()) for claim in claims]) == [True]
        elif act == "claim":
            assert len(take(store, parent)) + len(store.held(parent.id)) >= 1


@pytest.mark.parametrize("act", ["enqueue", "claim", "settle", "register"])
def test_a_connection_that_is_cut_at_any_statement_costs_nothing(
    site: ServerSite, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    at, was_cut = 0, True
    while was_cut:
        at += 1
        store = site.open()
        parent = joined(store)
        new = NewJob(kind=Q, payload={}, unique_key=f"{act}-{at}")
        if act in {"claim", "settle"}:
            store.enqueue([new], NOW)
        claims = take(store, parent) if act == "settle" else []
        breaking = Breaking(site.server, at)
        monkeypatch.setattr(Session, "_execute", lambda *given, breaking=breaking: breaking(*given))
        try:
            do(act, store, parent, new, claims)
        finally:
            monkeypatch.setattr(Session, "_execute", EXECUTE)
        was_cut = breaking.seen >= at
        if act == "settle":
            assert [entry["outcome"] for entry in site.history(claims[0].job)] == ["done"]
        store.close()
    assert at > 3


def test_a_connection_that_the_server_ended_meanwhile_is_opened_anew_within_the_call(site: ServerSite) -> None:
    store = site.open()
    parent = joined(store)
    put(store)
    for session in site.server.sessions():
        site.server.cut(session)
    assert len(take(store, parent)) == 1


@pytest.fixture
def cutter(site: ServerSite) -> Iterator[CommitCutter]:
    made = CommitCutter(site.server.port)
    yield made
    made.close()


def test_a_settlement_whose_answer_is_lost_counts_as_written_once(site: ServerSite, cutter: CommitCutter) -> None:
    direct, store = site.open(), site.open(port=cutter.port)
    parent = joined(direct)
    put(direct, 2)
    done = [ended(direct, claim, Done()) for claim in take(direct, parent)]
    cutter.armed = True
    with pytest.raises(connections.CommitUnknown):
        store.settle(done)
    assert cutter.cuts == 1
    assert store.settle(done) == [True, True]
    # From then on it is what it is for everybody: settled before.
    assert store.settle(done) == [False, False]
    assert [len(site.history(one.claim.job)) for one in done] == [1, 1]


def test_a_claim_whose_answer_is_lost_is_found_among_what_the_parent_holds(
    site: ServerSite, cutter: CommitCutter
) -> None:
    direct, store = site.open(), site.open(port=cutter.port)
    parent = joined(direct)
    jobs = put(direct, 3)
    take(store, parent, queue="another")  # the clock is noted, in a transaction of its own
    cutter.armed = True
    with pytest.raises(connections.CommitUnknown):
        take(store, parent)
    assert [claim.job for claim in store.held(parent.id)] == jobs
    assert take(store, parent) == []


def test_a_registration_whose_answer_is_lost_can_be_repeated(site: ServerSite, cutter: CommitCutter) -> None:
    store = site.open(port=cutter.port)
    parent = Parent("a" * 32, "host", 4711, (Q,), 1)
    cutter.armed = True
    with pytest.raises(connections.CommitUnknown):
        store.register(parent, NOW)
    store.register(parent, NOW)
    assert [beat.parent for beat in store.beats()] == [parent.id]


def test_a_deadlock_is_tried_again_and_nobody_hears_of_it(site: ServerSite, monkeypatch: pytest.MonkeyPatch) -> None:
    store = site.open()
    parent = joined(store)
    first, second = put(store, 2)
    done = [ended(store, claim, Done()) for claim in take(store, parent)]
    others = put(store, 200, queue="others")
    found: list[str] = []
    driver = driver_of(site.engine)
    real = driver.verdict

    def verdict(error: Exception, *, closed: bool) -> str:
        found.append(real(error, closed=closed))
        return found[-1]

    monkeypatch.setattr(driver, "verdict", verdict)
    enemy = site.server.administrator(site.name)
    cursor = enemy.cursor()
    if site.engine == "postgresql":
        cursor.execute("SET deadlock_timeout = '20s'")  # so that the other side sees it first
    cursor.execute("BEGIN")
    # The side that has changed less is the one that MariaDB undoes.
    cursor.executemany("UPDATE job SET words = 'x' WHERE id = %s", [(job,) for job in (*others, second)])
    answers: list[list[bool]] = []
    settling = threading.Thread(target=lambda: answers.append(store.settle(done)))
    settling.start()
    until_blocked(site, "FOR UPDATE")
    cursor.execute("UPDATE job SET words = 'x' WHERE id = %s", (first,))
    cursor.execute("COMMIT")
    settling.join(30)
    assert answers == [[True, True]]
    assert "again" in found
    enemy.close()


def until_blocked(site: ServerSite, word: str) -> None:
    """Wait until a statement with this word waits for a row."""
    watcher = site.server.administrator()
    cursor = watcher.cursor()
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
        if site.engine == "postgresql"
        else "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE %s"
    )
    event = threading.Event()
    for _ in range(100):
        cursor.execute(waiting, (f"%{word}%",))
        if cursor.fetchall()[0][0]:
            watcher.close()
            return
        # MariaDB shows what it saw before to those who ask again within a tenth of a second.
        event.wait(0.15)
    raise AssertionError("nobody waits")


_CLAIM_ALL = """
import sys
sys.path[:0] = {path!r}
from datetime import datetime, UTC
from job_adapters import *
from central_dispatch.jobs.ports import Parent
import os
store = {store}
store.register(Parent(f"{{os.getpid():032x}}", "host", os.getpid(), ("q",), 5), datetime.now(UTC))
print("ready", flush=True)
sys.stdin.readline()
while claims := store.claim({queue!r}, f"{{os.getpid():032x}}", 7, datetime.now(UTC)):
    print(*[claim.job for claim in claims], flush=True)
"""


def test_many_processes_that_claim_at_once_never_get_one_job_twice(site: ServerSite) -> None:
    jobs = put(site.open(), 700)
    text = _CLAIM_ALL.format(path=sys.path, store=site.expression, queue=Q)
    processes = [
        subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for one in processes:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    taken: list[int] = []
    for one in processes:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in processes:
        taken += map(int, one.communicate(timeout=60)[0].split())
    assert sorted(taken) == jobs


# A server of one's own


def test_a_server_that_stops_in_the_middle_is_away_and_the_same_store_goes_on_when_it_is_back(
    own_server: DatabaseServer,
) -> None:
    store = on(own_server)
    parent = joined(store)
    jobs = put(store, 3)
    claims = take(store, parent)
    own_server.stop()
    for act in refused_acts(store, parent):
        with pytest.raises(StoreDown, match="Check that it runs") as caught:
            act()
        assert "\n" not in str(caught.value)
        assert "a passphrase of tests" not in str(caught.value)
    own_server.start()
    assert store.settle([ended(store, claim, Done()) for claim in claims]) == [True] * 3
    assert [claim.job for claim in claims] == jobs
    store.leave(parent.id)
    store.close()


def refused_acts(store: ServerStore, parent: Parent) -> list[Callable[[], object]]:
    return [
        lambda: store.enqueue([NewJob(kind=Q, payload={})], NOW),
        lambda: take(store, parent),
        lambda: store.beat(parent.id),
        store.beats,
    ]


def test_a_server_that_hangs_does_not_hang_the_store(
    own_server: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_of(own_server.engine), "PATIENCE_S", 1.0)
    store = on(own_server)
    store.beats()
    assert own_server.process
    signal_all(own_server.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreDown):
            store.beats()
    finally:
        signal_all(own_server.process.pid, signal.SIGCONT)
    store.beats()
    store.close()


def signal_all(pid: int, number: signal.Signals) -> None:
    """Send a signal to a server and its children: PostgreSQL has a process for each connection."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        os.kill(one, number)


def test_what_is_wrong_with_an_account_or_a_database_is_said_with_its_mend(own_server: DatabaseServer) -> None:
    wrong = own_server.directory / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong\n")
    own_server.make_database("empty")
    for store, mend in (
        (on(own_server, password_file=wrong), "password_file"),
        (on(own_server, "nosuch"), "show-database-sql"),
        (on(own_server, "empty"), "start the dispatcher once to migrate"),
        (on(own_server, password_file=own_server.directory / "missing"), "Write the password"),
    ):
        with pytest.raises(StoreDown, match=mend):
            store.beats()
        store.close()
    wrong.unlink()


def test_a_server_that_is_read_only_is_away_and_says_so(own_server: DatabaseServer) -> None:
    store = on(own_server)
    administrator = own_server.administrator()
    on_and_off = (
        ("ALTER DATABASE jobs SET default_transaction_read_only = on", "ALTER DATABASE jobs RESET ALL")
        if own_server.engine == "postgresql"
        else ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0")
    )
    administrator.cursor().execute(on_and_off[0])
    try:
        with pytest.raises(StoreDown, match="read-only"):
            store.enqueue([NewJob(kind=Q, payload={})], datetime.now(UTC))
    finally:
        administrator.cursor().execute(on_and_off[1])
        administrator.close()
    store.close()
    put(store)


def test_a_server_without_a_free_connection_says_what_to_raise(own_server: DatabaseServer) -> None:
    administrator = own_server.administrator()
    cursor = administrator.cursor()
    if own_server.engine == "postgresql":
        cursor.execute("ALTER ROLE central_dispatch CONNECTION LIMIT 0")
        undo = "ALTER ROLE central_dispatch CONNECTION LIMIT -1"
    else:
        cursor.execute("GRANT USAGE ON *.* TO central_dispatch@localhost WITH MAX_USER_CONNECTIONS 1")
        cursor.execute("GRANT USAGE ON *.* TO central_dispatch@127.0.0.1 WITH MAX_USER_CONNECTIONS 1")
        undo = "GRANT USAGE ON *.* TO central_dispatch@127.0.0.1 WITH MAX_USER_CONNECTIONS 0"
    holder, store = on(own_server), on(own_server)
    try:
        if own_server.engine == "mariadb":
            holder.beats()
        with pytest.raises(StoreDown, match=r"connections|at a limit"):
            store.beats()
    finally:
        holder.close()
        cursor.execute(undo)
        administrator.close()
    store.beats()
    store.close()
