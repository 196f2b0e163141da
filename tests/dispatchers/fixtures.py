"""Fixtures; a folder's conftest imports those that it needs."""

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import dispatcher_directory, home_directory
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages.fragments import FRAGMENTS
from central_dispatch.portal.tls import make_certificate
from central_dispatch.worker_manager import counts
from central_dispatch.worker_manager.rates import forget_rates
from dispatchers import ENGINE, NAME
from queue_workers.rig import write_configuration
from servers.job_databases import shared_server

on_sqlite = pytest.mark.skipif(ENGINE != "sqlite", reason="it is about SQLite's file")


@pytest.fixture(scope="session")
def migrated() -> Any:
    """A migrated, empty database: its bytes, or on a server what its tables hold."""
    if ENGINE != "sqlite":
        make_certificate()
        return _after_migrating()
    path = Path(connection.settings_dict["NAME"])
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)
    make_certificate()
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connections.close_all()
    return path.read_bytes()


@pytest.fixture
def database(migrated: Any) -> Iterator[Path]:
    """A fresh database with real commits: what is tested is what runs."""
    connections.close_all()
    counts.forget()
    forget_rates()
    FRAGMENTS.forget()
    if ENGINE != "sqlite":
        _restore(migrated)
        # A test of the file may have removed it.
        write_configuration(home_directory(), shared_server(ENGINE).toml(NAME))
        yield dispatcher_directory() / "dispatch.sqlite3"
        connections.close_all()
        return
    path = Path(connection.settings_dict["NAME"])
    _remove(path)
    path.write_bytes(migrated)
    yield path
    connections.close_all()
    _remove(path)


@pytest.fixture
def person(database: Path) -> Callable[[Role], User]:  # noqa: ARG001 it must be there
    """Makes a person of a role, without the second that hashing a password takes."""

    def make(role: Role, name: str = "") -> User:
        user = User(username=name or role.word)
        user.roles = role
        user.set_unusable_password()
        user.save()
        return user

    return make


@pytest.fixture
def administrator(person: Callable[[Role], User]) -> Actor:
    """An administrator as a service's caller."""
    user = person(Role.ADMINISTRATOR)
    return Actor(user.username, Role.ADMINISTRATOR, user.pk, "page", "192.0.2.1")


@pytest.fixture
def browser() -> Callable[[User | None], Client]:
    """Makes a browser of somebody who is logged in, or of nobody. It checks CSRF as the server does."""

    def make(user: User | None = None, *, csrf: bool = True) -> Client:
        client = Client(enforce_csrf_checks=csrf, headers={"host": "localhost"}, raise_request_exception=False)
        if user is not None:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            session = client.session
            session["confirmed"] = time.time()  # as after a login by password
            session.save()
        return client

    return make


@cache
def _after_migrating() -> dict[str, list[tuple[Any, ...]]]:
    # Once, though each folder has a fixture of its own: later there are tests' rows.
    call_command("migrate", verbosity=0, interactive=False)
    found = _content()
    connections.close_all()
    return found


def stored(database: Path) -> bytes:
    """Everything that a database holds, as it lies in its files or tables: to look for what must not be in it."""
    if ENGINE == "sqlite":
        return b"".join(path.read_bytes() for path in database.parent.glob("dispatch.sqlite3*"))
    return repr(_content()).encode()


def _content() -> dict[str, list[tuple[Any, ...]]]:
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 tables of ours
            found[table] = list(cursor.fetchall())
    return found


def _restore(content: dict[str, list[tuple[Any, ...]]]) -> None:
    """Bring every table of the server's database back to this content."""
    administrator = shared_server(ENGINE).administrator(NAME)
    cursor = administrator.cursor()
    unchecked = "session_replication_role = replica" if ENGINE == "postgresql" else "FOREIGN_KEY_CHECKS = 0"
    cursor.execute(f"SET SESSION {unchecked}")
    for table, rows in content.items():
        name = connection.ops.quote_name(table)
        cursor.execute(f"DELETE FROM {name}")  # noqa: S608 tables of ours
        if rows:
            cursor.executemany(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)  # noqa: S608 likewise
    administrator.close()


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
