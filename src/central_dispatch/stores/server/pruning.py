"""Removes what has outlived its retention."""

from datetime import datetime, timedelta

from central_dispatch.stores.server.session import Session

# A batch's rows stay while one of them is open: its progress is counted by them, and its numbers must stay taken.
_WHOLE_BATCH = """
(job.batch IS NULL OR NOT EXISTS (
    SELECT 1 FROM job AS other WHERE other.batch = job.batch AND other.state IN ('waiting', 'running')))"""
_DEAD = f"""
SELECT id FROM job WHERE state = 'in_error' AND expires_at < %s AND {_WHOLE_BATCH}
ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED"""  # noqa: S608 constants
_ENDED = f"""
SELECT id FROM job WHERE ended_at < %s AND state IN ('finished', 'interrupted') AND {_WHOLE_BATCH}
ORDER BY ended_at LIMIT %s FOR UPDATE SKIP LOCKED"""  # noqa: S608 constants


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
    return counts
