"""Locks, and the line of those who were refused them. What a row is worth is decided in `jobs.lock`.

Whoever takes, frees or lines up for a thing first takes its stripe: what one reads of a thing holds until the commit.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby

from central_dispatch.jobs import lock as locks
from central_dispatch.jobs.lock import Holder, Lock, Place
from central_dispatch.stores.server.queues import resource_stripes, take_stripes
from central_dispatch.stores.server.session import Session, moment

#: So many in line are looked at: the others come nearer as these go.
_LINE = 200
_HOLDERS = """
SELECT job_lock.resource, job_lock.job, job_lock.shared FROM job_lock
JOIN job ON job.id = job_lock.job AND job.state = 'running' AND job.fence = job_lock.fence
WHERE job_lock.resource = %s ORDER BY job_lock.job"""
# A running job keeps its place until it asks again, which it does soon after it began.
_IN_LINE = f"""
SELECT job_wish.resource, job_wish.job, job_wish.shared, job.priority, job_wish.since,
    greatest(job_wish.asked_at, CASE job.state WHEN 'waiting' THEN job.due_at ELSE job.started_at END),
    job.state = 'waiting'
FROM job_wish JOIN job ON job.id = job_wish.job
WHERE job_wish.resource = %s AND (job.state = 'running' OR job.state = 'waiting' AND job.waits_on = job_wish.resource)
ORDER BY job.priority DESC, job_wish.since, job_wish.job LIMIT {_LINE}"""  # noqa: S608 constants
_DUE = "UPDATE job SET due_at = %s WHERE state = 'waiting' AND due_at > %s AND id IN %s"


def lock(session: Session, job: int, fence: int, wishes: Sequence[Lock], now: datetime) -> list[Holder]:
    """Take all of these or none; returns who is in the way. `LookupError` where the fence is gone."""
    row = session.one(
        "SELECT priority FROM job WHERE id = %s AND fence = %s AND state = 'running' FOR UPDATE", job, fence
    )
    if row is None:
        raise LookupError(f"job {job} does not run under fence {fence} any more")
    take_stripes(session, resource_stripes([wish.resource for wish in wishes]))
    found = {wish: _in_the_way(session, job, row[0], wish, now) for wish in wishes}
    refused = [wish for wish, holders in found.items() if holders]
    if refused:
        _line_up(session, job, fence, refused, now)
    else:
        _take(session, job, fence, wishes, now)
    return [holder for holders in found.values() for holder in holders]


def end(session: Session, jobs: Sequence[int], now: datetime) -> None:
    """End the locks of executions that are over, their rows being written; who can have them now is due at once."""
    over = list(jobs)
    touched = {
        resource
        for table in ("job_lock", "job_wish")
        for (resource,) in session.rows(f"SELECT resource FROM {table} WHERE job IN %s", over)  # noqa: S608 constants
    }
    waiting = session.rows("SELECT waits_on FROM job WHERE id IN %s AND waits_on IS NOT NULL", over)
    if not touched and not waiting:
        return
    take_stripes(session, resource_stripes(touched | {resource for (resource,) in waiting}))
    released = {resource for (resource,) in session.rows("SELECT resource FROM job_lock WHERE job IN %s", over)}
    if released:
        session.run("DELETE FROM job_lock WHERE job IN %s", over)
    _leave_line(session, over)
    for resource in sorted(touched | released):
        _wake(session, locks.next_in_line(_holders(session, resource), _line(session, resource)), now)
    _wake_outsiders(session, released, over, now)


def end_all(session: Session, now: datetime) -> None:
    """End all locks: nothing runs any more."""
    session.run("DELETE FROM job_lock")
    session.run("DELETE FROM job_wish")
    session.run("UPDATE job SET due_at = %s WHERE state = 'waiting' AND due_at > %s AND waits_on IS NOT NULL", now, now)


def woken(session: Session, resources: Iterable[str], now: datetime) -> list[str]:
    """Return the queues in which jobs that wait for these things are due."""
    rows = session.rows(
        "SELECT DISTINCT queue FROM job WHERE waits_on IN %s AND state = 'waiting' AND due_at <= %s",
        list(resources),
        now,
    )
    return sorted(queue for (queue,) in rows)


def _take(session: Session, job: int, fence: int, wishes: Sequence[Lock], now: datetime) -> None:
    mine = {
        resource: (its, bool(shared))
        for resource, its, shared in session.rows("SELECT resource, fence, shared FROM job_lock WHERE job = %s", job)
    }
    for wish in wishes:
        known = mine.get(wish.resource)
        if known is None:
            session.run(
                "INSERT INTO job_lock (resource, job, fence, shared, taken_at) VALUES (%s, %s, %s, %s, %s)",
                wish.resource, job, fence, wish.shared, now,
            )  # fmt: skip
        elif known[0] != fence:
            session.run(
                "UPDATE job_lock SET fence = %s, shared = %s, taken_at = %s WHERE resource = %s AND job = %s",
                fence, wish.shared, now, wish.resource, job,
            )  # fmt: skip
        elif known[1] and not wish.shared:
            session.run(
                "UPDATE job_lock SET shared = %s WHERE resource = %s AND job = %s", False, wish.resource, job  # noqa: FBT003 a column's value
            )  # fmt: skip
    session.run("DELETE FROM job_wish WHERE job = %s AND resource IN %s", job, [wish.resource for wish in wishes])


def _line_up(session: Session, job: int, fence: int, wishes: Sequence[Lock], now: datetime) -> None:
    session.many(
        "INSERT INTO job_wish (resource, job, fence, shared, since, asked_at) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (resource, job) DO UPDATE SET fence = excluded.fence, shared = excluded.shared, "
        "asked_at = excluded.asked_at",
        [(wish.resource, job, fence, wish.shared, now, now) for wish in wishes],
    )


def _leave_line(session: Session, over: Sequence[int]) -> None:
    """Take those out of the line that wait for something else, or were refused in an earlier execution."""
    rows = session.rows(
        "SELECT job_wish.job, job_wish.resource FROM job_wish JOIN job ON job.id = job_wish.job "
        "WHERE job_wish.job IN %s AND NOT (job.state = 'waiting' AND coalesce(job.waits_on, '') = job_wish.resource "
        "AND job.fence = job_wish.fence) ORDER BY job_wish.job, job_wish.resource",
        list(over),
    )
    for job, of_job in groupby(rows, key=lambda row: row[0]):
        session.run("DELETE FROM job_wish WHERE job = %s AND resource IN %s", job, [row[1] for row in of_job])


def _wake(session: Session, jobs: Collection[int], now: datetime) -> None:
    """Make them due. One that somebody else changes at this moment is not waited for: it is due by its own delay."""
    if not jobs:
        return
    free = session.rows("SELECT id FROM job WHERE id IN %s ORDER BY id FOR UPDATE SKIP LOCKED", sorted(jobs))
    if free:
        session.run(_DUE, now, now, [row[0] for row in free])


def _wake_outsiders(session: Session, released: Collection[str], but: Sequence[int], now: datetime) -> None:
    """Make those due that named a thing to wait for without having asked for its lock."""
    if released:
        rows = session.rows(
            "SELECT id FROM job WHERE state = 'waiting' AND waits_on IN %s AND NOT EXISTS ("
            "SELECT 1 FROM job_wish WHERE job_wish.job = job.id AND job_wish.resource = job.waits_on)",
            sorted(released),
        )
        _wake(session, {row[0] for row in rows} - set(but), now)


def _in_the_way(session: Session, job: int, priority: int, wish: Lock, now: datetime) -> list[Holder]:
    line = _line(session, wish.resource)
    mine = next((place for place in line if place.job == job), None)
    me = mine or Place(wish.resource, job, wish.shared, priority, now, now, waits=False)
    return locks.in_the_way(wish, me, _holders(session, wish.resource), line, now)


def _holders(session: Session, resource: str) -> list[Holder]:
    return [Holder(row[0], row[1], bool(row[2])) for row in session.rows(_HOLDERS, resource)]


def _line(session: Session, resource: str) -> list[Place]:
    return [
        Place(row[0], row[1], bool(row[2]), row[3], moment(row[4]), moment(row[5]), waits=bool(row[6]))
        for row in session.rows(_IN_LINE, resource)
    ]
