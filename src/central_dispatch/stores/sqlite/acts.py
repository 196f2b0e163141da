"""What people do to jobs. Each is a compare-and-set in the caller's transaction; bulk acts take one chunk at a time."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from central_dispatch.stores.sqlite.times import to_text

#: Rows of one chunk: some milliseconds, so that parents get their turn in between.
CHUNK = 500

_INTERRUPT = """
state = 'interrupted', ended_at = :now, expires_at = NULL, unique_key = NULL, ended_by = :by,
waits_on = NULL, error = :why"""
_AGAIN = """
state = 'waiting', waiting_for = 'new', attempts = 0, deferrals = 0, due_at = :now, ended_at = NULL,
waits_on = NULL, expires_at = NULL, ended_by = '', result = '{}', percent = NULL, words = '', unique_key = given_key"""
_KEY_IS_FREE = """
(given_key IS NULL OR NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.queue = job.queue AND other.unique_key = job.given_key))"""


def interrupt(
    connection: sqlite3.Connection, job: int, by: str, why: str, now: datetime
) -> Literal["interrupted", "asked", "ended", "absent"]:
    """End a waiting job, or ask the parent of a running one to stop it.

    "asked": its state will say what happened. "ended": there was nothing to interrupt any more.
    """
    if cancel(connection, job, by, why, now):
        return "interrupted"
    asked = connection.execute(
        "UPDATE job SET interrupt_by = ? WHERE id = ? AND state = 'running'", (by or "somebody", job)
    )
    if asked.rowcount:
        return "asked"
    exists = connection.execute("SELECT 1 FROM job WHERE id = ?", (job,)).fetchone()
    return "ended" if exists else "absent"


def cancel(connection: sqlite3.Connection, job: int, by: str, why: str, now: datetime) -> bool:
    """End a job that waits; False where it does not."""
    values = {"job": job, "by": by, "why": why, "now": to_text(now)}
    statement = f"UPDATE job SET {_INTERRUPT} WHERE id = :job AND state = 'waiting'"  # noqa: S608 constants
    return connection.execute(statement, values).rowcount == 1


def retry(
    connection: sqlite3.Connection, job: int, now: datetime
) -> Literal["waiting", "sooner", "running", "finished", "key held", "absent"]:
    """Have a job that ended badly tried again, with all its attempts; or one that waits for its time, now.

    Its history stays. "key held": another job of its unique key waits or runs.
    """
    values = {"job": job, "now": to_text(now)}
    again = f"UPDATE job SET {_AGAIN} WHERE id = :job AND state IN ('in_error', 'interrupted') AND {_KEY_IS_FREE}"  # noqa: S608 constants
    if connection.execute(again, values).rowcount:
        return "waiting"
    sooner = "UPDATE job SET due_at = min(due_at, :now) WHERE id = :job AND state = 'waiting'"
    if connection.execute(sooner, values).rowcount:
        return "sooner"
    row = connection.execute("SELECT state FROM job WHERE id = ?", (job,)).fetchone()
    if row is None:
        return "absent"
    if row[0] in {"running", "finished"}:
        return "running" if row[0] == "running" else "finished"
    return "key held"


def waiting_in(connection: sqlite3.Connection, queue: str) -> list[int]:
    """Return the waiting jobs of a queue."""
    return [row[0] for row in connection.execute("SELECT id FROM job WHERE queue = ? AND state = 'waiting'", (queue,))]


def dead_in(connection: sqlite3.Connection, queue: str) -> list[int]:
    """Return the dead letters of a queue, those first that expire first."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT id FROM job WHERE queue = ? AND state = 'in_error' ORDER BY expires_at, id", (queue,)
        )
    ]


def purge(connection: sqlite3.Connection, jobs: Sequence[int], by: str, why: str, now: datetime) -> list[int]:
    """End those of these jobs that (still) wait; returns them. `CHUNK` at a time."""
    return _interrupt_all(connection, jobs, "waiting", by, why, now)


def give_up(connection: sqlite3.Connection, jobs: Sequence[int], by: str, why: str, now: datetime) -> list[int]:
    """End those of these jobs that wait or are dead letters: they are *interrupted* and no longer in error."""
    waiting = _interrupt_all(connection, jobs, "waiting", by, why, now)
    return sorted([*waiting, *_interrupt_all(connection, jobs, "in_error", by, why, now)])


def requeue(connection: sqlite3.Connection, jobs: Sequence[int], now: datetime) -> list[int]:
    """Have those of these dead letters tried again whose unique key is free; returns them.

    One by one, as two of them may have the same key.
    """
    return [job for job in jobs if retry(connection, job, now) == "waiting"]


def _interrupt_all(
    connection: sqlite3.Connection, jobs: Sequence[int], state: str, by: str, why: str, now: datetime
) -> list[int]:
    chosen = "id IN (SELECT value FROM json_each(:jobs)) AND state = :state"
    rows = connection.execute(
        f"UPDATE job SET {_INTERRUPT} WHERE {chosen} RETURNING id",  # noqa: S608 constants
        {"jobs": json.dumps(list(jobs)), "state": state, "by": by, "why": why, "now": to_text(now)},
    ).fetchall()
    return sorted(row[0] for row in rows)
