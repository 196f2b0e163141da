"""Removes what has outlived its retention, in transactions so small that nobody waits for them."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from central_dispatch.fleet import settings
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.models import Change, Run, RunEvent, RunStep
from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.outcome import Done, Outcome, Released
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager.models import Tally

#: A live page looks by itself every 15 s: a hint is old after this.
CHANGES_KEPT = timedelta(hours=1)
#: What ended in each minute, for charts; then in each hour.
MINUTES_KEPT = timedelta(days=2)
HOURS_KEPT = timedelta(days=90)
#: Rows of one transaction, and the pause after it, in seconds.
CHUNK = 300
PAUSE_S = 0.01


def handle(_payload: Mapping[str, Any], attempt: Attempt) -> Outcome:
    """Remove it; the result says how much of what. Asked to stop, it goes back and is finished by the next run."""
    now, kept = timezone.now(), settings.read(settings.Retention)
    parts: dict[str, Iterator[int]] = {
        "changes": _deleting(Change.objects.filter(at__lt=now - CHANGES_KEPT).order_by("pk")),
        "looks": _deleting_looks(now - timedelta(days=kept.looks_days)),
        "events": _deleting_events(kept.events_per_run),
        "minutes": _while_any(lambda: _fold_an_hour(now - MINUTES_KEPT)),
        "hours": _while_any(lambda: _delete_hour(now - HOURS_KEPT)),
    }
    removed = dict.fromkeys((*parts, "dead_letters", "ended_jobs"), 0)
    for index, (name, transactions) in enumerate(parts.items()):
        attempt.report(100 * index / (len(parts) + 1), f"removing {name}")
        for count in transactions:
            removed[name] += count
            if attempt.stopping():
                return Released()
            time.sleep(PAUSE_S)
    attempt.report(100 * len(parts) / (len(parts) + 1), "removing ended jobs")
    return _prune_jobs(now, timedelta(days=kept.jobs_days), attempt, removed)


def _prune_jobs(now: datetime, kept: timedelta, attempt: Attempt, removed: dict[str, int]) -> Outcome:
    """Remove finished and interrupted jobs; a dead letter has its queue's retention."""
    store = open_store(home_directory())
    try:
        while any((pruned := store.prune(now, kept, CHUNK)).values()):
            removed["dead_letters"] += pruned["dead_letters"]
            removed["ended_jobs"] += pruned["ended"]
            if attempt.stopping():
                return Released()
            time.sleep(PAUSE_S)
    finally:
        store.close()
    return Done(removed)


def _while_any(remove: Callable[[], int]) -> Iterator[int]:
    """Run transactions until one removes nothing; each returns how many rows it removed."""
    while count := remove():
        yield count


def _deleting(rows: QuerySet[Any]) -> Iterator[int]:
    """Delete rows on which nothing hangs, a chunk in each transaction and in their order."""

    def delete() -> int:
        with transaction.atomic():
            keys = list(rows.values_list("pk", flat=True)[:CHUNK])
            rows.model._default_manager.filter(pk__in=keys).delete()  # noqa: SLF001 Django's public name
        return len(keys)

    return _while_any(delete)


def _deleting_looks(before: datetime) -> Iterator[int]:
    """Delete plans and inventories, which changed nothing; their events and steps first, as one look has many."""
    looks = Run.objects.filter(kind__in=(Run.Kind.PLAN, Run.Kind.INVENTORY), open_key=None, ended_at__lt=before)
    runs = list(looks.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(runs), CHUNK):
        some = runs[start : start + CHUNK]
        for rows in (RunEvent.objects.filter(run__in=some), RunStep.objects.filter(run__in=some)):
            for _ in _deleting(rows.order_by()):
                yield 0  # what is counted is looks
        yield from _deleting(Run.objects.filter(pk__in=some).order_by("pk"))


def _deleting_events(kept: int) -> Iterator[int]:
    """Delete the oldest events of runs that have ended with more than are kept; their steps stay."""
    counted = RunEvent.objects.filter(run__open_key=None).order_by().values("run").annotate(count=Count("pk"))
    for run in list(counted.filter(count__gt=kept).values_list("run", flat=True)):
        events = RunEvent.objects.filter(run=run)
        first_kept = events.order_by("-sequence").values_list("sequence", flat=True)[kept - 1]
        yield from _deleting(events.filter(sequence__lt=first_kept).order_by("sequence"))


def _fold_an_hour(before: datetime) -> int:
    """Make the oldest hour that still has its minutes one row per queue and outcome; returns how many rows went."""
    hour = before.replace(minute=0, second=0, microsecond=0)
    oldest = Tally.objects.filter(minute__lt=hour).exclude(minute__minute=0, parent="").first()
    if oldest is None:
        return 0
    start = oldest.minute.replace(minute=0)
    with transaction.atomic():
        rows = Tally.objects.filter(minute__gte=start, minute__lt=start + timedelta(hours=1)).order_by()
        sums = list(rows.values("queue", "outcome").annotate(executions=Sum("executions"), run_ms=Sum("run_ms")))
        gone, _ = rows.delete()
        Tally.objects.bulk_create(Tally(minute=start, parent="", **one) for one in sums)
    return gone


def _delete_hour(before: datetime) -> int:
    """Delete the oldest hour of before then; returns how many rows."""
    oldest = Tally.objects.filter(minute__lt=before).first()
    if oldest is None:
        return 0
    with transaction.atomic():
        gone, _ = Tally.objects.filter(minute=oldest.minute).delete()
    return gone
