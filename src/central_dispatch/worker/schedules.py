"""Runs the named schedules. Every parent looks once a second; whoever sees one due first runs it, the others do not."""

import logging
from datetime import datetime

from central_dispatch.jobs.cron import BadSchedule, next_run
from central_dispatch.jobs.ports import Broker, Store
from central_dispatch.jobs.schedule import Schedule, turn

_log = logging.getLogger(__name__)


class Schedules:
    """One parent's look at the schedules. Not thread-safe: the clerk's thread calls it."""

    def __init__(self, store: Store, broker: Broker) -> None:
        self._store = store
        self._broker = broker
        #: (expression, zone) → the time asked for and the run after it, which holds for every time in between.
        self._following: dict[tuple[str, str], tuple[datetime, datetime]] = {}
        self._bad: set[tuple[str, str, str]] = set()

    def look(self, now: datetime) -> None:
        """Run what is due, and ring for it."""
        rung = set()
        schedules = self._store.schedules()
        for schedule in schedules:
            if schedule.is_on and self._look_at(schedule, now):
                rung.add(schedule.queue)
        kept = {(schedule.expression, schedule.zone) for schedule in schedules}
        self._following = {key: found for key, found in self._following.items() if key in kept}
        if rung:
            self._broker.ring(rung)

    def _look_at(self, schedule: Schedule, now: datetime) -> bool:
        following = self._next_run(schedule, now)
        due = turn(schedule, following, now) if following else None
        if due is None:
            return False
        seen = schedule.next_run_at
        if not due.runs:
            if self._store.move_schedule(schedule.name, seen, due.next_run_at):
                _log.warning("schedule %s: the clock was set back; it runs next %s", schedule.name, due.next_run_at)
            return False
        job = self._store.run_schedule(schedule.name, seen, due.next_run_at, now)
        if job is None:
            return False
        fields = {"schedule": schedule.name, "job": job, "queue": schedule.queue}
        _log.info("schedule %s: job %d of %s", schedule.name, job, schedule.queue, extra=fields)
        return True

    def _next_run(self, schedule: Schedule, now: datetime) -> datetime | None:
        key = schedule.expression, schedule.zone
        known = self._following.get(key)
        if known and known[0] <= now < known[1]:
            return known[1]
        try:
            following = next_run(*key, now)
        except BadSchedule as bad:
            # It was checked when it was written: a zone has gone, or a newer version wrote it. Said once.
            if (schedule.name, *key) not in self._bad:
                self._bad.add((schedule.name, *key))
                _log.error("schedule %s cannot run: %s", schedule.name, bad)
            return None
        self._following[key] = now, following
        return following
