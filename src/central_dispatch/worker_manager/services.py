"""What people do to jobs and queues: each act checked, in one short transaction, on record, and announced."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, conflict, forbidden
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.provisioning.problem import Problem
from central_dispatch.stores.settings import BadSettings
from central_dispatch.worker_manager.bells import call_after_commit, ring_after_commit
from central_dispatch.worker_manager.enqueueing import known_kind
from central_dispatch.worker_manager.models import Job
from central_dispatch.worker_manager.tables import QUEUES, acts, in_transaction, reading

_NOT_YOURS = "this is for operators and administrators"
_Choose = Callable[[Any, str], list[int]]
#: Hears after each transaction how many of how many rows were looked at.
Progress = Callable[[int, int], None]
_Change = Callable[[Any, Sequence[int], datetime], list[int]]


def _unheard(_done: int, _total: int) -> None:
    """Hear nothing."""


def interrupt(by: Actor, job: int, why: str = "") -> Literal["interrupted", "asked"] | Refused:
    """End a job: one that waits at once, one that runs by its worker ("asked": its state will say what happened)."""
    if not may(by, "job.interrupt"):
        return forbidden(_NOT_YOURS)
    with transaction.atomic():
        ended = acts.interrupt(in_transaction(), job, by.name, why, timezone.now())
        if ended == "absent":
            return absent("job")
        if ended == "ended":
            return conflict("The job has ended already")
        _on_record(by, "job.interrupt", job, {"why": why, "how": ended})
        if ended == "asked":
            call_after_commit([Job.objects.values_list("queue", flat=True).get(pk=job)])
    return ended


def cancel(by: Actor, job: int, why: str = "") -> Literal["interrupted"] | Refused:
    """End a job that waits; one that runs is left alone."""
    if not may(by, "job.cancel"):
        return forbidden(_NOT_YOURS)
    with transaction.atomic():
        if acts.cancel(in_transaction(), job, by.name, why, timezone.now()):
            _on_record(by, "job.cancel", job, {"why": why})
            return "interrupted"
        state = Job.objects.filter(pk=job).values_list("state", flat=True).first()
    if state is None:
        return absent("job")
    mend = "Interrupt it." if state == Job.State.RUNNING else ""
    return conflict(f"The job does not wait: it is {Job.State(state).label}", mend=mend)


def retry(by: Actor, job: int) -> Literal["waiting", "sooner"] | Refused:
    """Have a job tried again that ended badly, with all its attempts; or one that waits for its time, now."""
    if not may(by, "job.retry"):
        return forbidden(_NOT_YOURS)
    with transaction.atomic():
        ended = acts.retry(in_transaction(), job, timezone.now())
        if ended == "absent":
            return absent("job")
        if ended == "key held":
            return _key_is_held(job)
        if ended not in {"waiting", "sooner"}:
            return conflict(f"The job is {ended}", mend="Only one that ended badly, or waits, can be tried again.")
        _on_record(by, "job.retry", job, {"how": ended})
        ring_after_commit([Job.objects.values_list("queue", flat=True).get(pk=job)])
    return "waiting" if ended == "waiting" else "sooner"


def change_settings(
    by: Actor, queue: str, changes: Mapping[str, Any], seen: Mapping[str, Any] | None = None
) -> QueueSettings | Refused:
    """Change some of a queue's settings; they hold within a second, wherever it is worked on.

    `seen`: what the caller saw of those that it changes. Where one is not so any more nothing is changed.
    """
    kind = _permitted(by, "queue.pause" if set(changes) == {"paused"} else "queue.change", queue)
    if isinstance(kind, Refused):
        return kind
    with transaction.atomic():
        connection = in_transaction()
        before = asdict(QUEUES.settings_to_change(connection, kind.name))
        if lost := _meanwhile(before, seen or {}):
            return Refused("conflict", lost)
        try:
            changed = QUEUES.change(connection, kind.name, changes)
        except BadSettings as bad:
            return Refused("invalid", tuple(Problem(words, field=field) for field, words in bad.problems))
        after = {name: value for name, value in asdict(changed).items() if value != before[name]}
        audit.record(
            by,
            "queue.change",
            f"queue:{kind.name}",
            title=kind.name,
            before={name: before[name] for name in after},
            after=after,
        )
        announce("queues")
        ring_after_commit([kind.name])
    return changed


def _meanwhile(now: Mapping[str, Any], seen: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return what others changed of those settings that somebody saw otherwise."""
    return tuple(
        Problem(
            f"Somebody changed this meanwhile: it is {now[name]} now", mend="Save again if yours is right.", field=name
        )
        for name, value in seen.items()
        if name in now and now[name] != value
    )


