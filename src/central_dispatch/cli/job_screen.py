"""How a job is shown, and found by its number. Imports Django's side."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from central_dispatch.cli import dispatcher, exit_codes, screen
from central_dispatch.jobs.masking import secrets_of, shown_payload, shown_value
from central_dispatch.jobs.text import printable
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager import queries
from central_dispatch.worker_manager.models import Attempt, Job
from central_dispatch.worker_manager.tables import read_output

__all__ = ["dispatcher", "find", "summary", "to_json", "words"]


def find(number: int) -> Job:
    """Return a job, or end the command."""
    found = queries.job(number)
    if found is None:
        mend = "Look at the list: central-dispatch job list"
        raise screen.Stop(exit_codes.NOT_FOUND, Problem(f"There is no job {number}", mend=mend))
    return found


def summary(job: Job) -> dict[str, Any]:
    """Return what a list shows of a job."""
    return {
        "id": job.pk,
        "queue": job.queue,
        "state": job.state,
        "waiting_for": job.waiting_for if job.state == Job.State.WAITING else "",
        "due_at": job.due_at if job.state == Job.State.WAITING else None,
        "attempts": job.attempts,
        "percent": job.percent,
        "words": job.words,
        "created_at": job.created_at,
        "enqueued_by": job.enqueued_by,
        "error": job.error,
    }


def to_json(job: Job) -> dict[str, Any]:
    """Return all of a job, with its executions and what each printed."""
    return {
        **summary(job),
        "priority": job.priority,
        "deferrals": job.deferrals,
        "unique_key": job.given_key,
        "batch": job.batch,
        "payload": shown_payload(job.queue, job.payload),
        "payload_version": job.payload_version,
        "result": shown_value(job.result, secrets_of(job.queue, job.payload)),
        "interrupted_by": job.ended_by,
        "interrupt_wanted_by": job.interrupt_by,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "expires_at": job.expires_at,
        "output": read_output(job.pk, job.fence).decode(errors="replace") if job.state == Job.State.RUNNING else "",
        "history": [_attempt(one) for one in queries.attempts(job.pk)],
    }


def words(job: Job) -> Callable[[Console], None]:
    """Return what prints a job for people."""
    value = to_json(job)
    history, output = value.pop("history"), value.pop("output")

    def write(console: Console) -> None:
        console.print(screen.facts({key.replace("_", " ").capitalize(): part for key, part in value.items()}))
        columns = {"started_at": "Started", "ended_at": "Ended", "outcome": "Outcome", "child_pid": "Process"}
        if history:
            console.print(screen.table(history, columns | {"host": "Host", "error": "Error"}))
        if output:
            console.print("\nPrinted so far:", style="bold")
            console.print(printable(output), markup=False)
        for one in history:
            if one["output"]:
                console.print(f"\nPrinted in execution {one['fence']}:", style="bold")
                console.print(printable(one["output"]), markup=False)

    return write


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "fence": one.fence,
        "outcome": one.outcome,
        "error": one.error,
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "host": one.host,
        "parent_pid": one.parent_pid,
        "child_pid": one.child_pid,
        "output": read_output(one.job_id, one.fence).decode(errors="replace"),
    }
