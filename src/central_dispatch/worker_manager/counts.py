"""How much is in each queue: counted twice a second at most, however many pages ask."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from django.db.models import Count, Min, QuerySet, TextField, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from central_dispatch.worker_manager.models import Job

#: A figure is handed out for so long, in seconds.
FRESH_S = 0.5
Counted = TypeVar("Counted")


class Remembered(Generic[Counted]):
    """What one function returned, for a moment. Of several threads that ask at once, one calls it."""

    def __init__(self, look: Callable[[], Counted], fresh_s: float = FRESH_S) -> None:
        self._look = look
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._value: Counted | None = None
        self._until = float("-inf")

    def get(self) -> Counted:
        """Return it, looked at anew where it is too old."""
        with self._lock:
            began = time.monotonic()
            if self._value is None or began >= self._until:
                self._value = self._look()
                self._until = began + self._fresh_s
            return self._value

    def forget(self) -> None:
        """Look anew at the next call: for what this process itself has just changed."""
        self._until = float("-inf")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """What is in one queue."""

    total: int = 0
    ready: int = 0  # waiting, and due
    retrying: int = 0  # waiting for another attempt
    deferred: int = 0  # waiting for a lock or the like
    later: int = 0  # new, with a time of its own that has not come
    running: int = 0
    in_error: int = 0
    interrupted: int = 0
    oldest_ready: datetime | None = None  # since when the one that has been due for longest is due

    @property
    def waiting(self) -> int:
        """All that waits."""
        return self.ready + self.retrying + self.deferred + self.later

    @property
    def finished(self) -> int:
        """What is done and still kept: the rest."""
        return max(0, self.total - self.waiting - self.running - self.in_error - self.interrupted)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in all queues, as of one moment."""

    queues: Mapping[str, QueueCounts] = field(default_factory=dict)

    def of(self, queue: str) -> QueueCounts:
        """Return one queue's."""
        return self.queues.get(queue, QueueCounts())

    def state(self, state: str, queue: str = "") -> int:
        """Return how many are in a state, in one queue or in all."""
        chosen = [self.of(queue)] if queue else self.queues.values()
        return sum(getattr(one, state or "total") for one in chosen)


# Behind COALESCE, or SQLite walks along the index of all queues instead of the state's own.
_QUEUE = Coalesce("queue", Value(""), output_field=TextField())


def count(now: datetime) -> Counts:
    """Count: five queries, each along an index that holds little or is read without its rows."""
    found: dict[str, dict[str, int]] = {}
    oldest: dict[str, datetime] = {}
    for queue, number, first in _in_state("waiting").values_list("queue").annotate(Count("pk"), Min("due_at")):
        _add(found, queue, "ready", number)
        oldest[queue] = first
    for queue, waiting_for, number in _not_due(now):
        # Whatever it waits for: from the moment it is due it is ready.
        _add(found, queue, {"retry": "retrying", "deferred": "deferred"}.get(waiting_for, "later"), number)
        _add(found, queue, "ready", -number)
    for state in ("running", "in_error", "interrupted"):
        for queue, number in _in_state(state).annotate(name=_QUEUE).values_list("name").annotate(Count("pk")):
            _add(found, queue, state, number)
    for queue, number in Job.objects.order_by().values_list("queue").annotate(Count("pk")):
        _add(found, queue, "total", number)
    return Counts({queue: _counts(one, oldest.get(queue), now) for queue, one in found.items()})


def _counts(found: dict[str, int], oldest: datetime | None, now: datetime) -> QueueCounts:
    return QueueCounts(
        # A row that came between two of the queries is in one of them alone.
        **{name: max(0, number) for name, number in found.items()},
        oldest_ready=oldest if oldest is not None and oldest <= now else None,
    )


def _not_due(now: datetime) -> QuerySet[Job, tuple[str, str, int]]:
    rows = _in_state("waiting").filter(due_at__gt=now).annotate(name=_QUEUE)
    return rows.values_list("name", "waiting_for").annotate(Count("pk"))


def _in_state(state: str) -> QuerySet[Job]:
    # Written out and not bound: only then the planner knows that the partial index of the state serves.
    return Job.objects.order_by().extra(where=[f"state = '{state}'"])  # noqa: S610 constants


def _add(found: dict[str, dict[str, int]], queue: str, name: str, number: int) -> None:
    counts = found.setdefault(queue, {})
    counts[name] = counts.get(name, 0) + number


_COUNTS: Remembered[Counts] = Remembered(lambda: count(timezone.now()))


def current() -> Counts:
    """Return what is in the queues, a second old at most."""
    return _COUNTS.get()


def forget() -> None:
    """Count anew at the next call: this process has changed something itself."""
    _COUNTS.forget()
