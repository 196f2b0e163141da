"""Removes what has outlived its retention."""

from datetime import datetime, timedelta

from central_dispatch.stores.server.session import Session

# A batch's rows stay while one of them is open: its progress is counted by them, and its numbers must stay taken.
# Likewise while the job that makes it is there and did not come to its end: tried again, it gives the same numbers.
_WHOLE_BATCH = """
(job.batch IS NULL OR NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.batch = job.batch AND other.state IN ('waiting', 'running'))
 AND NOT EXISTS (
    SELECT 1 FROM job_batch JOIN job AS maker ON maker.id = job_batch.job
    WHERE job_batch.id = job.batch AND job_batch.total IS NULL))"""
_DEAD = f"""
SELECT id FROM job WHERE state = 'in_error' AND expires_at < %s AND {_WHOLE_BATCH}
ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED"""  # noqa: S608 constants
_ENDED = f"""
SELECT id FROM job WHERE ended_at < %s AND state IN ('finished', 'interrupted') AND {_WHOLE_BATCH}
ORDER BY ended_at LIMIT %s FOR UPDATE SKIP LOCKED"""  # noqa: S608 constants

_EMPTY_BATCHES = """
SELECT id FROM job_batch WHERE created_at < %s AND NOT EXISTS (SELECT 1 FROM job WHERE batch = job_batch.id)
AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_batch.job) ORDER BY id LIMIT %s"""


def prune(session: Session, now: datetime, ended_keep: timedelta, limit: int) -> dict[str, int]:
    """Remove up to `limit` expired dead letters and as many jobs that ended before `now - ended_keep`."""
    counts = {}
    for name, select, before in (("dead_letters", _DEAD, now), ("ended", _ENDED, now - ended_keep)):
        jobs = [row[0] for row in session.rows(select, before, limit)]
        if jobs:
            for table in ("job_attempt", "job_output", "job_wish", "job_lock"):
                session.run(f"DELETE FROM {table} WHERE job IN %s", jobs)  # noqa: S608 constants
            session.run("DELETE FROM job WHERE id IN %s", jobs)
        counts[name] = len(jobs)
    # A batch goes with the last of its jobs, once nobody will make more of it.
    empty = [row[0] for row in session.rows(_EMPTY_BATCHES, now - ended_keep, limit)]
    if empty:
        session.run("DELETE FROM job_batch WHERE id IN %s", empty)
    return counts
