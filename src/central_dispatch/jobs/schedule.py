"""Named schedules: a job of some queue, with its payload, by a cron expression."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from central_dispatch.jobs.cron import BadSchedule, follows_real_time, next_run, zone_of
from central_dispatch.jobs.job import HIGHEST, LOWEST, NORMAL

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
#: Clocks of hosts differ; a last run that lies so little ahead is no clock that was set back.
_SKEW = timedelta(minutes=1)
#: A schedule of a fixed time is not run again for a clock set back by less.
_REPEATED = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`expression`: five cron fields, in the zone's wall time. `next_run_at`: None while it is switched off."""

    name: str
    queue: str
    expression: str
    zone: str = "UTC"
    payload: Mapping[str, Any] = field(default_factory=dict)
    payload_version: int = 1
    priority: int = NORMAL
    is_on: bool = True
    next_run_at: datetime | None = None
    last_run_at: datetime | None = None
    last_job: int | None = None

    @property
    def unique_key(self) -> str:
        """The key of its jobs: of one schedule one job waits or runs."""
        return f"schedule:{self.name}"

    def problems(self, now: datetime) -> list[tuple[str, str]]:
        """Return (field, what is allowed) for each value that cannot be."""
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(("name", "use letters, digits, dots, dashes and underscores; 100 at most"))
        for look in (lambda: zone_of(self.zone), lambda: next_run(self.expression, "UTC", now)):
            try:
                look()
            except BadSchedule as bad:
                found.append((bad.field, str(bad)))
        if not LOWEST <= self.priority <= HIGHEST:
            found.append(("priority", f"use {LOWEST} to {HIGHEST}"))
        return found


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done with a schedule now: `runs`, or only its next run moves. The run after it is `next_run_at`."""

    runs: bool
    next_run_at: datetime


def turn(schedule: Schedule, following: datetime, now: datetime) -> Turn | None:
    """Return what is due, None for nothing. `following` is `next_run` after now.

    However many turns were missed while nothing ran, one is made up for. After the clock was set back past a
    run, a schedule with a star in its hour or minute follows the new time; one of a fixed time does not run
    again unless the clock went back by more than three hours.
    """
    if not schedule.is_on or schedule.next_run_at is None:
        return None
    if schedule.next_run_at <= now:
        return Turn(runs=True, next_run_at=following)
    if following >= schedule.next_run_at:
        return None
    ahead = _SKEW if follows_real_time(schedule.expression) else _REPEATED
    if schedule.last_run_at is None or schedule.last_run_at - now > ahead:
        return Turn(runs=False, next_run_at=following)
    return None
