"""Named schedules as people change them: each act checked, in one short transaction, on record, and announced."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, conflict, forbidden
from central_dispatch.jobs.cron import next_run
from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.kinds import KINDS
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.provisioning.problem import Problem
from central_dispatch.stores.rows import payload_text
from central_dispatch.worker_manager.bells import ring_after_commit
from central_dispatch.worker_manager.enqueueing import enqueue, known_kind
from central_dispatch.worker_manager.tables import QUEUES, in_transaction
from central_dispatch.worker_manager.tables import schedules as table

_SHOWN = ("queue", "expression", "zone", "priority", "is_on")  # a payload may hold what is nobody's business


def put(
    by: Actor, name: str, queue: str | None = None, expression: str | None = None, *, zone: str | None = None,
    payload: Mapping[str, Any] | None = None, priority: int | None = None,
) -> Schedule | Refused:  # fmt: skip
    """Write a schedule, new or changed; it runs next at the first time after now. One that is off stays off.

    What is None stays; a new one needs a queue and an expression, and has the rest as `Schedule` has it.
    """
    if not may(by, "schedule.change"):
        return forbidden("schedules are changed by administrators")
    now = timezone.now()
    with transaction.atomic():
        before = table.find_to_change(in_transaction(), name)
        if before is None and (queue is None or expression is None):
            return _absent(name, "A new one needs a queue and an expression.")
        old = before or Schedule(name=name, queue="", expression="")
        kind = known_kind(old.queue if queue is None else queue)
        if isinstance(kind, Refused):
            return kind
        # A payload that stays was made in that version, whatever the kind's is now.
        keeps_version = payload is None and kind.name == old.queue
        new = replace(
            old,
            queue=kind.name,
            expression=" ".join((old.expression if expression is None else expression).split()),
            zone=old.zone if zone is None else zone,
            payload=old.payload if payload is None else payload,
            payload_version=old.payload_version if keeps_version else kind.payload_version,
            priority=old.priority if priority is None else priority,
        )
        if problems := _problems(new):
            return Refused("invalid", problems)
        new = replace(new, next_run_at=next_run(new.expression, new.zone, now) if new.is_on else None)
        table.put(in_transaction(), new)
        _on_record(by, "schedule.set", before, new)
    return new


def switch(by: Actor, name: str, *, on: bool) -> Schedule | Refused:
    """Switch a schedule on, from its next time on, or off. What runs goes on."""
    if not may(by, "schedule.switch"):
        return forbidden("schedules are switched by operators and administrators")
    with transaction.atomic():
        before = table.find_to_change(in_transaction(), name)
        if before is None:
            return _absent(name)
        if before.is_on == on:
            return before
        next_at = next_run(before.expression, before.zone, timezone.now()) if on else None
        after = replace(before, is_on=on, next_run_at=next_at)
        table.put(in_transaction(), after)
        _on_record(by, "schedule.switch", before, after)
    return after


def remove(by: Actor, name: str) -> Schedule | Refused:
    """Remove a schedule; a job of it that waits or runs goes on. Returns what it was."""
    if not may(by, "schedule.change"):
        return forbidden("schedules are changed by administrators")
    with transaction.atomic():
        before = table.find_to_change(in_transaction(), name)
        if before is None:
            return _absent(name)
        table.remove(in_transaction(), name)
        _on_record(by, "schedule.remove", before, None)
    return before


def run_now(by: Actor, name: str) -> int | Refused:
    """Make the job of a schedule, or of a queue with a period, at once; returns its number. The next run stays."""
    if not may(by, "schedule.run"):
        return forbidden("schedules are run by operators and administrators")
    now = timezone.now()
    with transaction.atomic():
        found = table.find_to_change(in_transaction(), name)
        if found is not None:
            queue = found.queue
            job = table.run(in_transaction(), name, found.next_run_at, found.next_run_at, now)
        elif (period := period_queue(name)) is not None:
            queue = period
            new = NewJob(
                kind=queue,
                payload={},
                payload_version=KINDS[queue].payload_version,
                unique_key=queue,
                enqueued_by=by.name,
            )
            [job] = enqueue([new])
        else:
            return _absent(name)
        if job is None:
            return conflict(f"The job of “{name}” waits or runs already", mend="Let it end, or interrupt it.")
        audit.record(by, "schedule.run", f"schedule:{name}", title=name, after={"job": job})
        announce("jobs", "queues", f"job:{job}")
        ring_after_commit([queue])
    return job


def period_queue(name: str) -> str | None:
    """Return the queue of that name if it has a period now."""
    kind = known_kind(name)
    if isinstance(kind, Refused):
        return None
    settings = QUEUES.settings(in_transaction(), kind.name)
    return kind.name if settings.period_s is not None else None


def _problems(new: Schedule) -> tuple[Problem, ...]:
    found = [Problem(words, field=field) for field, words in new.problems(timezone.now())]
    try:
        payload_text(NewJob(kind=new.queue, payload=new.payload))
    except (ValueError, TypeError) as error:
        found.append(Problem(str(error), field="payload"))
    if new.name in KINDS:
        mend = "Choose another name: a queue of this name may have a period of its own."
        found.append(Problem(f"“{new.name}” is the name of a queue", mend=mend, field="name"))
    return tuple(found)


def _absent(name: str, mend: str = "Look at the list of schedules.") -> Refused:
    return Refused("absent", (Problem(f"There is no schedule “{name}”", mend=mend, field="name"),))


def _on_record(by: Actor, what: str, before: Schedule | None, after: Schedule | None) -> None:
    name = (before or after or Schedule(name="", queue="", expression="")).name
    old, new = ({key: asdict(one)[key] for key in _SHOWN} if one else None for one in (before, after))
    audit.record(by, what, f"schedule:{name}", title=name, before=old, after=new)
    announce("queues")
