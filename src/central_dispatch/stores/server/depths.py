"""How much is in the queues, for those who watch. Ended jobs are never counted."""

from collections.abc import Collection
from datetime import datetime

from central_dispatch.jobs.ports import Depth
from central_dispatch.stores.server.claiming import NEXT_DUE
from central_dispatch.stores.server.queues import Queues
from central_dispatch.stores.server.session import Session, moment


def depths(session: Session, queues: Queues, wanted: Collection[str], now: datetime) -> list[Depth]:
    """Return how much is in each of these queues, in their order."""
    waiting, running, in_error = (_counts(session, state) for state in ("waiting", "running", "in_error"))
    return [
        Depth(
            queue,
            waiting.get(queue, 0),
            running.get(queue, 0),
            in_error.get(queue, 0),
            _oldest_due_s(session, queue, now),
            queues.settings(session, queue).paused,
        )
        for queue in wanted
    ]


def _counts(session: Session, state: str) -> dict[str, int]:
    return {
        queue: int(count)
        for queue, count in session.rows(f"SELECT queue, count(*) FROM job WHERE state = '{state}' GROUP BY queue")  # noqa: S608 three words
    }


def _oldest_due_s(session: Session, queue: str, now: datetime) -> float | None:
    found = [moment(row[0]) for row in session.rows(NEXT_DUE, queue) if row[0] is not None]
    if not found or min(found) > now:
        return None
    return (now - min(found)).total_seconds()