def pause(by: Actor, queue: str) -> QueueSettings | Refused:
    """Let no further job of the queue start; those that run go on."""
    return change_settings(by, queue, {"paused": True})


def resume(by: Actor, queue: str) -> QueueSettings | Refused:
    """Let the queue's jobs start again."""
    return change_settings(by, queue, {"paused": False})


def purge(by: Actor, queue: str, why: str = "", *, progress: Progress = _unheard) -> int | Refused:
    """End all that waits in a queue; returns how many. Those that run go on."""
    why = why or f"the queue was purged by {by.name}"
    return _in_chunks(
        by,
        "queue.purge",
        queue,
        acts.waiting_in,
        lambda connection, jobs, now: acts.purge(connection, jobs, by.name, why, now),
        progress,
    )


def delete(by: Actor, queue: str, why: str = "", *, progress: Progress = _unheard) -> int | Refused:
    """End all that waits in a queue and give its dead letters up; returns how many. The queue stays: it is a kind's."""
    why = why or f"the queue was deleted by {by.name}"
    return _in_chunks(
        by,
        "queue.delete",
        queue,
        lambda connection, name: [*acts.waiting_in(connection, name), *acts.dead_in(connection, name)],
        lambda connection, jobs, now: acts.give_up(connection, jobs, by.name, why, now),
        progress,
    )


def requeue_failed(by: Actor, queue: str, *, progress: Progress = _unheard) -> int | Refused:
    """Have all dead letters of a queue tried again; returns how many. One whose unique key is held stays."""
    return _in_chunks(by, "queue.requeue", queue, acts.dead_in, acts.requeue, progress)


def _in_chunks(by: Actor, act: str, queue: str, choose: _Choose, change: _Change, progress: Progress) -> int | Refused:
    """Do it in short transactions, to what is there now: a busy queue would never be through.

    What fails in the middle is done, and on record, for the first ones, and can be repeated.
    """
    kind = _permitted(by, act, queue)
    if isinstance(kind, Refused):
        return kind
    chosen = choose(reading(), kind.name)
    done = 0
    for start in range(0, max(len(chosen), 1), acts.CHUNK):
        with transaction.atomic():
            jobs = change(in_transaction(), chosen[start : start + acts.CHUNK], timezone.now())
            audit.record(by, act, f"queue:{kind.name}", title=kind.name, after={"jobs": len(jobs)})
            announce("jobs", "queues", *(f"job:{job}" for job in jobs[:32]))
            ring_after_commit([kind.name])
        done += len(jobs)
        progress(min(start + acts.CHUNK, len(chosen)), len(chosen))
    return done


def _permitted(by: Actor, act: str, queue: str) -> Kind | Refused:
    return known_kind(queue) if may(by, act) else forbidden("ask an administrator, or an operator")


def _key_is_held(job: int) -> Refused:
    wanted = Job.objects.get(pk=job)
    holder = Job.objects.filter(queue=wanted.queue, unique_key=wanted.given_key).first()
    which = (
        f"Job {holder.pk} of the same key is there: it is {holder.get_state_display()}" if holder else "Its key is held"
    )
    return conflict(which, mend="Let it end, or interrupt it.")


def _on_record(by: Actor, act: str, job: int, after: dict[str, Any]) -> None:
    title = Job.objects.values_list("queue", flat=True).get(pk=job)
    audit.record(by, act, f"job:{job}", title=title, after=after)
    announce("jobs", "queues", f"job:{job}")
