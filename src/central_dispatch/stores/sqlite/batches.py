"""Batches: what one message was split into, in the caller's transaction. A batch is made once for each job."""

import sqlite3
from datetime import datetime

from central_dispatch.stores.batch import Counts, NewBatch, Opened
from central_dispatch.stores.sqlite.times import to_text


def begin(connection: sqlite3.Connection, new: NewBatch, now: datetime) -> Opened:
    """Make the batch that this job splits into, or find it: a job that begins again goes on where it was."""
    connection.execute(
        "INSERT INTO job_batch (job, kind, says, source, expected, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (job) DO NOTHING",
        (new.job, new.kind, new.says, new.source, new.expected, new.by, to_text(now)),
    )
    batch, known = connection.execute("SELECT id, source FROM job_batch WHERE job = ?", (new.job,)).fetchone()
    # They are made in order, a chunk in one transaction: behind the last one there is none.
    last = connection.execute("SELECT max(batch_index) FROM job WHERE batch = ?", (batch,)).fetchone()[0]
    return Opened(batch, known, 0 if last is None else last + 1)


def complete(connection: sqlite3.Connection, batch: int, total: int) -> None:
    """Write that all jobs of a batch are made."""
    connection.execute("UPDATE job_batch SET total = ? WHERE id = ?", (total, batch))


def count(connection: sqlite3.Connection, batch: int, since: datetime) -> Counts:
    """Count a batch's jobs by state, and those that ended since then."""
    by_state = dict(
        connection.execute("SELECT state, count(*) FROM job WHERE batch = ? GROUP BY state", (batch,)).fetchall()
    )
    lately = connection.execute(
        "SELECT count(*) FROM job WHERE batch = ? AND ended_at >= ?", (batch, to_text(since))
    ).fetchone()[0]
    return Counts(**by_state, ended_lately=lately)


def in_state(connection: sqlite3.Connection, batch: int, *states: str) -> list[int]:
    """Return the jobs of a batch that are in one of these states, in order."""
    marks = ", ".join("?" * len(states))
    select = f"SELECT id FROM job WHERE batch = ? AND state IN ({marks}) ORDER BY id"  # noqa: S608 only marks
    return [row[0] for row in connection.execute(select, (batch, *states))]


def ask_to_stop(connection: sqlite3.Connection, batch: int, by: str) -> list[int]:
    """Ask that every running job of a batch be stopped; returns them."""
    rows = connection.execute(
        "UPDATE job SET interrupt_by = ? WHERE batch = ? AND state = 'running' RETURNING id", (by or "somebody", batch)
    )
    return sorted(row[0] for row in rows)
