"""How much ends in each minute and hour, from the tally that is written with every settlement."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils import timezone

from central_dispatch.worker_manager.counts import Remembered
from central_dispatch.worker_manager.models import Tally

#: Rates are of the last whole minutes, this many.
RATE_OVER = 5
#: Executions that failed for whatever reason. One that was stopped, put off or given back is none.
_FAILED = ("failed", "crashed")


@dataclass(frozen=True, slots=True)
class Rate:
    """Of one queue: executions per minute, and how long one took on the average, in seconds (None: none ended)."""

    per_minute: float = 0.0
    failed_per_minute: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What ended within one step of a chart."""

    start: datetime
    done: int = 0
    failed: int = 0
    other: int = 0  # put off, given back, stopped


def rates(now: datetime) -> dict[str, Rate]:
    """Return each queue's rate over the last whole minutes."""
    until = now.replace(second=0, microsecond=0)
    rows = Tally.objects.filter(minute__gte=until - timedelta(minutes=RATE_OVER), minute__lt=until).order_by()
    sums = rows.values_list("queue", "outcome").annotate(Sum("executions"), Sum("run_ms"))
    ended: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for queue, outcome, executions, run_ms in sums:
        ended[queue][0] += executions
        ended[queue][1] += executions if outcome in _FAILED else 0
        ended[queue][2] += run_ms
    return {
        queue: Rate(all_of / RATE_OVER, failed / RATE_OVER, run_ms / all_of / 1000 if all_of else None)
        for queue, (all_of, failed, run_ms) in ended.items()
    }


_RATES: Remembered[Mapping[str, Rate]] = Remembered(lambda: rates(timezone.now()))


def current_rates() -> Mapping[str, Rate]:
    """Return the rates, a second old at most."""
    return _RATES.get()


def forget_rates() -> None:
    """Add up anew at the next call."""
    _RATES.forget()


def chart(now: datetime, step: timedelta, steps: int, queue: str = "") -> list[Bucket]:
    """Return what ended in each of the last `steps` steps, the one that is under way last.

    A step is a part or a multiple of an hour. What is older than the minutes that are kept stands at its full hour.
    """
    length = int(step.total_seconds())
    last = datetime.fromtimestamp(int(now.timestamp()) // length * length, tz=now.tzinfo)
    first = last - step * (steps - 1)
    rows = Tally.objects.filter(minute__gte=first).order_by()
    if queue:
        rows = rows.filter(queue=queue)
    found = [[0, 0, 0] for _ in range(steps)]
    for minute, outcome, executions in rows.values_list("minute", "outcome").annotate(Sum("executions")):
        at = int((minute - first).total_seconds()) // length
        if 0 <= at < steps:
            found[at][0 if outcome == "done" else 1 if outcome in _FAILED else 2] += executions
    return [Bucket(first + step * at, *three) for at, three in enumerate(found)]
