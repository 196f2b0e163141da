"""What ended, added up by minute before it is written. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """One execution, as it is added up."""

    queue: str
    outcome: str
    parent: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Sum:
    """Executions of one queue, outcome and parent that ended within one minute, and how long they ran in all."""

    minute: datetime
    key: tuple[str, str, str]  # queue, outcome, parent
    executions: int
    run_ms: int


def added_up(ended: Sequence[Ended]) -> list[Sum]:
    """Return the sums, in an order that is the same for all who write: none waits for another in a circle."""
    executions: Counter[tuple[datetime, tuple[str, str, str]]] = Counter()
    run_ms: Counter[tuple[datetime, tuple[str, str, str]]] = Counter()
    for one in ended:
        at = (one.ended_at.replace(second=0, microsecond=0), (one.queue, one.outcome, one.parent))
        executions[at] += 1
        run_ms[at] += max(0, round((one.ended_at - one.started_at).total_seconds() * 1000))
    return [Sum(minute, key, count, run_ms[minute, key]) for (minute, key), count in sorted(executions.items())]
