"""Named schedules, in the caller's transaction. When they are due is decided by `jobs.schedule`."""

import json
from datetime import datetime

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.server.enqueueing import enqueue
from central_dispatch.stores.server.session import Row, Session, moment_or_none

_COLUMNS = (
    "name, queue, expression, zone, payload, payload_version, priority, is_on, next_run_at, last_run_at, last_job"
)
_PUT = """
INSERT INTO job_schedule (name, queue, expression, zone, payload, payload_version, priority, is_on, next_run_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET queue = excluded.queue, expression = excluded.expression, zone = excluded.zone,
    payload = excluded.payload, payload_version = excluded.payload_version, priority = excluded.priority,
    is_on = excluded.is_on, next_run_at = excluded.next_run_at"""


def schedules(session: Session) -> list[Schedule]:
    """Return all schedules by name, those that are switched off, too."""
    return [_schedule(row) for row in session.rows(f"SELECT {_COLUMNS} FROM job_schedule ORDER BY name")]  # noqa: S608 constants


def find(session: Session, name: str) -> Schedule | None:
    """Return one schedule."""
    row = session.one(f"SELECT {_COLUMNS} FROM job_schedule WHERE name = %s", name)  # noqa: S608 constants
    return _schedule(row) if row else None


def find_to_change(session: Session, name: str) -> Schedule | None:
    """Return one schedule; whoever else changes it waits until the end of the transaction."""
    session.rows("SELECT name FROM job_schedule WHERE name = %s FOR UPDATE", name)
    return find(session, name)


def put(session: Session, schedule: Schedule) -> None:
    """Write a schedule, new or changed; `last_run_at` and `last_job` of one that is there stay."""
    session.run(
        _PUT,
        schedule.name,
        schedule.queue,
        schedule.expression,
        schedule.zone,
        json.dumps(dict(schedule.payload), ensure_ascii=False, allow_nan=False),
        schedule.payload_version,
        schedule.priority,
        schedule.is_on,
        schedule.next_run_at,
    )


def remove(session: Session, name: str) -> bool:
    """Remove a schedule; False where there is none. Its last job goes on."""
    return session.run("DELETE FROM job_schedule WHERE name = %s", name) == 1


def move(session: Session, name: str, seen: datetime | None, next_run_at: datetime | None) -> bool:
    """Write another next run if it still is `seen`; False where it is not."""
    moved = "UPDATE job_schedule SET next_run_at = %s WHERE name = %s AND next_run_at "
    if seen is None:
        return session.run(moved + "IS NULL", next_run_at, name) == 1
    return session.run(moved + "= %s", next_run_at, name, seen) == 1


def run(session: Session, name: str, seen: datetime | None, next_run_at: datetime | None, now: datetime) -> int | None:
    """Enqueue a schedule's job if its next run still is `seen`, and write the one after.

    None where it was not, or where the job before waits or runs: then the next run is written all the same.
    """
    schedule = find(session, name) if move(session, name, seen, next_run_at) else None
    if schedule is None:
        return None
    new = NewJob(
        kind=schedule.queue,
        payload=schedule.payload,
        payload_version=schedule.payload_version,
        priority=schedule.priority,
        unique_key=f"schedule:{schedule.name}",
        enqueued_by=f"schedule:{schedule.name}",
    )
    [job] = enqueue(session, [new], now)
    if job is not None:
        session.run("UPDATE job_schedule SET last_run_at = %s, last_job = %s WHERE name = %s", now, job, name)
    return job


def _schedule(row: Row) -> Schedule:
    name, queue, expression, zone, payload, version, priority, is_on, next_run_at, last_run_at, last_job = row
    return Schedule(
        name=name,
        queue=queue,
        expression=expression,
        zone=zone,
        payload=json.loads(payload),
        payload_version=version,
        priority=priority,
        is_on=bool(is_on),
        next_run_at=moment_or_none(next_run_at),
        last_run_at=moment_or_none(last_run_at),
        last_job=last_job,
    )
