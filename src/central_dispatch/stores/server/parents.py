"""Parents: who holds rows, and whether he still lives."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from central_dispatch.jobs.fence import seconds_of_epoch
from central_dispatch.jobs.ports import Beat, Parent
from central_dispatch.stores.server.queues import Queues
from central_dispatch.stores.server.session import Session
from central_dispatch.stores.server.settling import free, free_all

# Again with the same id: the answer to the first time was lost.
_INSERT = """
INSERT INTO job_parent (id, host, pid, pid_space, queues, slots, assignment, version, started_at, beat_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at"""


def register(
    session: Session, queues: Queues, parent: Parent, is_gone: Callable[[int], bool], now: datetime
) -> list[int]:
    """Add a parent and free the rows of earlier ones beside it whose process is gone; returns those jobs."""
    # While a restore raises the epoch nobody comes in, who would claim with the old one.
    session.rows("SELECT epoch FROM job_epoch FOR SHARE")
    space = parent.pid_space or parent.host
    earlier = session.rows(
        "SELECT id, pid FROM job_parent WHERE pid_space = %s AND id <> %s ORDER BY id", space, parent.id
    )
    freed: list[int] = []
    for other, pid in earlier:
        # Of our own number there was another only before us: in a container every parent is the same number.
        if pid == parent.pid or is_gone(pid):
            freed += _strike_off(session, queues, other, None, now)
    served = json.dumps(list(parent.queues))
    about = (parent.slots, parent.assignment, parent.version, now, now)
    session.run(_INSERT, parent.id, parent.host, parent.pid, space, served, *about)
    return freed


def beat(session: Session, parent: str) -> bool:
    """Raise the counter, and for people's eyes the time of day; False for a parent that was struck off."""
    beaten = "UPDATE job_parent SET count = count + 1, beat_at = %s WHERE id = %s"
    return session.run(beaten, datetime.now(UTC), parent) == 1


def beats(session: Session) -> list[Beat]:
    """Return all parents' counters."""
    return [Beat(*row) for row in session.rows("SELECT id, host, count, pid_space FROM job_parent ORDER BY id")]


def sweep(session: Session, queues: Queues, parent: str, count: int, now: datetime) -> list[int]:
    """Free a parent's rows and strike it off, if its counter still is `count`."""
    return _strike_off(session, queues, parent, count, now)


def leave(session: Session, parent: str) -> bool:
    """Strike a parent off. One that still holds rows stays, and is swept: else nobody would free them."""
    session.rows("SELECT id FROM job_parent WHERE id = %s FOR UPDATE", parent)
    if session.one("SELECT 1 FROM job WHERE state = 'running' AND parent = %s LIMIT 1", parent):
        return False
    return session.run("DELETE FROM job_parent WHERE id = %s", parent) == 1


def raise_epoch(session: Session, now: datetime) -> list[int]:
    """Make every fence given so far worthless, strike all parents off and put running jobs back."""
    session.run("UPDATE job_epoch SET epoch = greatest(epoch + 1, %s)", seconds_of_epoch(now))
    # First the parents: that waits for the claims under way, and lets none begin.
    session.run("DELETE FROM job_parent")
    session.run("DELETE FROM job_clock")
    return free_all(session, now)


def _strike_off(session: Session, queues: Queues, parent: str, count: int | None, now: datetime) -> list[int]:
    # Waits for a claim of that parent that is under way, and lets none begin.
    row = session.one("SELECT count, host, pid FROM job_parent WHERE id = %s FOR UPDATE", parent)
    if row is None or (count is not None and row[0] != count):
        return []
    freed = free(session, queues, parent, (row[1], row[2]), now)
    session.run("DELETE FROM job_parent WHERE id = %s", parent)
    return freed
