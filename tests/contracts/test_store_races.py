"""Stores on servers: what others do in the very moment between a look and a change."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import MySQLdb
import psycopg
import pytest
from django.db import IntegrityError

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Failed
from central_dispatch.jobs.ports import Parent, StoreDown
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server import ServerStore, clock, parents
from central_dispatch.stores.server.session import Session
from job_adapters import STORES, ServerSite
from store_calls import NOW, Q, joined, put, settle, take

ENGINES = ["postgresql", "mariadb"]
EXECUTE = Session._execute


@pytest.fixture(params=ENGINES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerSite]:
    made: ServerSite = STORES[request.param](tmp_path)
    yield made
    made.close()


def opened(site: ServerSite) -> ServerStore:
    store = site.open()
    assert isinstance(store, ServerStore)
    return store


def before(start: str, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have somebody do something right before the next statement that begins so."""
    waiting = [act]

    def execute(session: Session, sql: str, values: Sequence[Any]) -> None:
        if waiting and sql.lstrip().startswith(start):
            waiting.pop()()
        EXECUTE(session, sql, values)

    monkeypatch.setattr(Session, "_execute", execute)


@pytest.mark.parametrize("act", ["retry", "requeue"])
def test_who_loses_the_race_for_a_unique_key_is_told_that_it_is_held_and_goes_on(
    site: ServerSite, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = opened(site), opened(site)
    parent = joined(store)
    put(store, unique_key="one")
    while claims := take(store, parent, at=NOW + timedelta(days=1)):
        settle(store, claims[0], Failed("no"))
    (keyed,) = [row["id"] for row in site.rows()]
    (plain,) = put(store, queue="plain")
    assert site.row(keyed)["state"] == "in_error"

    def retried(session: Session) -> object:
        done = site.acts.retry(session, keyed, NOW) if act == "retry" else site.acts.requeue(session, [keyed], NOW)
        # The transaction is whole: what it does besides counts.
        return done, site.acts.cancel(session, plain, "anna", "", NOW)

    before(
        "UPDATE job SET state = 'waiting'",
        lambda: other.enqueue([NewJob(kind=Q, payload={}, unique_key="one")], NOW),
        monkeypatch,
    )
    assert site.write(retried) == ("key held" if act == "retry" else [], True)
    assert (site.row(keyed)["state"], site.row(plain)["state"]) == ("in_error", "interrupted")


def test_a_held_key_is_known_from_the_drivers_error_and_from_djangos() -> None:
    on_postgresql = IntegrityError("duplicate key")
    on_postgresql.__cause__ = psycopg.errors.UniqueViolation("duplicate key")
    other = IntegrityError("null value")
    other.__cause__ = psycopg.errors.NotNullViolation("null value")
    is_duplicate = driver_of("postgresql").DIALECT.is_duplicate
    found = [is_duplicate(error) for error in (on_postgresql, on_postgresql.__cause__, other, other.__cause__)]
    assert found == [True, True, False, False]
    is_duplicate = driver_of("mariadb").DIALECT.is_duplicate
    errors = [kind(code, "x") for kind in (MySQLdb.IntegrityError, IntegrityError) for code in (1062, 1048)]
    assert [is_duplicate(error) for error in errors] == [True, False, True, False]


def test_nobody_registers_while_a_restore_raises_the_epoch(site: ServerSite) -> None:
    """A parent that came in meanwhile would claim with the old epoch, and not be struck off."""
    store, other = opened(site), opened(site)
    newcomer = Parent("b" * 32, "host", 4711, (Q,), 1)
    patience = {"postgresql": "SET LOCAL lock_timeout = '100ms'", "mariadb": "SET innodb_lock_wait_timeout = 1"}

    def register(session: Session) -> list[int]:
        session.run(patience[site.engine])
        return parents.register(session, other._queues, newcomer, other._is_gone, NOW)

    def raised(session: Session) -> None:
        parents.raise_epoch(session, NOW)
        with pytest.raises(StoreDown, match=r"[Ll]ock"):
            other._connections.write(register)

    store._connections.write(raised)
    assert store.beats() == []
    other.register(newcomer, NOW)
    assert [beat.parent for beat in store.beats()] == [newcomer.id]


def test_after_a_step_back_of_the_clock_no_statement_moves_more_than_a_bounded_number_of_rows(
    site: ServerSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement has a limit of time: one over a whole backlog would be broken off, and again at every try."""
    monkeypatch.setattr(clock, "ROWS", 10)
    store = opened(site)
    joined(store)
    due = put(store, 20, at=NOW - timedelta(hours=2))
    late = put(store, 25)
    moved: list[int] = []

    def execute(session: Session, sql: str, values: Sequence[Any]) -> None:
        EXECUTE(session, sql, values)
        if sql.startswith("UPDATE job SET due_at"):
            moved.append(session._cursor.rowcount)

    monkeypatch.setattr(Session, "_execute", execute)
    back = NOW - timedelta(hours=1)
    opened(site).enqueue([], back)
    assert moved == [10, 10, 5]
    times = {row["id"]: row["due_at"] for row in site.rows()}
    assert {times[job] for job in due} == {NOW - timedelta(hours=2)}
    assert {times[job] for job in late} == {back}
