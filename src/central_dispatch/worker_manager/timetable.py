"""What runs by itself and when: the named schedules, and the queues whose kind has a period."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from central_dispatch.worker_manager.models import Job, Period, Schedule
from central_dispatch.worker_manager.queries import queues


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """One line of the timetable. `last_state`: of its last job, as long as there is that job."""

    name: str
    queue: str
    when: str  # the cron expression, or "every 3600 s"
    zone: str  # empty for a period
    is_on: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_job: int | None
    last_state: str
    is_period: bool


def timetable() -> list[ScheduleView]:
    """Return the named schedules, then the queues with a period, each by name."""
    named = list(Schedule.objects.order_by("name"))
    last_jobs: dict[str, int | None] = dict(Period.objects.values_list("queue", "last_job"))
    numbers = [number for number in (*(one.last_job for one in named), *last_jobs.values()) if number]
    states: dict[int, str] = dict(Job.objects.filter(pk__in=numbers).values_list("pk", "state"))
    return [*(_named(one, states) for one in named), *_periods(last_jobs, states)]


def schedule(name: str) -> Schedule | None:
    """Return one named schedule."""
    return Schedule.objects.filter(pk=name).first()


def _named(one: Schedule, states: Mapping[int, str]) -> ScheduleView:
    return ScheduleView(
        name=one.name,
        queue=one.queue,
        when=one.expression,
        zone=one.zone,
        is_on=one.is_on,
        next_run_at=one.next_run_at,
        last_run_at=one.last_run_at,
        last_job=one.last_job,
        last_state=states.get(one.last_job or 0, ""),
        is_period=False,
    )


def _periods(last_jobs: Mapping[str, int | None], states: Mapping[int, str]) -> list[ScheduleView]:
    return [
        ScheduleView(
            name=view.name,
            queue=view.name,
            when=f"every {view.settings.period_s:g} s",
            zone="",
            is_on=True,
            next_run_at=view.next_run_at,
            last_run_at=view.last_run_at,
            last_job=last_jobs.get(view.name),
            last_state=states.get(last_jobs.get(view.name) or 0, ""),
            is_period=True,
        )
        for view in queues()
        if view.settings.period_s is not None
    ]
