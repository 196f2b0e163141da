"""What a first start makes, and every later one checks: keys, database, certificate, an administrator."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from central_dispatch.configuration import read_configuration
from central_dispatch.fleet.actor import Role
from central_dispatch.fleet.home import dispatcher_directory, home_directory
from central_dispatch.portal.setup import prepare_django
from central_dispatch.portal.tls import dispatcher_pin, make_certificate
from central_dispatch.provisioning.problem import Unavailable

ADMINISTRATOR = "admin"


@dataclass(frozen=True, slots=True)
class Started:
    """What there is after a start. `password` is the new administrator's, once; None when there was one already."""

    directory: Path
    pin: str
    password: str | None = field(repr=False)


def first_start() -> Started:
    """Make what is missing, apply migrations, and return what the caller shows. May be called at every start."""
    refuse_bad_database(home_directory())
    directory = dispatcher_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(directory / "start.lock"):
        prepare_django()
        make_certificate()
        _migrate()
        return Started(directory, dispatcher_pin(), _first_administrator())


def refuse_bad_database(home: Path) -> None:
    """Raise `Unavailable`, or `BadConfiguration`, with what to do where dispatcher.toml names what cannot be used."""
    database = read_configuration(home).database
    if database.engine == "sqlite":
        return
    from central_dispatch.stores.server.preparing import database_problem  # noqa: PLC0415 with its driver alone

    if problem := database_problem(database):
        raise Unavailable(problem)


def _migrate() -> None:
    from django.core.management import call_command  # noqa: PLC0415 Django is ready only now
    from django.db import connection  # noqa: PLC0415 likewise

    connection.reports_slow_writes = False  # type: ignore[attr-defined] # our own backend's
    try:
        call_command("migrate", interactive=False, verbosity=0)
    finally:
        connection.reports_slow_writes = True  # type: ignore[attr-defined] # likewise


def _first_administrator() -> str | None:
    from central_dispatch.portal.accounts.models import User  # noqa: PLC0415 Django is ready only now
    from central_dispatch.portal.accounts.people import generated_password  # noqa: PLC0415 likewise

    if User.objects.exists():
        return None
    password = generated_password()
    User.objects.create_user(ADMINISTRATOR, password=password, roles=Role.ADMINISTRATOR)
    return password


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let two starts at once do it one after the other."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
