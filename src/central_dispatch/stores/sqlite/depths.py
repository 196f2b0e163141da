"""How much is in the queues, for those who watch. Each state has a partial index; ended jobs are never counted."""

import sqlite3
from collections.abc import Collection
from datetime import datetime

from central_dispatch.jobs.ports import Depth
from central_dispatch.stores.sqlite.queues import Queues
from central_dispatch.stores.sqlite.times import from_text, to_text

_PRIORITIES = "(VALUES (9), (8), (7), (6), (5), (4), (3), (2), (1), (0))"
_OLDEST = f"""
SELECT min((SELECT min(due_at) FROM job WHERE queue = ? AND state = 'waiting' AND priority = column1))
FROM {_PRIORITIES}"""  # noqa: S608 constants


def depths(connection: sqlite3.Connection, queues: Queues, wanted: Collection[str], now: datetime) -> list[Depth]:
    """Return how much is in each of these queues, in their order."""
    waiting, running, in_error = (_counts(connection, state) for state in ("waiting", "running", "in_error"))
    return [
        Depth(
            queue,
            waiting.get(queue, 0),
            running.get(queue, 0),
            in_error.get(queue, 0),
            _oldest_due_s(connection, queue, now),
            queues.settings(connection, queue).paused,
        )
        for queue in wanted
    ]


def _counts(connection: sqlite3.Connection, state: str) -> dict[str, int]:
    rows = connection.execute(f"SELECT queue, count(*) FROM job WHERE state = '{state}' GROUP BY queue")  # noqa: S608 three words
    return dict(rows.fetchall())


def _oldest_due_s(connection: sqlite3.Connection, queue: str, now: datetime) -> float | None:
    found = connection.execute(_OLDEST, (queue,)).fetchone()[0]
    if not found or found > to_text(now):
        return None
    return (now - from_text(found)).total_seconds()
