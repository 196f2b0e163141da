"""One act on many jobs: those that were selected, or all that a search finds. In chunks, each on record."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, forbidden
from central_dispatch.worker_manager.bells import call_after_commit, ring_after_commit
from central_dispatch.worker_manager.job_search import Wanted, matching
from central_dispatch.worker_manager.models import Job
from central_dispatch.worker_manager.tables import acts, in_transaction

Act = Literal["retry", "interrupt", "cancel"]
#: What one call does at most; the rest takes further calls, so that no request lasts for minutes.
AT_ONCE = 20_000
#: Jobs of one transaction: some milliseconds, so that workers get their turn in between.
CHUNK = 250
#: The states in which an act finds something to do.
STATES: dict[Act, tuple[str, ...]] = {
    "retry": ("in_error", "interrupted", "waiting"),
    "interrupt": ("running", "waiting"),
    "cancel": ("waiting",),
}


@dataclass(frozen=True, slots=True)
class Fitting:
    """How many jobs an act would find, by state; `others`: in a state in which it does nothing."""

    by_state: dict[str, int]
    others: int

    @property
    def total(self) -> int:
        """All that the act would be tried on."""
        return sum(self.by_state.values())


@dataclass(frozen=True, slots=True)
class Bulk:
    """What came of it. `asked`: running ones that were asked to stop. `last`: go on after this one; None: all done."""

    done: int = 0
    asked: int = 0
    passed_over: int = 0  # meanwhile in another state, or their unique key is held
    last: int | None = None


def fitting(act: Act, wanted: Wanted) -> Fitting:
    """Count what an act would find, before it is confirmed."""
    counts = dict(matching(wanted).values_list("state").annotate(Count("pk")))
    by_state = {state: counts[state] for state in STATES[act] if state in counts}
    return Fitting(by_state, sum(counts.values()) - sum(by_state.values()))


def apply(by: Actor, act: Act, wanted: Wanted, *, after: int = 0, why: str = "") -> Bulk | Refused:
    """Do it to up to `AT_ONCE` of the jobs that are found now, from the number `after` on."""
    if not may(by, f"job.{act}"):
        return forbidden("this is for operators and administrators")
    rows = matching(wanted).filter(state__in=STATES[act], pk__gt=after).order_by("pk")
    numbers = list(rows.values_list("pk", flat=True)[: AT_ONCE + 1])
    left = len(numbers) > AT_ONCE
    numbers = numbers[:AT_ONCE]
    done = asked = 0
    for start in range(0, len(numbers), CHUNK):
        ended = _chunk(by, act, numbers[start : start + CHUNK], wanted, why)
        done += sum(one in {"waiting", "sooner", "interrupted"} for one in ended)
        asked += sum(one == "asked" for one in ended)
    return Bulk(done, asked, len(numbers) - done - asked, numbers[-1] if left else None)


def _chunk(by: Actor, act: Act, numbers: Collection[int], wanted: Wanted, why: str) -> list[str]:
    with transaction.atomic():
        ended = {number: _one(by, act, number, why) for number in numbers}
        changed = [number for number, how in ended.items() if how in {"waiting", "sooner", "interrupted", "asked"}]
        if changed:
            after: dict[str, Any] = {"jobs": len(changed), "first": changed[0], "last": changed[-1], "why": why}
            audit.record(by, f"job.{act}", "jobs", title=f"{len(changed)} jobs", after=after | _said(wanted))
            announce("jobs", "queues", *(f"job:{number}" for number in changed[:32]))
            ring_after_commit(_queues(number for number in changed if ended[number] != "asked"))
            call_after_commit(_queues(number for number in changed if ended[number] == "asked"))
    return list(ended.values())


def _queues(jobs: Iterable[int]) -> list[str]:
    return list(Job.objects.filter(pk__in=list(jobs)).order_by().values_list("queue", flat=True).distinct())


def _one(by: Actor, act: Act, number: int, why: str) -> str:
    now = timezone.now()
    if act == "retry":
        return acts.retry(in_transaction(), number, now)
    if act == "interrupt":
        return acts.interrupt(in_transaction(), number, by.name, why, now)
    return "interrupted" if acts.cancel(in_transaction(), number, by.name, why, now) else "ended"


def _said(wanted: Wanted) -> dict[str, Any]:
    """Return the filter for the record."""
    names = ("state", "queue", "record", "instance", "error", "batch")
    said = {name: value for name in names if (value := getattr(wanted, name)) not in {"", None}}
    if wanted.since or wanted.until:
        said["time"] = wanted.span_of  # which of a job's times they are about
    said |= {name: at.isoformat() for name in ("since", "until") if (at := getattr(wanted, name))}
    return said | ({"numbers": list(wanted.numbers)} if wanted.numbers else {})
