"""Makes jobs: for other services in their transaction, and for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, conflict, forbidden
from central_dispatch.jobs.job import NORMAL, NewJob
from central_dispatch.jobs.kinds import KINDS, Kind, find_kind
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager.bells import ring_after_commit
from central_dispatch.worker_manager.models import Job
from central_dispatch.worker_manager.tables import enqueueing, in_transaction


def enqueue(jobs: Sequence[NewJob]) -> list[int | None]:
    """Make jobs in the caller's transaction, and ring after its commit.

    None where a unique key is held or a batch's number was taken. At most some hundred at once: the caller's
    transaction holds the write gate.
    """
    made = enqueueing.enqueue(in_transaction(), jobs, timezone.now())
    queues = [job.kind for job, number in zip(jobs, made, strict=True) if number is not None]
    if queues:
        announce("jobs", "queues")
        ring_after_commit(queues)
    return made


def enqueue_job(
    by: Actor, kind: str, payload: Mapping[str, Any], *, priority: int = NORMAL, unique_key: str | None = None
) -> int | Refused:
    """Make one job as a person asked for it; returns its number."""
    if not may(by, "job.enqueue"):
        return forbidden("jobs are made by operators and administrators")
    found = known_kind(kind)
    if isinstance(found, Refused):
        return found
    new = NewJob(
        kind=found.name,
        payload=payload,
        payload_version=found.payload_version,
        priority=priority,
        unique_key=unique_key,
        enqueued_by=by.name,
    )
    with transaction.atomic():
        try:
            job = enqueue([new])[0]
        except (ValueError, TypeError) as error:
            field = "priority" if "priority" in str(error) else "payload"
            return Refused("invalid", (Problem(str(error), field=field),))
        if job is None:
            return _key_is_held(found.name, unique_key)
        audit.record(by, "job.enqueue", f"job:{job}", title=found.name, after={"queue": found.name, "key": unique_key})
    return job


def record_run(by: Actor, job: int, queue: str, state: str) -> None:
    """Put on record that a person ran a job in the foreground; it is made by the worker, which knows no accounts."""
    with transaction.atomic():
        audit.record(by, "job.run", f"job:{job}", title=queue, after={"queue": queue, "state": state})


def _key_is_held(queue: str, key: str | None) -> Refused:
    holder = Job.objects.filter(queue=queue, unique_key=key).first()
    if holder is None:  # it ended in this very moment
        return conflict("A job of this key waited or ran until now", mend="Try again.")
    mend = f"Let it end, or interrupt it: central-dispatch job show {holder.pk}"
    return conflict(f"Job {holder.pk} of this key is there already: it is {holder.get_state_display()}", mend=mend)


def known_kind(name: str) -> Kind | Refused:
    """Return the kind of that name, or say which there are."""
    found = find_kind(name)
    if found is None:
        mend = f"There are: {', '.join(sorted(KINDS))}."
        return Refused("absent", (Problem(f"There is no queue “{name}”", mend=mend, field="queue"),))
    return found
