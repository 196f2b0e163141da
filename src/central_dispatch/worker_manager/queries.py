"""What pages, API and command line read of jobs and queues."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker_manager.models import Assignment, Attempt, Job, Parent, Period
from central_dispatch.worker_manager.tables import QUEUES, reading, rows


@dataclass(frozen=True, slots=True)
class QueueView:
    """A queue as it is shown: its settings, how much is in it, and its schedule if its kind has one."""

    kind: Kind
    settings: QueueSettings
    waiting: int
    running: int
    in_error: int
    last_run_at: datetime | None
    next_run_at: datetime | None

    @property
    def name(self) -> str:
        """The queue's name, which is its kind's."""
        return self.kind.name


def jobs(*, queue: str = "", state: str = "", batch: int | None = None) -> QuerySet[Job]:
    """Return the jobs, newest first: take a page of them, there may be millions."""
    found = Job.objects.all()
    if queue:
        found = found.filter(queue=queue)
    if state in Job.State.values:
        # Written out and not bound: only then SQLite knows that the partial index of the state serves.
        found = found.extra(where=[f"state = '{state}'"])  # noqa: S610 one of five words
    return found if batch is None else found.filter(batch=batch)


def job(number: int) -> Job | None:
    """Return one job."""
    return Job.objects.filter(pk=number).first()


def attempts(number: int) -> QuerySet[Attempt]:
    """Return the executions of a job that have ended, oldest first."""
    return Attempt.objects.filter(job=number)


def parents() -> QuerySet[Parent]:
    """Return the queue workers."""
    return Parent.objects.all()


def queues() -> list[QueueView]:
    """Return all queues by name, those of every kind."""
    counts = {state: _counts(state) for state in ("waiting", "running", "in_error")}
    last: dict[str, datetime] = dict(Period.objects.values_list("queue", "last_run_at"))
    return [_view(kind, counts, last.get(kind.name)) for kind in sorted(KINDS.values(), key=lambda kind: kind.name)]


def assignments() -> QuerySet[Assignment]:
    """Return what queue workers of a name serve."""
    return Assignment.objects.all()


def _view(kind: Kind, counts: dict[str, dict[str, int]], last: datetime | None) -> QueueView:
    settings = QUEUES.settings(reading(), kind.name)
    period = settings.period_s
    return QueueView(
        kind=kind,
        settings=settings,
        waiting=counts["waiting"].get(kind.name, 0),
        running=counts["running"].get(kind.name, 0),
        in_error=counts["in_error"].get(kind.name, 0),
        last_run_at=last,
        next_run_at=last + timedelta(seconds=period) if last and period else None,
    )


def _counts(state: str) -> dict[str, int]:
    return dict(rows(f"SELECT queue, count(*) FROM job WHERE state = '{state}' GROUP BY queue"))  # noqa: S608 constants
