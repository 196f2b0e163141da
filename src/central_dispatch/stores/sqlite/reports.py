"""Progress of running jobs."""

import sqlite3
from collections.abc import Mapping

from central_dispatch.jobs.job import MAX_WORDS, Progress


def write_progress(connection: sqlite3.Connection, reports: Mapping[tuple[int, int], Progress]) -> list[int]:
    """Note progress by (job, fence); one with an older fence is passed over. Returns the jobs that were noted."""
    statement = "UPDATE job SET percent = ?, words = ? WHERE id = ? AND fence = ? AND state = 'running'"
    noted = []
    for (job, fence), progress in reports.items():
        percent = min(100.0, max(0.0, progress.percent))
        if connection.execute(statement, (percent, progress.words[:MAX_WORDS], job, fence)).rowcount:
            noted.append(job)
    return noted
