"""Hints for live pages: rows of the fleet's table of changes, written in the transaction that changes the jobs."""

import sqlite3
import threading
from collections.abc import Collection
from datetime import UTC, datetime

from central_dispatch.stores.sqlite.times import to_text

#: A transaction with more jobs than this is announced as `jobs` alone: a job's page listens to both topics.
MOST_JOBS = 32
_WHOLE = ("jobs", "queues")


class Announcer:
    """Writes hints. Those of the whole list replace this process's last ones, or the table would fill with them."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def announce(self, connection: sqlite3.Connection, jobs: Collection[int], *more: str) -> None:
        """Write that these jobs, the list of jobs, the queues and `more` changed."""
        at = to_text(datetime.now(UTC))
        topics = [f"job:{job}" for job in jobs] if len(jobs) <= MOST_JOBS else []
        insert = "INSERT INTO fleet_change (topic, at) VALUES (?, ?)"
        connection.executemany(insert, [(topic, at) for topic in (*topics, *more)])
        with self._lock:
            for topic in _WHOLE:
                # After a transaction that was undone the number may be another process's hint of the same topic: no
                # harm, as a newer one of that topic takes its place right here.
                connection.execute(
                    "DELETE FROM fleet_change WHERE id = ? AND topic = ?", (self._last.get(topic), topic)
                )
                self._last[topic] = connection.execute(insert, (topic, at)).lastrowid or 0

    def progress(self, connection: sqlite3.Connection, jobs: Collection[int]) -> None:
        """Write that the progress of these jobs changed."""
        at = to_text(datetime.now(UTC))
        topics = [f"job:{job}" for job in jobs] if len(jobs) <= MOST_JOBS else ["jobs"]
        connection.executemany("INSERT INTO fleet_change (topic, at) VALUES (?, ?)", [(topic, at) for topic in topics])
