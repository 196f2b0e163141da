"""How a job reads: its state in honest words, what it is about, and why it does not run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from central_dispatch.jobs.masking import secrets_of, shown_payload, shown_value
from central_dispatch.worker_manager.models import Job

#: A dead letter that is removed within this time is warned of.
SOON = timedelta(hours=24)
_LONGEST = 20_000
_BRIEF = 90


def state_of(job: Job) -> str:
    """Return the key of `states.JOB`: the row's state, and what is known beyond it."""
    if job.state == Job.State.RUNNING and job.interrupt_by:
        return "asked"
    if job.state == Job.State.WAITING and job.waiting_for != "new":
        return job.waiting_for
    return str(job.state)


def about(job: Job) -> str:
    """Return what a job is about in one line, secrets masked: its record or instance first."""
    payload = shown_payload(job.queue, job.payload) if isinstance(job.payload, Mapping) else {}
    first = [name for name in ("record", "databox", "instance") if name in payload]
    names = [*first, *(name for name in payload if name not in first)]
    text = ", ".join(f"{name} {_brief(payload[name])}" for name in names[:4])
    return text if len(text) <= _BRIEF else text[: _BRIEF - 1] + "…"


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else "…" + text[-39:]  # noqa: PLR2004 a path's end says most


def payload_text(job: Job) -> str:
    """Return the payload for reading, secrets masked."""
    return _pretty(shown_payload(job.queue, job.payload) if isinstance(job.payload, Mapping) else job.payload)


def result_text(job: Job) -> str:
    """Return what the handler returned; empty: nothing."""
    secrets = secrets_of(job.queue, job.payload) if isinstance(job.payload, Mapping) else frozenset[str]()
    return _pretty(shown_value(job.result, secrets)) if job.result else ""


def _pretty(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "\n… (cut here)"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides whether a waiting job may begin."""

    paused: bool
    limit: int | None
    running: int
    served: bool  # a queue worker that runs serves its queue
    holders: tuple[int, ...] = ()  # jobs that hold what it waits for


def why_not(job: Job, found: Circumstances, now: datetime) -> str:
    """Return why a job that waits does not run yet, the first reason that a person could do something about."""
    if found.paused:
        return "Its queue is paused."
    if not found.served:
        return "No queue worker that runs serves its queue."
    if job.waits_on and found.holders:
        held = ", ".join(f"job {number}" for number in found.holders[:3])
        return f"It waits until {job.waits_on} is free, which {held} holds."
    if job.due_at <= now and found.limit is not None and found.running >= found.limit:
        return f"{found.running} of its queue run, as many as may at once."
    due = "It is due; a worker takes it as soon as one has room."
    later = {"retry": "It waits for its next attempt.", "deferred": "It was put off."}
    return due if job.due_at <= now else later.get(job.waiting_for, "It is not due yet.")


def expires_soon(job: Job, now: datetime) -> bool:
    """Say whether a dead letter is removed before long."""
    return job.state == Job.State.IN_ERROR and job.expires_at is not None and job.expires_at - now < SOON
