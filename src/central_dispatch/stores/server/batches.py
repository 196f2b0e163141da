"""Batches: what one message was split into, in the caller's transaction. A batch is made once for each job."""

from datetime import datetime

from central_dispatch.stores.batch import Counts, NewBatch, Opened
from central_dispatch.stores.server.session import Session


def begin(session: Session, new: NewBatch, now: datetime) -> Opened:
    """Make the batch that this job splits into, or find it: a job that begins again goes on where it was."""
    session.run(
        "INSERT INTO job_batch (job, kind, says, source, expected, created_by, created_at) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (job) DO UPDATE SET job = excluded.job",
        new.job, new.kind, new.says, new.source, new.expected, new.by, now,
    )  # fmt: skip
    [(batch, known)] = session.rows("SELECT id, source FROM job_batch WHERE job = %s", new.job)
    # They are made in order, a chunk in one transaction: behind the last one there is none.
    [(last,)] = session.rows("SELECT max(batch_index) FROM job WHERE batch = %s", batch)
    return Opened(batch, known, 0 if last is None else last + 1)


def complete(session: Session, batch: int, total: int) -> None:
    """Write that all jobs of a batch are made."""
    session.run("UPDATE job_batch SET total = %s WHERE id = %s", total, batch)


def count(session: Session, batch: int, since: datetime) -> Counts:
    """Count a batch's jobs by state, and those that ended since then."""
    by_state: dict[str, int] = dict(
        session.rows("SELECT state, count(*) FROM job WHERE batch = %s GROUP BY state", batch)
    )
    [(lately,)] = session.rows("SELECT count(*) FROM job WHERE batch = %s AND ended_at >= %s", batch, since)
    return Counts(**by_state, ended_lately=lately)


def in_state(session: Session, batch: int, *states: str) -> list[int]:
    """Return the jobs of a batch that are in one of these states, in order."""
    rows = session.rows("SELECT id FROM job WHERE batch = %s AND state IN %s ORDER BY id", batch, list(states))
    return [row[0] for row in rows]


def ask_to_stop(session: Session, batch: int, by: str) -> list[int]:
    """Ask that every running job of a batch be stopped; returns them."""
    select = "SELECT id FROM job WHERE batch = %s AND state = 'running' ORDER BY id FOR UPDATE"
    jobs = [row[0] for row in session.rows(select, batch)]
    if jobs:
        session.run("UPDATE job SET interrupt_by = %s WHERE id IN %s", by or "somebody", jobs)
    return jobs
