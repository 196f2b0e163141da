"""Settings of queues, and the periods. Only what was changed is stored: the rest follows the kinds' defaults."""

import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.stores.server.enqueueing import enqueue
from central_dispatch.stores.server.schema import STRIPES
from central_dispatch.stores.server.session import Session, moment
from central_dispatch.stores.settings import NAMES, changed_settings

_PUT = """
INSERT INTO job_queue (queue, changes) VALUES (%s, %s)
ON CONFLICT (queue) DO UPDATE SET changes = excluded.changes"""
_RAN = """
INSERT INTO job_period (queue, last_run_at, last_job) VALUES (%s, %s, %s)
ON CONFLICT (queue) DO UPDATE SET last_run_at = excluded.last_run_at,
    last_job = coalesce(excluded.last_job, job_period.last_job)"""


class Queues:
    """The queues of some kinds. A queue without a kind has the plain defaults."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds

    def defaults(self, queue: str) -> QueueSettings:
        """Return a queue's settings before any change."""
        kind = self._kinds.get(queue)
        return kind.defaults if kind else QueueSettings()

    def settings(self, session: Session, queue: str) -> QueueSettings:
        """Return the queue's settings as they are now."""
        row = session.one("SELECT changes FROM job_queue WHERE queue = %s", queue)
        return self.with_changes(queue, row[0] if row else None)

    def settings_to_change(self, session: Session, queue: str) -> QueueSettings:
        """Return them; whoever else changes them waits until the end of the transaction."""
        # One change after the other, and none in the middle of a claim that counts who runs.
        take_stripes(session, queue_stripes([queue]))
        return self.settings(session, queue)

    def with_changes(self, queue: str, text: str | None) -> QueueSettings:
        """Return the settings with what is stored; a setting that this version does not know is passed over."""
        changes = {name: value for name, value in json.loads(text).items() if name in NAMES} if text else {}
        return replace(self.defaults(queue), **changes) if changes else self.defaults(queue)

    def change(self, session: Session, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some settings. `ValueError` for a name that there is not, or a value out of bounds."""
        changed = changed_settings(self.settings_to_change(session, queue), changes)
        defaults = asdict(self.defaults(queue))
        stored = {name: value for name, value in asdict(changed).items() if value != defaults[name]}
        session.run(_PUT, queue, json.dumps(stored))
        return changed

    def version_of(self, queue: str) -> int:
        """Return the version in which a kind's payloads are made."""
        kind = self._kinds.get(queue)
        return kind.payload_version if kind else 1


def queue_stripes(queues: Collection[str]) -> list[int]:
    """Return the rows that stand for these queues."""
    return sorted({zlib.crc32(queue.encode()) % STRIPES for queue in queues})


def resource_stripes(resources: Collection[str]) -> list[int]:
    """Return the rows that stand for these resources."""
    return sorted({STRIPES + zlib.crc32(resource.encode()) % STRIPES for resource in resources})


def take_stripes(session: Session, stripes: list[int]) -> None:
    """Wait for whoever has one of these, and keep the next one waiting until the end of the transaction."""
    if stripes:
        session.rows("SELECT id FROM job_stripe WHERE id IN %s ORDER BY id FOR UPDATE", stripes)


def due_periods(session: Session, periods: Mapping[str, float], now: datetime) -> list[str]:
    """Return the queues whose period is over, or that never ran."""
    last = {queue: moment(at) for queue, at in session.rows("SELECT queue, last_run_at FROM job_period")}
    return [queue for queue, period_s in periods.items() if _is_due(last.get(queue), period_s, now)]


def enqueue_due(session: Session, queues: Queues, periods: Mapping[str, float], now: datetime) -> list[str]:
    """Enqueue a job for each queue whose period is over; a turn is left out while the one before waits or runs."""
    take_stripes(session, queue_stripes(periods))
    made = []
    for queue in due_periods(session, periods, now):
        new = NewJob(
            kind=queue, payload={}, payload_version=queues.version_of(queue), unique_key=queue, enqueued_by="schedule"
        )
        [job] = enqueue(session, [new], now)
        session.run(_RAN, queue, now, job)
        if job is not None:
            made.append(queue)
    return made


def _is_due(last: datetime | None, period_s: float, now: datetime) -> bool:
    # A last run in the future: the clock was set back, and waiting for that time could take forever.
    return last is None or last > now or now - last >= timedelta(seconds=period_s)
