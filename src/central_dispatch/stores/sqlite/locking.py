"""Locks, and the line of those who were refused them. What a row is worth is decided in `jobs.lock`."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from central_dispatch.jobs import lock as locks
from central_dispatch.jobs.lock import Holder, Lock, Place
from central_dispatch.stores.sqlite.times import from_text, to_text

#: So many in line are looked at: the others come nearer as these go.
_LINE = 200
_HOLDERS = """
SELECT job_lock.resource, job_lock.job, job_lock.shared FROM job_lock
JOIN job ON job.id = job_lock.job AND job.state = 'running' AND job.fence = job_lock.fence
WHERE job_lock.resource = ? ORDER BY job_lock.job"""
# A running job keeps its place until it asks again, which it does soon after it began.
_IN_LINE = f"""
SELECT job_wish.resource, job_wish.job, job_wish.shared, job.priority, job_wish.since,
    max(job_wish.asked_at, CASE job.state WHEN 'waiting' THEN job.due_at ELSE job.started_at END),
    job.state = 'waiting'
FROM job_wish JOIN job ON job.id = job_wish.job
WHERE job_wish.resource = ? AND (job.state = 'running' OR job.state = 'waiting' AND job.waits_on = job_wish.resource)
ORDER BY job.priority DESC, job_wish.since, job_wish.job LIMIT {_LINE}"""  # noqa: S608 constants
_TAKE = """
INSERT INTO job_lock (resource, job, fence, shared, taken_at) VALUES (:resource, :job, :fence, :shared, :now)
ON CONFLICT (resource, job) DO UPDATE SET taken_at = CASE fence WHEN :fence THEN taken_at ELSE :now END,
    shared = CASE fence WHEN :fence THEN min(shared, :shared) ELSE :shared END, fence = :fence"""
_WISH = """
INSERT INTO job_wish (resource, job, fence, shared, since, asked_at)
VALUES (:resource, :job, :fence, :shared, :now, :now)
ON CONFLICT (resource, job) DO UPDATE SET fence = :fence, shared = :shared, asked_at = :now"""
# What waits for something else, or was refused in an earlier execution and not asked for again, is out of the line.
_LEAVE_LINE = """
DELETE FROM job_wish WHERE job IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
    SELECT 1 FROM job WHERE job.id = job_wish.job AND job.waits_on = job_wish.resource
    AND job.fence = job_wish.fence AND job.state = 'waiting')
RETURNING resource"""
_ARRIVED = "SELECT resource FROM job_wish WHERE job IN (SELECT value FROM json_each(?))"
_DUE = "UPDATE job SET due_at = :now WHERE state = 'waiting' AND due_at > :now AND"
_WAKE = f"{_DUE} id IN (SELECT value FROM json_each(:jobs))"  # noqa: S608 constants
_WAKE_ALL = f"{_DUE} waits_on IS NOT NULL"
_WAKE_OUTSIDERS = f"""
{_DUE} waits_on IN (SELECT value FROM json_each(:released)) AND id NOT IN (SELECT value FROM json_each(:but))
AND NOT EXISTS (SELECT 1 FROM job_wish WHERE job_wish.job = job.id AND job_wish.resource = job.waits_on)"""  # noqa: S608 constants


def lock(connection: sqlite3.Connection, job: int, fence: int, wishes: Sequence[Lock], now: datetime) -> list[Holder]:
    """Take all of these or none; returns who is in the way. `LookupError` where the fence is gone."""
    row = connection.execute(
        "SELECT priority FROM job WHERE id = ? AND fence = ? AND state = 'running'", (job, fence)
    ).fetchone()
    if row is None:
        raise LookupError(f"job {job} does not run under fence {fence} any more")
    found = {wish: _in_the_way(connection, job, row[0], wish, now) for wish in wishes}
    values = {"job": job, "fence": fence, "now": to_text(now)}
    refused = [wish for wish, holders in found.items() if holders]
    connection.executemany(
        _WISH if refused else _TAKE,
        [{**values, "resource": wish.resource, "shared": wish.shared} for wish in refused or wishes],
    )
    if not refused:
        leave = "DELETE FROM job_wish WHERE job = ? AND resource = ?"
        connection.executemany(leave, [(job, wish.resource) for wish in wishes])
    return [holder for holders in found.values() for holder in holders]


def end(connection: sqlite3.Connection, jobs: Collection[int], now: datetime) -> None:
    """End the locks of executions that are over, their rows being written; who can have them now is due at once."""
    over = json.dumps(list(jobs))
    released = connection.execute(
        "DELETE FROM job_lock WHERE job IN (SELECT value FROM json_each(?)) RETURNING resource", (over,)
    ).fetchall()
    left = connection.execute(_LEAVE_LINE, (over,)).fetchall()
    # Who just came into the line may have been refused by somebody who is gone by now.
    arrived = connection.execute(_ARRIVED, (over,)).fetchall()
    touched = sorted({resource for (resource,) in (*released, *left, *arrived)})
    for resource in touched:
        chosen = locks.next_in_line(_holders(connection, resource), _line(connection, resource))
        values = {"now": to_text(now), "jobs": json.dumps(chosen)}
        connection.execute(_WAKE, values)
    _wake_outsiders(connection, {resource for (resource,) in released}, jobs, now)


def end_all(connection: sqlite3.Connection, now: datetime) -> None:
    """End all locks: nothing runs any more."""
    connection.execute("DELETE FROM job_lock")
    connection.execute("DELETE FROM job_wish")
    connection.execute(_WAKE_ALL, {"now": to_text(now)})


def woken(connection: sqlite3.Connection, resources: Iterable[str], now: datetime) -> list[str]:
    """Return the queues in which jobs that wait for these things are due."""
    rows = connection.execute(
        "SELECT DISTINCT queue FROM job WHERE waits_on IN (SELECT value FROM json_each(?)) AND state = 'waiting' "
        "AND due_at <= ?",
        (json.dumps(list(resources)), to_text(now)),
    )
    return sorted(queue for (queue,) in rows)


def _in_the_way(connection: sqlite3.Connection, job: int, priority: int, wish: Lock, now: datetime) -> list[Holder]:
    line = _line(connection, wish.resource)
    holders = _holders(connection, wish.resource)
    mine = next((place for place in line if place.job == job), None)
    me = mine or Place(wish.resource, job, wish.shared, priority, now, now, waits=False)
    return locks.in_the_way(wish, me, holders, line, now)


def _wake_outsiders(
    connection: sqlite3.Connection, released: Collection[str], but: Collection[int], now: datetime
) -> None:
    """Make those due that named a thing to wait for without having asked for its lock."""
    if released:
        values = {"now": to_text(now), "released": json.dumps(sorted(released)), "but": json.dumps(list(but))}
        connection.execute(_WAKE_OUTSIDERS, values)


def _holders(connection: sqlite3.Connection, resource: str) -> list[Holder]:
    return [Holder(row[0], row[1], bool(row[2])) for row in connection.execute(_HOLDERS, (resource,))]


def _line(connection: sqlite3.Connection, resource: str) -> list[Place]:
    return [
        Place(row[0], row[1], bool(row[2]), row[3], from_text(row[4]), from_text(row[5]), waits=bool(row[6]))
        for row in connection.execute(_IN_LINE, (resource,))
    ]
