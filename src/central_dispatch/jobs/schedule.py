"""Named schedules: a job of some queue, with its payload, by a cron expression."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from central_dispatch.jobs.job import NORMAL


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
