"""Hints for live pages: rows of the fleet's table of changes, written in the transaction that changes the jobs."""

import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from central_dispatch.stores.server.session import Session

#: A transaction with more jobs than this is announced as `jobs` alone: a job's page listens to both topics.
MOST_JOBS = 32
_WHOLE = ("jobs", "queues")


class Announcer:
    """Writes hints. Those of the whole list replace this process's last ones, or the table would fill with them."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()

    def announce(self, session: Session, jobs: Collection[int], *more: str) -> None:
        """Write that these jobs, the list of jobs, the queues and `more` changed."""
        topics = [f"job:{job}" for job in jobs] if len(jobs) <= MOST_JOBS else []
        with self._lock:
            old = sorted(self._last.values())
            self._last.clear()
        if old:
            # After a transaction that was undone a number may be another process's hint of the same topic: no harm,
            # as a newer one of that topic takes its place right here. What another transaction has is left alone.
            gone = session.rows(
                "SELECT id FROM fleet_change WHERE id IN %s AND topic IN %s ORDER BY id FOR UPDATE SKIP LOCKED",
                old,
                list(_WHOLE),
            )
            if gone:
                session.run("DELETE FROM fleet_change WHERE id IN %s", [row[0] for row in gone])
        made = _insert(session, [*topics, *more, *_WHOLE])
        with self._lock:
            self._last |= {topic: number for number, topic in made if topic in _WHOLE}

    def progress(self, session: Session, jobs: Collection[int]) -> None:
        """Write that the progress of these jobs changed."""
        if jobs:
            _insert(session, [f"job:{job}" for job in jobs] if len(jobs) <= MOST_JOBS else ["jobs"])


def _insert(session: Session, topics: Sequence[str]) -> list[tuple[int, str]]:
    at = datetime.now(UTC)
    statement = (
        f"INSERT INTO fleet_change (topic, at) VALUES {', '.join(['(%s, %s)'] * len(topics))} RETURNING id, topic"  # noqa: S608 constants
    )
    return [(row[0], row[1]) for row in session.rows(statement, *(value for topic in topics for value in (topic, at)))]
