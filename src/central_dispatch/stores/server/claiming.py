"""Takes due rows for a parent."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from central_dispatch.jobs.job import Claim
from central_dispatch.stores.server.queues import Queues, queue_stripes, take_stripes
from central_dispatch.stores.server.session import Row, Session, moment

COLUMNS = "id, queue, payload, payload_version, fence, attempts, deferrals, priority, batch"
# One range of the index per priority: many rows that wait for later are never walked through.
_PRIORITIES = "WITH priorities (n) AS (VALUES (9), (8), (7), (6), (5), (4), (3), (2), (1), (0))"
_DUE_PRIORITIES = f"""
{_PRIORITIES}
SELECT n FROM priorities WHERE EXISTS (
    SELECT 1 FROM job WHERE queue = %s AND state = 'waiting' AND priority = n AND due_at <= %s)
ORDER BY n DESC"""  # noqa: S608 constants
# What another parent takes at this moment is passed over.
_DUE = f"""
SELECT {COLUMNS} FROM job WHERE queue = %s AND state = 'waiting' AND priority = %s AND due_at <= %s
ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED"""  # noqa: S608 constants
_ONE = f"SELECT {COLUMNS} FROM job WHERE id = %s AND state = 'waiting' FOR UPDATE"  # noqa: S608 constants
_TAKE = """
UPDATE job SET state = 'running', parent = %s, started_at = %s, percent = NULL, words = '', interrupt_by = '',
    waits_on = NULL, fence = greatest(fence, %s) + 1
WHERE id IN %s"""
NEXT_DUE = f"""
{_PRIORITIES}
SELECT (SELECT min(due_at) FROM job WHERE queue = %s AND state = 'waiting' AND priority = n) FROM priorities"""  # noqa: S608 constants


def claim(session: Session, queues: Queues, queue: str, parent: str, limit: int, now: datetime) -> list[Claim]:
    """Take due rows, highest priority first, then oldest. None for a parent that is struck off, or a paused queue."""
    if not _is_known(session, parent):
        return []
    settings = queues.settings(session, queue)
    if settings.concurrency is not None:
        # One claim after the other of this queue alone: who runs is counted, and stays counted until the commit.
        take_stripes(session, queue_stripes([queue]))
    free = room(session, queues, queue)
    left = limit if free is None else min(limit, free)
    found: list[Row] = []
    if left:
        for (priority,) in session.rows(_DUE_PRIORITIES, queue, now):
            found += session.rows(_DUE, queue, priority, now, left - len(found))
            if len(found) >= left:
                break
    return _take(session, found, parent, now)


def claim_job(session: Session, job: int, parent: str, now: datetime) -> Claim | None:
    """Take one waiting job, due or not, whatever its queue's settings say."""
    if not _is_known(session, parent):
        return None
    taken = _take(session, session.rows(_ONE, job), parent, now)
    return taken[0] if taken else None


def held(session: Session, parent: str) -> list[Claim]:
    """Return what a parent holds."""
    rows = session.rows(f"SELECT {COLUMNS} FROM job WHERE parent = %s AND state = 'running' ORDER BY id", parent)  # noqa: S608 constants
    return [_claim_of(row, row[4]) for row in rows]


def room(session: Session, queues: Queues, queue: str) -> int | None:
    """Return how many more jobs of the queue may run, over all parents: 0 while it is paused, None without a limit."""
    settings = queues.settings(session, queue)
    if settings.paused:
        return 0
    if settings.concurrency is None:
        return None
    counted = session.one("SELECT count(*) FROM job WHERE queue = %s AND state = 'running'", queue)
    return max(0, settings.concurrency - int(counted[0] if counted else 0))


def next_due(session: Session, queues: Queues, wanted: Collection[str]) -> datetime | None:
    """Return when the next waiting row is due of those queues that have room; may be in the past."""
    found = [
        row[0]
        for queue in wanted
        if room(session, queues, queue) != 0
        for row in session.rows(NEXT_DUE, queue)
        if row[0] is not None
    ]
    return moment(min(found)) if found else None


def _is_known(session: Session, parent: str) -> bool:
    # Kept until the commit, so that nobody strikes the parent off meanwhile: its rows would be freed by nobody.
    return session.one("SELECT id FROM job_parent WHERE id = %s FOR KEY SHARE", parent) is not None


def _take(session: Session, rows: Sequence[Row], parent: str, now: datetime) -> list[Claim]:
    if not rows:
        return []
    (epoch,) = session.rows("SELECT epoch FROM job_epoch")[0]
    lowest = epoch << 32
    session.run(_TAKE, parent, now, lowest, [row[0] for row in rows])
    return [_claim_of(row, max(row[4], lowest) + 1) for row in rows]


def _claim_of(row: Row, fence: int) -> Claim:
    return Claim(
        job=row[0],
        kind=row[1],
        payload=json.loads(row[2]),
        payload_version=row[3],
        fence=fence,
        attempts=row[5],
        deferrals=row[6],
        priority=row[7],
        batch=row[8],
    )
