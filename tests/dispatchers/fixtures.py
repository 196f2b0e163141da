"""Fixtures; a folder's conftest imports those that it needs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.tls import make_certificate


@pytest.fixture(scope="session")
def migrated() -> bytes:
    """A migrated, empty database as bytes."""
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
def database(migrated: bytes) -> Iterator[Path]:
    """A fresh database with real commits: what is tested is what runs."""
    connections.close_all()
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


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
