"""Parents: who holds rows, and whether he still lives."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

from central_dispatch.jobs.ports import Beat, Parent
from central_dispatch.stores.sqlite.queues import Queues
from central_dispatch.stores.sqlite.settling import free
from central_dispatch.stores.sqlite.times import to_text


def register(
    connection: sqlite3.Connection, queues: Queues, parent: Parent, is_gone: Callable[[int], bool], now: datetime
) -> list[int]:
    """Add a parent and free the rows of earlier ones beside it whose process is gone; returns those jobs."""
    space = parent.pid_space or parent.host
    earlier = connection.execute(
        "SELECT id, pid FROM job_parent WHERE pid_space = ? AND id <> ?", (space, parent.id)
    ).fetchall()
    freed: list[int] = []
    for other, pid in earlier:
        # Of our own number there was another only before us: in a container every parent is the same number.
        if pid == parent.pid or is_gone(pid):
            freed += free(connection, queues, other, now)
            connection.execute("DELETE FROM job_parent WHERE id = ?", (other,))
    connection.execute(
        "INSERT INTO job_parent (id, host, pid, pid_space, queues, slots, assignment, version, started_at, "
        "beat_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            parent.id,
            parent.host,
            parent.pid,
            space,
            json.dumps(list(parent.queues)),
            parent.slots,
            parent.assignment,
            parent.version,
            to_text(now),
            to_text(now),
        ),
    )
    return freed


def beat(connection: sqlite3.Connection, parent: str) -> bool:
    """Raise the counter, and for people's eyes the time of day; False for a parent that was struck off."""
    beaten = "UPDATE job_parent SET count = count + 1, beat_at = ? WHERE id = ?"
    return connection.execute(beaten, (to_text(datetime.now(UTC)), parent)).rowcount == 1


def beats(connection: sqlite3.Connection) -> list[Beat]:
    """Return all parents' counters."""
    return [Beat(*row) for row in connection.execute("SELECT id, host, count, pid_space FROM job_parent ORDER BY id")]


def sweep(connection: sqlite3.Connection, queues: Queues, parent: str, count: int, now: datetime) -> list[int]:
    """Free a parent's rows and strike it off, if its counter still is `count`."""
    row = connection.execute("SELECT count FROM job_parent WHERE id = ?", (parent,)).fetchone()
    if row is None or row[0] != count:
        return []
    freed = free(connection, queues, parent, now)
    connection.execute("DELETE FROM job_parent WHERE id = ?", (parent,))
    return freed


def leave(connection: sqlite3.Connection, parent: str) -> bool:
    """Strike a parent off. One that still holds rows stays, and is swept: else nobody would free them."""
    left = connection.execute(
        "DELETE FROM job_parent WHERE id = ? AND NOT EXISTS "
        "(SELECT 1 FROM job WHERE state = 'running' AND parent = job_parent.id)",
        (parent,),
    )
    return left.rowcount == 1
