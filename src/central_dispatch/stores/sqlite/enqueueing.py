"""Makes jobs, in the caller's transaction."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from central_dispatch.jobs.job import NewJob
from central_dispatch.stores.rows import check, payload_text
from central_dispatch.stores.sqlite.clock import note_clock
from central_dispatch.stores.sqlite.times import to_text

# DO NOTHING covers both unique indexes, that of the keys and that of the batches.
_INSERT = """
INSERT INTO job (queue, priority, due_at, payload, payload_version, unique_key, given_key, batch, batch_index,
                 enqueued_by, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING RETURNING id"""


def enqueue(connection: sqlite3.Connection, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
    """Insert rows; None where a unique key is held or a batch's number was taken before."""
    at = to_text(now)
    rows = [_row(job, at) for job in jobs]
    note_clock(connection, now)
    found = [connection.execute(_INSERT, row).fetchone() for row in rows]
    return [row[0] if row else None for row in found]


def _row(job: NewJob, at: str) -> tuple[object, ...]:
    check(job)
    return (
        job.kind,
        job.priority,
        to_text(job.due_at) if job.due_at else at,
        payload_text(job),
        job.payload_version,
        job.unique_key,
        job.unique_key,
        job.batch,
        job.batch_index,
        job.enqueued_by,
        at,
    )
