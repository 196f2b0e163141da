"""Assignments as people change them: what the queue workers of a name serve, and how much of it at a time."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, conflict, forbidden
from central_dispatch.jobs.assignment import Assignment
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager.enqueueing import known_kind
from central_dispatch.worker_manager.models import Parent
from central_dispatch.worker_manager.tables import assignments as table
from central_dispatch.worker_manager.tables import in_transaction

_NOT_YOURS = "assignments are changed by administrators"


def put(
    by: Actor, name: str, *, queues: Sequence[str] | None = None, slots: int | None = None, host: str | None = None
) -> Assignment | Refused:
    """Write an assignment; its workers follow within a second. What is None stays; new: all queues, one at a time."""
    if not may(by, "assignment.change"):
        return forbidden(_NOT_YOURS)
    kinds = [known_kind(queue) for queue in queues or ()]
    if bad := next((kind for kind in kinds if isinstance(kind, Refused)), None):
        return bad
    names = tuple(dict.fromkeys(kind.name for kind in kinds if not isinstance(kind, Refused)))
    with transaction.atomic():
        before = table.find_to_change(in_transaction(), name)
        old = before or Assignment(name=name)
        after = Assignment(
            name=name,
            queues=old.queues if queues is None else names,
            slots=old.slots if slots is None else slots,
            host=old.host if host is None else host,
        )
        if problems := after.problems():
            return Refused("invalid", tuple(Problem(words, field=field) for field, words in problems))
        table.put(in_transaction(), after, timezone.now())
        _on_record(by, "assignment.set", name, before, after)
    return after


def remove(by: Actor, name: str) -> Assignment | Refused:
    """Remove an assignment that no queue worker follows; returns what it was."""
    if not may(by, "assignment.change"):
        return forbidden(_NOT_YOURS)
    with transaction.atomic():
        before = table.find_to_change(in_transaction(), name)
        if before is None:
            mend = "Look at the list of assignments."
            return Refused("absent", (Problem(f"There is no assignment “{name}”", mend=mend, field="name"),))
        workers = [f"{host}, process {pid}" for host, pid in _followers(name)]
        if workers:
            why = f"queue workers follow it: {'; '.join(workers)}"
            return conflict(f"The assignment “{name}” is in use", why, "Stop these first.", field="name")
        table.remove(in_transaction(), name)
        _on_record(by, "assignment.remove", name, before, None)
    return before


def _followers(name: str) -> list[tuple[str, int]]:
    return list(Parent.objects.filter(assignment=name).values_list("host", "pid"))


def _on_record(by: Actor, what: str, name: str, before: Assignment | None, after: Assignment | None) -> None:
    old, new = (_shown(one) for one in (before, after))
    audit.record(by, what, f"assignment:{name}", title=name, before=old, after=new)
    announce("parents", "queues")


def _shown(one: Assignment | None) -> dict[str, Any] | None:
    return {key: value for key, value in asdict(one).items() if key != "name"} if one else None
