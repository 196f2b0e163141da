"""Settings of queues, and the schedule. Only what was changed is stored: the rest follows the kinds' defaults."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.stores.settings import NAMES, changed_settings
from central_dispatch.stores.sqlite.enqueueing import enqueue
from central_dispatch.stores.sqlite.times import from_text, to_text


class Queues:
    """The queues of some kinds. A queue without a kind has the plain defaults."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds

    def defaults(self, queue: str) -> QueueSettings:
        """Return a queue's settings before any change."""
        kind = self._kinds.get(queue)
        return kind.defaults if kind else QueueSettings()

    def settings(self, connection: sqlite3.Connection, queue: str) -> QueueSettings:
        """Return the queue's settings as they are in this transaction."""
        changes = stored_changes(connection, queue)
        return replace(self.defaults(queue), **changes) if changes else self.defaults(queue)

    def settings_to_change(self, connection: sqlite3.Connection, queue: str) -> QueueSettings:
        """Return them; nobody else changes anything until the end of the transaction."""
        return self.settings(connection, queue)

    def change(self, connection: sqlite3.Connection, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some settings. `ValueError` for a name that there is not, or a value out of bounds."""
        changed = changed_settings(self.settings(connection, queue), changes)
        defaults = asdict(self.defaults(queue))
        stored = {name: value for name, value in asdict(changed).items() if value != defaults[name]}
        connection.execute(
            "INSERT INTO job_queue (queue, changes) VALUES (?, ?) "
            "ON CONFLICT (queue) DO UPDATE SET changes = excluded.changes",
            (queue, json.dumps(stored)),
        )
        return changed

    def version_of(self, queue: str) -> int:
        """Return the version in which a kind's payloads are made."""
        kind = self._kinds.get(queue)
        return kind.payload_version if kind else 1


def stored_changes(connection: sqlite3.Connection, queue: str) -> dict[str, Any]:
    """Return what differs from the defaults; a setting that this version does not know is passed over."""
    row = connection.execute("SELECT changes FROM job_queue WHERE queue = ?", (queue,)).fetchone()
    return {name: value for name, value in json.loads(row[0]).items() if name in NAMES} if row else {}


def due_schedules(connection: sqlite3.Connection, periods: Mapping[str, float], now: datetime) -> list[str]:
    """Return the queues whose period is over, or that never ran."""
    last = dict(connection.execute("SELECT queue, last_run_at FROM job_period").fetchall())
    return [queue for queue, period_s in periods.items() if _is_due(last.get(queue), period_s, now)]


def enqueue_due(
    connection: sqlite3.Connection, queues: Queues, periods: Mapping[str, float], now: datetime
) -> list[str]:
    """Enqueue a job for each queue whose period is over; a turn is left out while the one before waits or runs."""
    made = []
    for queue in due_schedules(connection, periods, now):
        new = NewJob(
            kind=queue,
            payload={},
            payload_version=queues.version_of(queue),
            unique_key=queue,
            enqueued_by="schedule",
        )
        job = enqueue(connection, [new], now)[0]
        connection.execute(
            "INSERT INTO job_period (queue, last_run_at, last_job) VALUES (?, ?, ?) ON CONFLICT (queue) DO UPDATE "
            "SET last_run_at = excluded.last_run_at, last_job = coalesce(excluded.last_job, last_job)",
            (queue, to_text(now), job),
        )
        if job is not None:
            made.append(queue)
    return made


def _is_due(last_run_at: str | None, period_s: float, now: datetime) -> bool:
    if last_run_at is None:
        return True
    # A last run in the future: the clock was set back, and waiting for that time could take forever.
    last = from_text(last_run_at)
    return last > now or now - last >= timedelta(seconds=period_s)
