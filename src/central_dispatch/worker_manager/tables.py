"""The store's functions on Django's own connection, so that jobs are made in the caller's transaction."""

import sqlite3

from django.db import connection

from central_dispatch.fleet.home import home_directory
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.stores.places import open_store
from central_dispatch.stores.sqlite.queues import Queues

QUEUES = Queues(KINDS)


def in_transaction() -> sqlite3.Connection:
    """Return the connection under Django's; `RuntimeError` outside of a transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("jobs are written inside transaction.atomic()")
    return reading()


def reading() -> sqlite3.Connection:
    """Return the connection under Django's, to read from."""
    connection.ensure_connection()
    found: sqlite3.Connection = connection.connection
    return found


def read_output(job: int, fence: int) -> bytes:
    """Return the captured output of one execution; empty where there is none."""
    store = open_store(home_directory())
    try:
        return store.output(job, fence)
    finally:
        store.close()
