"""Takes due rows for a parent."""

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Any

from central_dispatch.jobs.job import Claim
from central_dispatch.stores.sqlite.clock import note_clock, was_set_back
from central_dispatch.stores.sqlite.queues import Queues
from central_dispatch.stores.sqlite.times import from_text, to_text

# One range of the index per priority: many rows that wait for later are never walked through.
_PRIORITIES = "(VALUES (9), (8), (7), (6), (5), (4), (3), (2), (1), (0))"
_DUE_PRIORITIES = f"""
SELECT column1 FROM {_PRIORITIES} WHERE EXISTS (
    SELECT 1 FROM job WHERE queue = ? AND state = 'waiting' AND priority = column1 AND due_at <= ?)
ORDER BY column1 DESC"""  # noqa: S608 constants
_SET = """
UPDATE job SET state = 'running', parent = ?, started_at = ?, percent = NULL, words = '', interrupt_by = '',
    waits_on = NULL, fence = max(fence, (SELECT epoch << 32 FROM job_epoch)) + 1
"""
_COLUMNS = "id, queue, payload, payload_version, fence, attempts, deferrals, priority, batch, started_at, due_at"
_FIELDS = f"RETURNING {_COLUMNS}"
_CLAIM = f"""
{_SET} WHERE id IN (
    SELECT id FROM job WHERE queue = ? AND state = 'waiting' AND priority = ? AND due_at <= ?
    ORDER BY due_at, id LIMIT ?)
{_FIELDS}"""  # noqa: S608 constants
_CLAIM_ONE = f"{_SET} WHERE id = ? AND state = 'waiting' {_FIELDS}"
_NEXT_DUE = f"""
SELECT min(due) FROM (
    SELECT (SELECT min(due_at) FROM job WHERE queue = wanted.value AND state = 'waiting' AND priority = column1) AS due
    FROM json_each(?) AS wanted, {_PRIORITIES})"""  # noqa: S608 constants


def may_claim(connection: sqlite3.Connection, queues: Queues, queue: str, now: datetime) -> bool:
    """Say whether a claim could bring something, by reading alone: an idle parent never takes the gate."""
    if was_set_back(connection, now):
        return True
    if room(connection, queues, queue) == 0:
        return False
    return connection.execute(_DUE_PRIORITIES, (queue, to_text(now))).fetchone() is not None


def claim(
    connection: sqlite3.Connection, queues: Queues, queue: str, parent: str, limit: int, now: datetime
) -> list[Claim]:
    """Take due rows, highest priority first, then oldest. None for a parent that is struck off, or a paused queue."""
    note_clock(connection, now)
    if not _is_known(connection, parent):
        return []
    free = room(connection, queues, queue)
    left = limit if free is None else min(limit, free)
    at = to_text(now)
    claims: list[Claim] = []
    for (priority,) in connection.execute(_DUE_PRIORITIES, (queue, at)).fetchall():
        if left <= len(claims):
            break
        rows = connection.execute(_CLAIM, (parent, at, queue, priority, at, left - len(claims))).fetchall()
        rows.sort(key=lambda row: (row[10], row[0]))
        claims += map(_claim_of, rows)
    return claims


def claim_job(connection: sqlite3.Connection, job: int, parent: str, now: datetime) -> Claim | None:
    """Take one waiting job, due or not, whatever its queue's settings say."""
    if not _is_known(connection, parent):
        return None
    row = connection.execute(_CLAIM_ONE, (parent, to_text(now), job)).fetchone()
    return _claim_of(row) if row else None


def held(connection: sqlite3.Connection, parent: str) -> list[Claim]:
    """Return what a parent holds."""
    select = f"SELECT {_COLUMNS} FROM job WHERE state = 'running' AND parent = ? ORDER BY id"  # noqa: S608 constants
    return [_claim_of(row) for row in connection.execute(select, (parent,))]


def room(connection: sqlite3.Connection, queues: Queues, queue: str) -> int | None:
    """Return how many more jobs of the queue may run, over all parents: 0 while it is paused, None without a limit."""
    settings = queues.settings(connection, queue)
    if settings.paused:
        return 0
    if settings.concurrency is None:
        return None
    count = "SELECT count(*) FROM job WHERE queue = ? AND state = 'running'"
    return max(0, settings.concurrency - int(connection.execute(count, (queue,)).fetchone()[0]))


def next_due(connection: sqlite3.Connection, queues: Queues, wanted: Collection[str]) -> datetime | None:
    """Return when the next waiting row is due of those queues that have room; may be in the past."""
    open_queues = [queue for queue in wanted if room(connection, queues, queue) != 0]
    found = connection.execute(_NEXT_DUE, (json.dumps(open_queues),)).fetchone()[0]
    return from_text(found) if found else None


def _is_known(connection: sqlite3.Connection, parent: str) -> bool:
    # Rows of a parent that is not in the table would be freed by nobody.
    return connection.execute("SELECT 1 FROM job_parent WHERE id = ?", (parent,)).fetchone() is not None


def _claim_of(row: tuple[Any, ...]) -> Claim:
    return Claim(
        job=row[0],
        kind=row[1],
        payload=json.loads(row[2]),
        payload_version=row[3],
        fence=row[4],
        attempts=row[5],
        deferrals=row[6],
        priority=row[7],
        batch=row[8],
    )
