"""What queue workers of a name are to do, in the caller's transaction."""

import json
from collections.abc import Collection
from datetime import datetime

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.stores.server.session import Session

_PUT = """
INSERT INTO job_assignment (name, queues, slots, host, changed_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET queues = excluded.queues, slots = excluded.slots, host = excluded.host,
    changed_at = excluded.changed_at"""


def find(session: Session, name: str) -> Assignment | None:
    """Return the assignment of that name."""
    row = session.one("SELECT queues, slots, host FROM job_assignment WHERE name = %s", name)
    return Assignment(name=name, queues=tuple(json.loads(row[0])), slots=row[1], host=row[2]) if row else None


def find_to_change(session: Session, name: str) -> Assignment | None:
    """Return the assignment of that name; whoever else changes it waits until the end of the transaction."""
    session.rows("SELECT name FROM job_assignment WHERE name = %s FOR UPDATE", name)
    return find(session, name)


def put(session: Session, assignment: Assignment, now: datetime) -> None:
    """Write an assignment, new or changed; workers of that name follow within a second."""
    session.run(_PUT, assignment.name, json.dumps(list(assignment.queues)), assignment.slots, assignment.host, now)


def remove(session: Session, name: str) -> bool:
    """Remove an assignment; False where there is none. A worker of that name goes on with what it read last."""
    return session.run("DELETE FROM job_assignment WHERE name = %s", name) == 1


def follow(session: Session, parent: str, queues: Collection[str], slots: int) -> bool:
    """Write what a registered parent serves from now on; False where it is not registered."""
    changed = "UPDATE job_parent SET queues = %s, slots = %s WHERE id = %s"
    return session.run(changed, json.dumps(list(queues)), slots, parent) == 1
