"""Named schedules, in the caller's transaction. When they are due is decided by `jobs.schedule`."""

import json
import sqlite3
from datetime import datetime

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.sqlite.enqueueing import enqueue
from central_dispatch.stores.sqlite.times import from_text, to_text

_COLUMNS = (
    "name, queue, expression, zone, payload, payload_version, priority, is_on, next_run_at, last_run_at, last_job"
)
_PUT = """
INSERT INTO job_schedule (name, queue, expression, zone, payload, payload_version, priority, is_on, next_run_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET queue = excluded.queue, expression = excluded.expression, zone = excluded.zone,
    payload = excluded.payload, payload_version = excluded.payload_version, priority = excluded.priority,
    is_on = excluded.is_on, next_run_at = excluded.next_run_at"""


def schedules(connection: sqlite3.Connection) -> list[Schedule]:
    """Return all schedules by name, those that are switched off, too."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM job_schedule ORDER BY name")  # noqa: S608 constants
    return [_schedule(row) for row in rows]


def find(connection: sqlite3.Connection, name: str) -> Schedule | None:
    """Return one schedule."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM job_schedule WHERE name = ?", (name,)).fetchone()  # noqa: S608 constants
    return _schedule(row) if row else None


def find_to_change(connection: sqlite3.Connection, name: str) -> Schedule | None:
    """Return one schedule; nobody else changes anything until the end of the transaction."""
    return find(connection, name)


def put(connection: sqlite3.Connection, schedule: Schedule) -> None:
    """Write a schedule, new or changed; `last_run_at` and `last_job` of one that is there stay."""
    values = (
        schedule.name,
        schedule.queue,
        schedule.expression,
        schedule.zone,
        json.dumps(dict(schedule.payload), ensure_ascii=False, allow_nan=False),
        schedule.payload_version,
        schedule.priority,
        int(schedule.is_on),
        _text(schedule.next_run_at),
    )
    connection.execute(_PUT, values)


def remove(connection: sqlite3.Connection, name: str) -> bool:
    """Remove a schedule; False where there is none. Its last job goes on."""
    return connection.execute("DELETE FROM job_schedule WHERE name = ?", (name,)).rowcount == 1


def move(connection: sqlite3.Connection, name: str, seen: datetime | None, next_run_at: datetime | None) -> bool:
    """Write another next run if it still is `seen`; False where it is not."""
    moved = "UPDATE job_schedule SET next_run_at = ? WHERE name = ? AND next_run_at IS ?"
    return connection.execute(moved, (_text(next_run_at), name, _text(seen))).rowcount == 1


def run(
    connection: sqlite3.Connection, name: str, seen: datetime | None, next_run_at: datetime | None, now: datetime
) -> int | None:
    """Enqueue a schedule's job if its next run still is `seen`, and write the one after.

    None where it was not, or where the job before waits or runs: then the next run is written all the same.
    """
    if not move(connection, name, seen, next_run_at):
        return None
    schedule = find(connection, name)
    assert schedule is not None  # noqa: S101 it was moved just now
    new = NewJob(
        kind=schedule.queue,
        payload=schedule.payload,
        payload_version=schedule.payload_version,
        priority=schedule.priority,
        unique_key=schedule.unique_key,
        enqueued_by=schedule.unique_key,
    )
    [job] = enqueue(connection, [new], now)
    if job is not None:
        connection.execute(
            "UPDATE job_schedule SET last_run_at = ?, last_job = ? WHERE name = ?", (to_text(now), job, name)
        )
    return job


def _schedule(row: tuple[object, ...]) -> Schedule:
    name, queue, expression, zone, payload, version, priority, is_on, next_run_at, last_run_at, last_job = row
    return Schedule(
        name=str(name),
        queue=str(queue),
        expression=str(expression),
        zone=str(zone),
        payload=json.loads(str(payload)),
        payload_version=int(str(version)),
        priority=int(str(priority)),
        is_on=bool(is_on),
        next_run_at=_time(next_run_at),
        last_run_at=_time(last_run_at),
        last_job=int(str(last_job)) if last_job is not None else None,
    )


def _text(moment: datetime | None) -> str | None:
    return to_text(moment) if moment else None


def _time(text: object) -> datetime | None:
    return from_text(str(text)) if text else None
