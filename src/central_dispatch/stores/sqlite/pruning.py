"""Removes what has outlived its retention."""

import sqlite3
from datetime import datetime, timedelta
from typing import Literal

from central_dispatch.stores.sqlite.times import to_text

Pruned = Literal["dead_letters", "ended"]
# A batch's rows stay while one of them is open: its progress is counted by them, and its numbers must stay taken.
# Likewise while the job that makes it is there and did not come to its end: tried again, it gives the same numbers.
_WHOLE_BATCH = """
(batch IS NULL OR batch NOT IN (
    SELECT batch FROM job WHERE state = 'waiting' AND batch IS NOT NULL
    UNION SELECT batch FROM job WHERE state = 'running' AND batch IS NOT NULL
    UNION SELECT job_batch.id FROM job_batch JOIN job AS maker ON maker.id = job_batch.job WHERE total IS NULL))"""
_DEAD = f"""
SELECT id FROM job WHERE state = 'in_error' AND expires_at < :now AND {_WHOLE_BATCH} LIMIT :limit"""  # noqa: S608 constants
_ENDED = f"""
SELECT id FROM job WHERE ended_at < :before AND state IN ('finished', 'interrupted') AND {_WHOLE_BATCH}
ORDER BY ended_at LIMIT :limit"""  # noqa: S608 constants
# A batch goes with the last of its jobs, once nobody will make more of it.
_EMPTY_BATCHES = """
DELETE FROM job_batch WHERE id IN (
    SELECT id FROM job_batch WHERE created_at < :before AND NOT EXISTS (SELECT 1 FROM job WHERE batch = job_batch.id)
    AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = job_batch.job) ORDER BY id LIMIT :limit)"""


def prune(connection: sqlite3.Connection, now: datetime, ended_keep: timedelta, limit: int) -> dict[Pruned, list[int]]:
    """Remove up to `limit` expired dead letters and as many jobs that ended before `now - ended_keep`."""
    values = {"now": to_text(now), "before": to_text(now - ended_keep), "limit": limit}
    removed: dict[Pruned, list[int]] = {}
    chosen: tuple[tuple[Pruned, str], ...] = (("dead_letters", _DEAD), ("ended", _ENDED))
    for name, select in chosen:
        removed[name] = [row[0] for row in connection.execute(select, values)]
        for job in removed[name]:
            connection.execute("DELETE FROM job_attempt WHERE job = ?", (job,))
            connection.execute("DELETE FROM job_wish WHERE job = ?", (job,))
            connection.execute("DELETE FROM job WHERE id = ?", (job,))
    connection.execute(_EMPTY_BATCHES, values)
    return removed
