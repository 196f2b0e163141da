import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from central_dispatch.fleet.models import Change
from central_dispatch.portal.sqlite.base import is_write
from central_dispatch.stores import gate as gates
from central_dispatch.stores.gate import Gate, GateClosed
from dispatchers.fixtures import on_sqlite

pytestmark = on_sqlite


def test_one_gate_at_a_time_over_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "PATIENCE_S", 0.02)
    first, second = Gate(tmp_path / "lock"), Gate(tmp_path / "lock")
    first.enter()
    with pytest.raises(GateClosed):
        second.enter()
    first.leave()
    second.enter()
    second.close()
    first.enter()
    first.close()


def test_the_lock_file_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "lock")
    gate.close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "lock")
    with pytest.raises(OSError, match="link"):
        Gate(tmp_path / "link")


def test_commits_are_durable_and_readers_do_not_wait(database: Path) -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
        assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert database.stat().st_mode & 0o777 == 0o644 or database.stat().st_mode & 0o777 == 0o600


def is_held() -> bool:
    """Try the gate from outside."""
    other = Gate(Path(connection.settings_dict["NAME"] + ".lock"))
    try:
        return not other._try()
    finally:
        other.close()


@pytest.mark.usefixtures("database")
def test_a_transaction_holds_the_gate_from_its_begin_to_its_end() -> None:
    assert not is_held()
    with transaction.atomic():
        assert is_held()
        with transaction.atomic():
            Change.objects.create(topic="x", at=timezone.now())
        assert is_held()
    assert not is_held()
    with pytest.raises(RuntimeError), transaction.atomic():
        raise RuntimeError
    assert not is_held()


def test_a_transaction_takes_the_write_lock_at_its_begin(database: Path) -> None:
    """Taken later, it could fail in the middle: a program that does not know the gate may write, too."""
    connection.ensure_connection()
    foreign = sqlite3.connect(database, timeout=0)
    with transaction.atomic(), pytest.raises(sqlite3.OperationalError, match="locked"):
        foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("BEGIN IMMEDIATE")
    foreign.close()


@pytest.mark.usefixtures("database")
def test_a_single_statement_passes_the_gate_if_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "PATIENCE_S", 0.02)
    connection.ensure_connection()
    other = Gate(Path(connection.settings_dict["NAME"] + ".lock"))
    other.enter()
    try:
        assert Change.objects.count() == 0
        with pytest.raises(OperationalError, match="database is locked"):
            Change.objects.filter(topic="x").update(topic="y")
        with pytest.raises(OperationalError, match="database is locked"), transaction.atomic():
            pass
    finally:
        other.close()
    assert Change.objects.filter(topic="x").update(topic="y") == 0


@pytest.mark.usefixtures("database")
def test_a_connection_that_is_closed_in_a_transaction_frees_the_gate() -> None:
    def fail() -> None:
        connection.close()
        raise RuntimeError

    with pytest.raises(RuntimeError), transaction.atomic():
        fail()
    assert not is_held()


@pytest.mark.usefixtures("database")
def test_saturating_writers_lose_nothing_and_see_no_lock_error() -> None:
    start = threading.Barrier(6)

    def write(number: int) -> None:
        try:
            start.wait()
            for turn in range(30):
                with transaction.atomic():
                    Change.objects.create(topic=f"{number}.{turn}", at=timezone.now())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert Change.objects.values("topic").distinct().count() == 180


@pytest.mark.usefixtures("database")
def test_a_transaction_that_takes_too_long_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("central_dispatch.portal.sqlite.base.LIMIT_S", 0)
    with caplog.at_level(logging.INFO, "central_dispatch.portal.sqlite.base"), transaction.atomic():
        Change.objects.create(topic="x", at=timezone.now())
    assert "a write transaction took" in caplog.text


@pytest.mark.parametrize(
    ("query", "writes"),
    [("INSERT INTO x", True), ("  update x", True), ("SELECT 1", False), ("PRAGMA x", False), ("REPLACE INTO", True)],
)
def test_a_write_is_known_by_its_first_word(query: str, writes: bool) -> None:  # noqa: FBT001 a parameter
    assert is_write(query) is writes


def test_sqlite_is_new_enough() -> None:
    # RETURNING, UPSERT and JSON are used.
    assert sqlite3.sqlite_version_info >= (3, 35)
