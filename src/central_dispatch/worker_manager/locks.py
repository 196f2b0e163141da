"""Locks as people see them: who has what since when, and who waits for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from central_dispatch.worker_manager.models import Job, Lock, Parent, Wish


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that was refused a lock and waits for it."""

    job: int
    queue: str
    shared: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class LockView:
    """A thing that is locked, by which running job on which worker; `waiting`: those in line, the next one first."""

    resource: str
    job: int
    queue: str
    shared: bool
    taken_at: datetime
    host: str
    pid: int
    waiting: tuple[Waiting, ...]


def locks(resource: str = "", limit: int = 1000) -> list[LockView]:
    """Return the locks that hold, of one thing or of all; rows of executions that are over do not count."""
    found = Lock.objects.filter(resource=resource) if resource else Lock.objects.all()
    rows = list(found[:limit])
    jobs = {job.pk: job for job in Job.objects.filter(pk__in={row.job for row in rows}, state=Job.State.RUNNING)}
    parents = {parent.pk: parent for parent in Parent.objects.all()}
    line = _line({row.resource for row in rows})
    views = []
    for row in rows:
        job = jobs.get(row.job)
        if job is None or job.fence != row.fence:
            continue
        parent = parents.get(job.parent or "")
        views.append(
            LockView(
                resource=row.resource,
                job=job.pk,
                queue=job.queue,
                shared=row.shared,
                taken_at=row.taken_at,
                host=parent.host if parent else "",
                pid=parent.pid if parent else 0,
                waiting=tuple(line.get(row.resource, ())),
            )
        )
    return views


def _line(resources: Iterable[str]) -> dict[str, list[Waiting]]:
    wishes = list(Wish.objects.filter(resource__in=resources))
    jobs = {job.pk: job for job in Job.objects.filter(pk__in={wish.job for wish in wishes}, state=Job.State.WAITING)}
    line: dict[str, list[Waiting]] = {}
    # The order in which `jobs.lock` passes a thing on.
    for wish in sorted(wishes, key=lambda wish: (-jobs[wish.job].priority if wish.job in jobs else 0, wish.since)):
        job = jobs.get(wish.job)
        if job is not None and job.waits_on == wish.resource:
            line.setdefault(wish.resource, []).append(Waiting(job.pk, job.queue, wish.shared, wish.since))
    return line
