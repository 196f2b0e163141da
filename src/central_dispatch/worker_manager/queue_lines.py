"""The queues as their page lists them: what is in each, how fast it moves, who serves it."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker_manager import counts
from central_dispatch.worker_manager.counts import QueueCounts
from central_dispatch.worker_manager.models import Parent
from central_dispatch.worker_manager.rates import Rate, current_rates
from central_dispatch.worker_manager.tables import QUEUES, reading


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue."""

    name: str
    kind: Kind | None  # None: rows of a kind that this version does not know
    settings: QueueSettings
    counts: QueueCounts
    rate: Rate
    workers: int  # queue workers that run and serve it

    @property
    def state(self) -> Literal["paused", "unserved", "idle", "open"]:
        """What keeps it from being worked on, if anything does."""
        if self.settings.paused:
            return "paused"
        if self.workers:
            return "open"
        return "unserved" if self.counts.waiting else "idle"

    @property
    def needs_you(self) -> bool:
        """Something failed for good, or waits for what does not come by itself."""
        return self.counts.in_error > 0 or (self.state in {"paused", "unserved"} and self.counts.waiting > 0)

    def age(self, now: datetime) -> timedelta | None:
        """Return for how long the oldest job that is due has waited."""
        return now - self.counts.oldest_ready if self.counts.oldest_ready else None


def lines() -> list[QueueLine]:
    """Return all queues: those with failures first, then those that stand still, then by name."""
    found = counts.current()
    workers = _workers()
    names = sorted({*KINDS, *(name for name, one in found.queues.items() if one.total)})
    made = [_line(name, found.of(name), workers[name]) for name in names]
    return sorted(made, key=lambda line: (-line.counts.in_error, not line.needs_you, line.name.lower()))


def line(name: str) -> QueueLine | None:
    """Return one queue; None where there is neither such a kind nor a job of it."""
    found = counts.current().of(name)
    return _line(name, found, _workers()[name]) if name in KINDS or found.total else None


def _line(name: str, found: QueueCounts, workers: int) -> QueueLine:
    settings = QUEUES.settings(reading(), name)
    return QueueLine(name, KINDS.get(name), settings, found, current_rates().get(name, Rate()), workers)


def _workers() -> Counter[str]:
    return Counter(queue for queues in Parent.objects.values_list("queues", flat=True) for queue in queues)
