"""What only the SQLite store has: the file, the gate, its faults, its indexes."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from central_dispatch.jobs.job import Claim, NewJob, Settlement
from central_dispatch.jobs.ports import Parent, Settled, StoreDown
from central_dispatch.stores.gate import Gate, gate_path
from central_dispatch.stores.places import open_store
from central_dispatch.stores.sqlite import SqliteStore, claiming, connection
from central_dispatch.stores.sqlite.connection import Connections
from central_dispatch.stores.sqlite.store import process_is_gone
from central_dispatch.stores.sqlite.times import from_text, to_text

Q = "ftp"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARENT = Parent("a" * 32, "host", 1, (Q,), 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "jobs.sqlite3").touch()
    return tmp_path / "jobs.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path)
    made.create_tables()
    made.register(PARENT, NOW)
    yield made
    made.close()


def put(store: SqliteStore, amount: int = 1) -> None:
    store.enqueue([NewJob(kind=Q, payload={}) for _ in range(amount)], NOW)


def done(claim: Claim, output: bytes = b"") -> Settled:
    return Settled(claim, Settlement(state="finished", attempts=1, deferrals=0), 1, NOW, NOW, "done", output)


def test_it_lies_in_the_dispatchers_database(tmp_path: Path) -> None:
    (tmp_path / "dispatcher").mkdir()
    (tmp_path / "dispatcher" / "dispatch.sqlite3").touch()
    store = open_store(tmp_path)
    store.create_tables()
    assert store.beats() == []
    store.close()


def test_every_commit_is_durable(path: Path) -> None:
    with Connections(path).writing() as own:
        assert own.execute("PRAGMA synchronous").fetchone() == (2,)
        assert own.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_write_waits_at_the_gate_and_a_read_does_not(store: SqliteStore, path: Path) -> None:
    gate = Gate(gate_path(path))
    gate.enter()
    written = threading.Event()
    writer = threading.Thread(target=lambda: (put(store), written.set()))
    writer.start()
    assert store.next_due([Q], NOW) is None
    assert store.claim(Q, PARENT.id, 5, NOW) == []  # nothing is due: an idle parent takes no turn
    assert not written.is_set()
    gate.close()
    writer.join()
    assert store.next_due([Q], NOW) == NOW


def test_a_gate_that_stays_shut_is_a_store_that_is_down_for_a_while(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE_S", 0.02)
    store.close()  # the next call opens with the shorter patience
    gate = Gate(gate_path(path))
    gate.enter()
    with pytest.raises(StoreDown, match="holds the database"):
        put(store)
    gate.close()
    put(store)
    assert len(store.claim(Q, PARENT.id, 5, NOW)) == 1


def test_a_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "none.sqlite3")
    with pytest.raises(StoreDown, match=r"none\.sqlite3 .* Check that the file exists"):
        store.beats()
    assert list(tmp_path.iterdir()) == []


def test_missing_tables_say_to_migrate(path: Path) -> None:
    with pytest.raises(StoreDown, match="migrate"):
        SqliteStore(path).beats()


def test_a_damaged_file_says_so(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDown, match="backup"):
        SqliteStore(path).beats()


def test_a_full_disk_loses_nothing_and_says_what_to_do(store: SqliteStore) -> None:
    put(store)
    with store._connections.writing() as own:
        pages = own.execute("PRAGMA page_count").fetchone()[0]
        own.execute(f"PRAGMA max_page_count = {pages}")  # this connection's own disk is full now
    large = [NewJob(kind=Q, payload={"x": "x" * 50_000}) for _ in range(5)]
    with pytest.raises(StoreDown, match="Free space"):
        store.enqueue(large, NOW)
    # The connection was opened anew, with room.
    assert len(store.claim(Q, PARENT.id, 5, NOW)) == 1
    assert None not in store.enqueue(large, NOW)


def test_a_fault_of_our_own_is_no_store_that_is_down(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.register(PARENT, NOW)
    put(store)  # and the transaction was undone


def test_an_exception_undoes_the_transaction(store: SqliteStore) -> None:
    def fails() -> None:
        with store._connections.writing() as own:
            own.execute("DELETE FROM job_parent")
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    assert len(store.beats()) == 1


def test_output_that_cannot_be_kept_does_not_stop_a_settlement(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.with_name("output.sqlite3").mkdir()
    put(store)
    (claim,) = store.claim(Q, PARENT.id, 1, NOW)
    with caplog.at_level(logging.WARNING):
        assert store.settle([done(claim, b"text")]) == [True]
    assert "output was not kept" in caplog.text


def test_the_output_file_is_private_and_beside_the_database(store: SqliteStore, path: Path) -> None:
    put(store)
    store.settle([done(claim, b"text") for claim in store.claim(Q, PARENT.id, 1, NOW)])
    assert path.with_name("output.sqlite3").stat().st_mode & 0o777 == 0o600


def test_each_thread_has_its_own_connection_and_close_closes_them_all(store: SqliteStore) -> None:
    seen: list[int] = []

    def look() -> None:
        with store._connections.reading() as own:
            seen.append(id(own))

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert len(set(seen)) == 2
    assert len(store._connections._all) == 2
    store.close()
    assert not store._connections._all
    assert store.beats()  # and it may be used again


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (claiming._CLAIM, ("p", "t", Q, 5, "t", 1), "job_due"),
        (claiming._DUE_PRIORITIES, (Q, "t"), "job_due"),
        (claiming._NEXT_DUE, ("[]",), "job_due"),
        ("SELECT count(*) FROM job WHERE queue = ? AND state = 'running'", (Q,), "job_running"),
        ("SELECT id FROM job WHERE queue = ? AND state = 'in_error'", (Q,), "job_dead"),
    ],
)
def test_hot_statements_walk_their_index(
    store: SqliteStore, statement: str, values: tuple[object, ...], index: str
) -> None:
    with store._connections.reading() as own:
        plan = own.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    details = [row[3] for row in plan]
    assert any(index in detail for detail in details), details
    assert not any(detail == "SCAN job" or detail.startswith("SCAN job ") for detail in details), details
    # A claim's choice comes in the index's order: sorting would walk all that waits.
    assert statement is not claiming._CLAIM or not any("TEMP B-TREE" in detail for detail in details), details


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01 12:00:00.000000"),
        (datetime.fromisoformat("2026-03-01T12:00:00.5+02:00"), "2026-03-01 10:00:00.500000"),
    ],
)
def test_times_are_utc_text_that_sorts(moment: datetime, text: str) -> None:
    assert to_text(moment) == text
    assert from_text(text) == moment


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_text(datetime(2026, 3, 1, 12))  # noqa: DTZ001 that is the point


def test_a_step_back_of_the_clock_is_handled_once(store: SqliteStore) -> None:
    put(store)
    back = NOW - timedelta(hours=1)
    store.enqueue([NewJob(kind=Q, payload={})], back)
    with store._connections.reading() as own:
        assert not claiming.was_set_back(own, back)
    store.register(Parent("b" * 32, "host", 2, (Q,), 1), back)
    assert len(store.claim(Q, "b" * 32, 9, back)) == 2


def test_only_a_process_that_is_surely_dead_counts_as_gone() -> None:
    assert not process_is_gone(1)
    assert process_is_gone(2**22 + 1)  # above the kernel's highest number
