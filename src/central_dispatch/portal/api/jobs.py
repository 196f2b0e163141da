"""Endpoints of jobs."""

from datetime import UTC, datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from central_dispatch.fleet.refusal import Refused, absent
from central_dispatch.jobs.job import HIGHEST, LOWEST, NORMAL
from central_dispatch.jobs.masking import secrets_of, shown_payload, shown_value
from central_dispatch.portal.api.access import Needs, caller
from central_dispatch.portal.api.answers import PROBLEMS, RefusedError, done
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker_manager import job_record, services
from central_dispatch.worker_manager.enqueueing import enqueue_job
from central_dispatch.worker_manager.job_search import Place, Wanted, find, place_of
from central_dispatch.worker_manager.models import Attempt, Job

router = Router(tags=["jobs"])
_LARGEST = 2**63 - 1


class JobFilter(Schema):
    """Which jobs are wanted; blank: all, newest first. Times are those of the order."""

    state: Literal["", "waiting", "running", "finished", "in_error", "interrupted"] = ""
    queue: str = Field(default="", max_length=100)
    record: str = Field(default="", max_length=200)
    instance: str = Field(default="", max_length=200)
    error: str = Field(default="", max_length=200)
    batch: int | None = Field(default=None, ge=1, le=_LARGEST)
    order: Literal["", "newest", "oldest", "started", "ended", "due", "expires"] = ""
    since: datetime | None = None
    until: datetime | None = None
    after: str = Field(default="", max_length=100, description="`next` of the page before")
    limit: int = Field(default=50, ge=1, le=500)


class JobOut(Schema):
    """A job; secrets of its payload are hidden."""

    id: int
    queue: str
    state: str
    waiting_for: str
    priority: int
    attempts: int
    deferrals: int
    percent: float | None
    words: str
    error: str
    batch: int | None
    enqueued_by: str
    interrupt_by: str
    ended_by: str
    payload: dict[str, Any]
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None


class AttemptOut(Schema):
    """One execution that has ended."""

    fence: int
    outcome: str
    error: str
    host: str
    parent_pid: int
    child_pid: int
    started_at: datetime | None
    ended_at: datetime
    output_bytes: int


class JobDetailOut(JobOut):
    """A job with its result and its last executions."""

    result: dict[str, Any]
    history: list[AttemptOut]


class JobsPage(Schema):
    """One page of jobs. `next`: where it goes on; blank: it is the last one, though a search may have stopped early."""

    items: list[JobOut]
    next: str


class JobIn(Schema):
    """A new job."""

    queue: str = Field(max_length=100)
    payload: dict[str, Any] = Field(default_factory=dict)
    priority: int = Field(default=NORMAL, ge=LOWEST, le=HIGHEST)
    unique_key: str | None = Field(default=None, min_length=1, max_length=255)


class Done(Schema):
    """What became of it: `waiting`, `sooner`, `interrupted`, or `asked` (its state will say what happened)."""

    id: int
    how: str


def _values(job: Job) -> dict[str, Any]:
    names = [name for name in JobOut.model_fields if name != "payload"]
    return {**{name: getattr(job, name) for name in names}, "payload": shown_payload(job.queue, job.payload)}


def _attempt(one: Attempt) -> AttemptOut:
    return AttemptOut(**{name: getattr(one, name) for name in AttemptOut.model_fields})


@router.get("", auth=Needs("jobs.view"), response={200: JobsPage, **PROBLEMS})
def list_jobs(request: HttpRequest, wanted: Query[JobFilter]) -> JobsPage:  # noqa: ARG001 ninja passes it
    """List jobs, a page at a time; `after` takes the `next` of the page before."""
    values = wanted.model_dump(exclude={"after", "limit"})
    for name in ("since", "until"):
        values[name] = _moment(values[name], name)
    asked = Wanted(**values)
    found = find(asked, after=_place(wanted.after, asked), size=wanted.limit)
    last = place_of(asked, found.jobs[-1]) if found.later else found.looked_back_to
    return JobsPage(items=[JobOut(**_values(job)) for job in found.jobs], next=_written(last) if last else "")


def _moment(given: datetime | None, field: str) -> datetime | None:
    if given is None or given.tzinfo is None:
        return given.replace(tzinfo=UTC) if given else None
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise RefusedError(Refused("invalid", (Problem("This is beyond all time", field=field),))) from None


def _written(place: Place) -> str:
    return f"{place.value if isinstance(place.value, int) else place.value.isoformat()}~{place.job}"


def _place(text: str, asked: Wanted) -> Place | None:
    if not text:
        return None
    value, _, number = text.partition("~")
    try:
        job = int(number)
        read = int(value) if asked.ordered == "number" else _moment(datetime.fromisoformat(value), "after")
    except ValueError:
        job, read = -1, 0
    if read is None or not 0 <= job <= _LARGEST or (isinstance(read, int) and not 0 <= read <= _LARGEST):
        raise RefusedError(Refused("invalid", (Problem("This is no place in the list", field="after"),)))
    return Place(read, job)


@router.post("", auth=Needs("job.enqueue"), response={201: JobDetailOut, **PROBLEMS})
def make_job(request: HttpRequest, body: JobIn) -> Status[JobDetailOut]:
    """Make a job."""
    made = enqueue_job(caller(request), body.queue, body.payload, priority=body.priority, unique_key=body.unique_key)
    return Status(201, _detail(done(made)))


@router.get("/{job_id}", auth=Needs("jobs.view"), response={200: JobDetailOut, **PROBLEMS})
def show_job(request: HttpRequest, job_id: int) -> JobDetailOut:  # noqa: ARG001 ninja passes it
    """Show a job with its last executions."""
    return _detail(job_id)


def _detail(number: int) -> JobDetailOut:
    job = done(job_record.job(_number(number)) or absent("job"))
    history = [_attempt(one) for one in job_record.attempts(job.pk).order_by("-id")[:50]]
    result = shown_value(job.result, secrets_of(job.queue, job.payload))
    return JobDetailOut(**_values(job), result=result, history=history)


def _number(number: int) -> int:
    return number if 0 <= number <= _LARGEST else 0


@router.post("/{job_id}/retry", auth=Needs("job.retry"), response={200: Done, **PROBLEMS})
def retry_job(request: HttpRequest, job_id: int) -> Done:
    """Have a job tried again that ended badly; or one that waits for its time, now."""
    return Done(id=job_id, how=done(services.retry(caller(request), _number(job_id))))


@router.post("/{job_id}/interrupt", auth=Needs("job.interrupt"), response={200: Done, **PROBLEMS})
def interrupt_job(request: HttpRequest, job_id: int) -> Done:
    """End a job: one that waits at once, one that runs by its worker."""
    return Done(id=job_id, how=done(services.interrupt(caller(request), _number(job_id))))


@router.post("/{job_id}/cancel", auth=Needs("job.cancel"), response={200: Done, **PROBLEMS})
def cancel_job(request: HttpRequest, job_id: int) -> Done:
    """End a job that waits; one that runs is left alone."""
    return Done(id=job_id, how=done(services.cancel(caller(request), _number(job_id))))
