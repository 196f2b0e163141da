"""The list of jobs, and one job's record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from central_dispatch.fleet.permissions import may
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.portal.access import actor_of, requires
from central_dispatch.portal.pages.fragments import show_shared
from central_dispatch.portal.pages.jobs.asked import LABELS, SPANS, Asked, asked
from central_dispatch.portal.pages.jobs.output import end_of, readable
from central_dispatch.portal.pages.jobs.words import (
    Circumstances,
    about,
    expires_soon,
    payload_text,
    result_text,
    state_of,
    why_not,
)
from central_dispatch.portal.pages.rendering import show
from central_dispatch.portal.pages.states import JOB_ORDER
from central_dispatch.worker_manager import counts, job_record
from central_dispatch.worker_manager.job_search import ORDERS, Found, find, place_of
from central_dispatch.worker_manager.models import Attempt, Job
from central_dispatch.worker_manager.tables import read_output

#: Executions that the record lists; a job that is put off for hours has thousands.
ATTEMPTS_SHOWN = 50
_ORDER_WORDS = {
    "newest": "Newest first",
    "oldest": "Oldest first",
    "started": "Started last",
    "ended": "Ended last",
    "due": "Due next",
    "expires": "Expires next",
    "number": "By number in the batch",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A job as the list shows it."""

    job: Job
    state: str
    about: str
    soon: bool


@requires("jobs.view")
@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """List jobs: those of a state, of a queue, about a record …; a page of them, however many there are."""
    now = timezone.now()
    ask = asked(request.GET, now)
    response = show_shared(request, "jobs/list.html", "jobs/_list.html", lambda: _listed(request, ask, now))
    # The address without what is empty, for those who copy it.
    response.headers["HX-Replace-Url"] = request.path + ask.here
    return response


def _listed(request: HttpRequest, ask: Asked, now: datetime) -> dict[str, Any]:
    wanted = replace(ask.wanted, numbers=ask.held) if ask.held else ask.wanted
    found = find(wanted, after=ask.after, before=ask.before)
    return {
        "ask": ask,
        "unread": [(LABELS[name], ask.values[name]) for name in ask.unread],
        "idle": [label for name, label in LABELS.items() if name in ask.idle],
        "rows": [Row(job, state_of(job), about(job), expires_soon(job, now)) for job in found.jobs],
        "tabs": _tabs(ask),
        "pages": _pages(ask, found),
        "queue_names": sorted({*job_record.queue_names(), *filter(None, [ask.wanted.queue])}),
        "spans": {name: words for name, (_, words) in SPANS.items()},
        "orders": {order: _ORDER_WORDS[order] for order in ORDERS[ask.wanted.state]},
        "order": ask.wanted.ordered,
        "acts": _acts_for(request, ask.wanted.state),
    }


def _tabs(ask: Asked) -> list[dict[str, Any]]:
    """Return the states with how many jobs are in each, of the queue that was chosen."""
    found = counts.current()
    return [
        {
            "state": state,
            "address": ask.address(state=state, order=""),
            "count": found.state(state, ask.wanted.queue),
            "here": state == ask.wanted.state,
        }
        for state in ("", *JOB_ORDER)
    ]


def _pages(ask: Asked, found: Found) -> dict[str, str]:
    """Return the addresses of the pages around this one."""
    pages: dict[str, str] = {}
    if found.jobs and not ask.held:
        first, last = found.jobs[0], found.jobs[-1]
        if found.earlier:
            pages["earlier"] = ask.page("before", place_of(ask.wanted, first))
        if found.later:
            pages["later"] = ask.page("after", place_of(ask.wanted, last))
    if found.looked_back_to is not None:
        pages["further"] = ask.page("after", found.looked_back_to)
    return pages


def _acts_for(request: HttpRequest, state: str) -> dict[str, str]:
    """Return what may be done to many jobs of a state, each with its address."""
    fitting = {
        "": ("retry", "interrupt", "cancel"),
        "waiting": ("retry", "cancel"),
        "running": ("interrupt",),
        "in_error": ("retry",),
        "interrupted": ("retry",),
    }.get(state, ())
    actor = actor_of(request)
    return {act: reverse(f"jobs-{act}") for act in fitting if may(actor, f"job.{act}")}


@requires("jobs.view")
@require_safe
def detail(request: HttpRequest, number: int) -> HttpResponse:
    """Show a job: what became of it and why, what may be done, what it is, each execution with its output."""
    now = timezone.now()
    job = _job(number)
    settings = job_record.settings(job.queue)
    history = list(job_record.attempts(job.pk).order_by("-id")[: ATTEMPTS_SHOWN + 1])
    executions = _executions(job, history[:ATTEMPTS_SHOWN])
    values = {
        "job": job,
        "state": state_of(job),
        "about": about(job),
        "settings": settings,
        "why_not": why_not(job, _circumstances(job, settings), now) if job.state == Job.State.WAITING else "",
        "payload": payload_text(job),
        "result": result_text(job),
        "executions": executions,
        "more_executions": len(history) > ATTEMPTS_SHOWN,
        "soon": expires_soon(job, now),
        "actions": _actions(request, job),
        "batch": job_record.batch(job.batch) if job.batch is not None else None,
        "splits": job_record.batch_of_splitter(job.pk),
        "locks": job_record.locks_of(job),
    }
    return show(request, "jobs/detail.html", "jobs/_detail.html", values)


@requires("jobs.view")
@require_safe
def output(request: HttpRequest, number: int, fence: int) -> HttpResponse:
    """Show what one execution printed."""
    job = _job(number)
    text, cut = end_of(readable(read_output(number, fence)))
    attempt = job_record.attempts(number).filter(fence=fence).first()
    values = {"job": job, "text": text, "cut": cut, "attempt": attempt, "fence": fence}
    return show(request, "jobs/output.html", "jobs/_output.html", values)


def _job(number: int) -> Job:
    found = job_record.job(min(number, 2**63 - 1))
    if found is None:
        raise Http404
    return found


def _circumstances(job: Job, settings: QueueSettings) -> Circumstances:
    return Circumstances(
        settings.paused,
        settings.concurrency,
        running=job_record.running_in(job.queue),
        served=job_record.is_served(job.queue),
        holders=tuple(job_record.holders(job.waits_on)) if job.waits_on else (),
    )


def _executions(job: Job, history: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Return the executions, the last one first, with the output of that one."""
    found: list[dict[str, Any]] = []
    if job.state == Job.State.RUNNING:
        text, cut = end_of(readable(read_output(job.pk, job.fence)))
        worker = job_record.parent(job.parent or "")
        found.append({"now": True, "worker": worker, "fence": job.fence, "text": text, "cut": cut})
    for index, attempt in enumerate(history):
        shown = index == 0 and not found and attempt.output_bytes
        text, cut = end_of(readable(read_output(job.pk, attempt.fence))) if shown else ("", False)
        found.append({"now": False, "attempt": attempt, "fence": attempt.fence, "text": text, "cut": cut})
    return found


def _actions(request: HttpRequest, job: Job) -> list[str]:
    """Return what may be done to this job, as it is now."""
    fitting = {
        "waiting": ("cancel", "sooner"),
        "running": () if job.interrupt_by else ("interrupt",),
        "in_error": ("retry",),
        "interrupted": ("retry",),
    }.get(job.state, ())
    if job.state == Job.State.WAITING and job.due_at <= timezone.now():
        fitting = ("cancel",)
    actor = actor_of(request)
    return [act for act in fitting if may(actor, f"job.{'retry' if act == 'sooner' else act}")]
