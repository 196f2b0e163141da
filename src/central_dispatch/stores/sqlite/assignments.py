"""What queue workers of a name are to do, in the caller's transaction."""

import json
import sqlite3
from datetime import datetime

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.stores.sqlite.times import to_text

_PUT = """
INSERT INTO job_assignment (name, queues, slots, host, changed_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET queues = excluded.queues, slots = excluded.slots, host = excluded.host,
    changed_at = excluded.changed_at"""


def find(connection: sqlite3.Connection, name: str) -> Assignment | None:
    """Return the assignment of that name."""
    row = connection.execute("SELECT queues, slots, host FROM job_assignment WHERE name = ?", (name,)).fetchone()
    return Assignment(name=name, queues=tuple(json.loads(row[0])), slots=row[1], host=row[2]) if row else None


def find_to_change(connection: sqlite3.Connection, name: str) -> Assignment | None:
    """Return the assignment of that name; nobody else changes anything until the end of the transaction."""
    return find(connection, name)


def put(connection: sqlite3.Connection, assignment: Assignment, now: datetime) -> None:
    """Write an assignment, new or changed; workers of that name follow within a second."""
    queues = json.dumps(list(assignment.queues))
    connection.execute(_PUT, (assignment.name, queues, assignment.slots, assignment.host, to_text(now)))


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Remove an assignment; False where there is none. A worker of that name goes on with what it read last."""
    return connection.execute("DELETE FROM job_assignment WHERE name = ?", (name,)).rowcount == 1


def follow(connection: sqlite3.Connection, parent: str, queues: tuple[str, ...], slots: int) -> bool:
    """Write what a registered parent serves from now on; False where it is not registered."""
    changed = "UPDATE job_parent SET queues = ?, slots = ? WHERE id = ?"
    return connection.execute(changed, (json.dumps(list(queues)), slots, parent)).rowcount == 1
