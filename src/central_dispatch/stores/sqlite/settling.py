"""Writes how executions ended, and frees the rows of parents that are gone."""

import json
import random
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from central_dispatch.jobs.job import Claim, Settlement
from central_dispatch.jobs.ports import Settled
from central_dispatch.stores.ended import Ended
from central_dispatch.stores.rows import after_its_parent, heed, interrupted_of, result_text
from central_dispatch.stores.sqlite import locking
from central_dispatch.stores.sqlite.queues import Queues
from central_dispatch.stores.sqlite.tallying import tally
from central_dispatch.stores.sqlite.times import from_text, to_text

_HELD = """
SELECT job.id, job.fence, job.interrupt_by, job.parent, coalesce(job_parent.host, ''), coalesce(job_parent.pid, 0)
FROM job LEFT JOIN job_parent ON job_parent.id = job.parent
WHERE job.id IN (SELECT value FROM json_each(?)) AND job.state = 'running'"""
_UPDATE = """
UPDATE job SET state = :state, waiting_for = :waiting_for, attempts = :attempts, deferrals = :deferrals,
    due_at = coalesce(:due_at, due_at), waits_on = :waits_on, expires_at = :expires_at, error = :error,
    ended_by = :by, result = :result,
    ended_at = :ended_at, unique_key = CASE WHEN :ended_at IS NULL THEN unique_key END,
    percent = CASE :state WHEN 'finished' THEN 100 WHEN 'waiting' THEN NULL ELSE percent END,
    words = CASE :state WHEN 'waiting' THEN '' ELSE words END,
    parent = NULL, interrupt_by = ''
WHERE id = :job AND fence = :fence AND state = 'running'"""
_ATTEMPT = """
INSERT INTO job_attempt (job, fence, parent, host, parent_pid, child_pid, started_at, ended_at, outcome, error,
                         output_bytes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ROWS_OF = """
SELECT id, queue, fence, attempts, deferrals, priority, batch, payload_version, interrupt_by, started_at
FROM job WHERE state = 'running' AND parent = ?"""


def settle(connection: sqlite3.Connection, settled: Sequence[Settled]) -> list[bool]:
    """Write outcomes and history, each only if its fence still holds."""
    held = {row[0]: row for row in connection.execute(_HELD, (json.dumps([one.claim.job for one in settled]),))}
    updates: list[dict[str, Any]] = []
    attempts: list[tuple[Any, ...]] = []
    written: list[bool] = []
    ended: list[Ended] = []
    for one in settled:
        row = held.get(one.claim.job)
        holds = row is not None and row[1] == one.claim.fence
        written.append(holds)
        if row is not None and holds:
            # Each once: a second report of the same execution in one batch is as late as one in a later batch.
            del held[one.claim.job]
            updates.append(_update_of(one.claim, heed(one.settlement, row[2]), one.ended_at))
            attempts.append(_attempt_of(one, row[3:6]))
            ended.append(Ended(one.claim.kind, one.outcome, row[3], one.started_at, one.ended_at))
    connection.executemany(_UPDATE, updates)
    connection.executemany(_ATTEMPT, attempts)
    if updates:
        locking.end(connection, [update["job"] for update in updates], max(one.ended_at for one in settled))
    tally(connection, ended)
    return written


def free(connection: sqlite3.Connection, queues: Queues, parent: str, now: datetime) -> list[int]:
    """Free the rows of a parent that is gone. Each counts as an attempt, so that a job that kills parents ends."""
    place = connection.execute("SELECT host, pid FROM job_parent WHERE id = ?", (parent,)).fetchone() or ("", 0)
    freed = []
    for row in connection.execute(_ROWS_OF, (parent,)).fetchall():
        error = f"its worker ended without a report (process {place[1]} on {place[0]})"
        claim, settlement = _lost(queues.settings(connection, row[1]), row, error, now)
        connection.execute(_UPDATE, _update_of(claim, settlement, now))
        history = (claim.job, claim.fence, parent, *place, 0, row[9], to_text(now), "crashed", error, 0)
        connection.execute(_ATTEMPT, history)
        tally(connection, [Ended(claim.kind, "crashed", parent, from_text(row[9]), now)])
        freed.append(claim.job)
    locking.end(connection, freed, now)
    return freed


def _lost(settings: Any, row: tuple[Any, ...], error: str, now: datetime) -> tuple[Claim, Settlement]:  # noqa: ANN401
    claim = Claim(
        job=row[0],
        kind=row[1],
        payload={},
        payload_version=row[7],
        fence=row[2],
        attempts=row[3],
        deferrals=row[4],
        priority=row[5],
        batch=row[6],
    )
    settlement = after_its_parent(claim, settings, error, now, random.random())  # noqa: S311 spreads retries
    return claim, heed(settlement, row[8])


def free_all(connection: sqlite3.Connection, now: datetime) -> list[int]:
    """Put all running jobs back without counting an attempt, and strike all parents off: after a restore."""
    rows = connection.execute(
        "UPDATE job SET state = 'waiting', waiting_for = 'new', due_at = ?, parent = NULL, interrupt_by = '', "
        "percent = NULL, words = '' WHERE state = 'running' RETURNING id",
        (to_text(now),),
    ).fetchall()
    connection.execute("DELETE FROM job_parent")
    locking.end_all(connection, now)
    return sorted(row[0] for row in rows)


def interruptions(connection: sqlite3.Connection, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
    """Return (job, by whom) of those that are to be interrupted; by "" for one whose fence is lost."""
    asked = json.dumps([job for job, _fence in claims])
    rows = connection.execute(
        "SELECT id, fence, interrupt_by FROM job WHERE id IN (SELECT value FROM json_each(?)) AND state = 'running'",
        (asked,),
    )
    return interrupted_of(claims, {job: (fence, by) for job, fence, by in rows})


def _update_of(claim: Claim, settlement: Settlement, ended_at: datetime) -> dict[str, Any]:
    ended = settlement.state != "waiting"
    return {
        "job": claim.job,
        "fence": claim.fence,
        "state": settlement.state,
        "waiting_for": settlement.waiting_for,
        "attempts": settlement.attempts,
        "deferrals": settlement.deferrals,
        "due_at": to_text(settlement.due_at) if settlement.due_at else None,
        "expires_at": to_text(settlement.expires_at) if settlement.expires_at else None,
        "error": settlement.error,
        "by": settlement.by,
        "result": result_text(settlement.result),
        "waits_on": None if ended else settlement.waits_on,
        "ended_at": to_text(ended_at) if ended else None,
    }


def _attempt_of(one: Settled, place: tuple[Any, ...]) -> tuple[Any, ...]:
    return (
        one.claim.job,
        one.claim.fence,
        *place,
        one.child_pid,
        to_text(one.started_at),
        to_text(one.ended_at),
        one.outcome,
        one.settlement.error,
        len(one.output),
    )
