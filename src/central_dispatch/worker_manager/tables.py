"""The store's functions on Django's own connection, so that jobs are made in the caller's transaction.

`acts`, `assignments`, `batches`, `enqueueing` and `schedules` are those of the database that this process is configured
for: both kinds have the same functions with the same arguments, which a test compares. Their first argument is what
`in_transaction` and `reading` return.
"""

from typing import TYPE_CHECKING, Any

from django.db import connection

from central_dispatch.fleet.home import home_directory
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.stores.places import driver_of, open_store

if TYPE_CHECKING or connection.vendor == "sqlite":
    from central_dispatch.stores.sqlite import acts, assignments, batches, enqueueing, schedules
    from central_dispatch.stores.sqlite.queues import Queues
else:
    from central_dispatch.stores.server import acts, assignments, batches, enqueueing, schedules
    from central_dispatch.stores.server.queues import Queues

__all__ = [
    "QUEUES",
    "acts",
    "assignments",
    "batches",
    "enqueueing",
    "in_transaction",
    "read_output",
    "reading",
    "rows",
    "schedules",
]
QUEUES = Queues(KINDS)
_ENGINES = {"postgresql": "postgresql", "mysql": "mariadb"}


def in_transaction() -> Any:  # noqa: ANN401 sqlite3's connection, or a session of the server's
    """Return what the store's functions write with; `RuntimeError` outside of a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("jobs are written inside transaction.atomic()")
    return reading()


def reading() -> Any:  # noqa: ANN401 likewise
    """Return what the store's functions read with."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        return connection.connection
    from central_dispatch.stores.server.session import Session  # noqa: PLC0415 with its driver alone

    return Session(connection.cursor(), driver_of(_ENGINES[connection.vendor]).DIALECT)


def rows(statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement without values, written as all databases read it."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def read_output(job: int, fence: int) -> bytes:
    """Return the captured output of one execution; empty where there is none."""
    store = open_store(home_directory())
    try:
        return store.output(job, fence)
    finally:
        store.close()
