"""Batches: how far one is, and what people do to the whole of it, in short transactions, on record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, absent, forbidden
from central_dispatch.stores.batch import Counts, NewBatch, Opened
from central_dispatch.worker_manager.bells import call_after_commit, ring_after_commit
from central_dispatch.worker_manager.models import Batch, Job
from central_dispatch.worker_manager.tables import acts, in_transaction, reading
from central_dispatch.worker_manager.tables import batches as table

__all__ = ["Counts", "NewBatch", "Opened", "Progress"]
#: The rate is that of so much time before now.
_LATELY = timedelta(minutes=1)
_MOST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is. `splitting`: not all of its jobs are made yet. `rate`: jobs that end, per second."""

    batch: Batch
    counts: Counts
    splitting: bool
    rate: float
    first_errors: tuple[tuple[int, str], ...]

    @property
    def percent(self) -> float:
        """Return how many of all its jobs have ended; 100 for one that was to have none."""
        expected = self.batch.expected
        # What was pruned has ended; while it is still split, what is not made has not.
        pruned = 0 if self.splitting else max(0, expected - self.counts.made)
        return 100.0 * (self.counts.ended + pruned) / expected if expected else 100.0

    @property
    def left_s(self) -> float | None:
        """Return in how many seconds it is over if it goes on like this; None where that cannot be said."""
        open_jobs = self.counts.waiting + self.counts.running
        return open_jobs / self.rate if self.rate and not self.splitting else None


def open_batch(new: NewBatch) -> Opened:
    """Begin the batch that a running job splits into, or go on with it. In the caller's transaction."""
    opened = table.begin(in_transaction(), new, timezone.now())
    announce("batches")
    return opened


def complete(batch: int, total: int) -> None:
    """Write that all jobs of a batch are made. In the caller's transaction."""
    table.complete(in_transaction(), batch, total)
    announce("batches", f"batch:{batch}")


def all_batches() -> QuerySet[Batch]:
    """Return the batches, newest first."""
    return Batch.objects.all()


def find(number: int) -> Batch | None:
    """Return one batch."""
    return Batch.objects.filter(pk=number).first()


def progress(batch: Batch) -> Progress:
    """Count how far a batch is; some milliseconds for a hundred thousand jobs."""
    now = timezone.now()
    counts = table.count(reading(), batch.pk, now - _LATELY)
    since = max((now - batch.created_at).total_seconds(), 0.001)
    errors = Job.objects.filter(batch=batch.pk, state=Job.State.IN_ERROR).order_by("pk")
    return Progress(
        batch=batch,
        counts=counts,
        splitting=batch.total is None,
        rate=counts.ended_lately / min(since, _LATELY.total_seconds()),
        first_errors=tuple(errors.values_list("pk", "error")[:_MOST_ERRORS]),
    )


def cancel(by: Actor, number: int, why: str = "") -> int | Refused:
    """End what waits of a batch; returns how many. Those that run go on, and so does the job that splits it."""
    batch = _permitted(by, number, "job.cancel")
    return batch if isinstance(batch, Refused) else _cancel(by, batch, why or f"the batch was cancelled by {by.name}")


def interrupt(by: Actor, number: int, why: str = "") -> int | Refused:
    """End a batch: nothing more is made of it, what waits ends at once, what runs is asked to; returns how many."""
    batch = _permitted(by, number, "job.interrupt", "job.cancel")
    if isinstance(batch, Refused):
        return batch
    why = why or f"the batch was interrupted by {by.name}"
    # In this order: nothing is made any more, then nothing is left that could begin, then what has begun is asked.
    _interrupt_splitting(by, batch, why)
    ended, stopping = _cancel(by, batch, why), set(_ask_to_stop(by, batch))
    while table.in_state(reading(), number, "waiting"):  # one that ran came back meanwhile, to be tried again
        ended += _cancel(by, batch, why)
        stopping |= set(_ask_to_stop(by, batch))
    return ended + len(stopping)


def retry_failed(by: Actor, number: int, *, interrupted: bool = False) -> int | Refused:
    """Have a batch's dead letters tried again, and what was interrupted of it where that is wished too.

    Returns how many. One whose unique key is held stays.
    """
    batch = _permitted(by, number, "job.retry")
    states = ("in_error", "interrupted") if interrupted else ("in_error",)
    return batch if isinstance(batch, Refused) else _in_chunks(by, "job.retry", batch, states, acts.requeue)


def _cancel(by: Actor, batch: Batch, why: str) -> int:
    return _in_chunks(
        by,
        "job.cancel",
        batch,
        ("waiting",),
        lambda connection, jobs, now: acts.purge(connection, jobs, by.name, why, now),
    )


def _interrupt_splitting(by: Actor, batch: Batch, why: str) -> None:
    if batch.job is None or batch.total is not None:
        return
    with transaction.atomic():
        how = acts.interrupt(in_transaction(), batch.job, by.name, why, timezone.now())
        if how in {"asked", "interrupted"}:
            after = {"splitting": batch.job, "how": how}
            audit.record(by, "job.interrupt", f"batch:{batch.pk}", title=batch.kind, after=after)
            announce("jobs", f"batch:{batch.pk}", f"job:{batch.job}")
            tell = call_after_commit if how == "asked" else ring_after_commit
            tell(list(Job.objects.filter(pk=batch.job).values_list("queue", flat=True)))


def _ask_to_stop(by: Actor, batch: Batch) -> list[int]:
    with transaction.atomic():
        stopping = table.ask_to_stop(in_transaction(), batch.pk, by.name)
        audit.record(by, "job.interrupt", f"batch:{batch.pk}", title=batch.kind, after={"running": len(stopping)})
        announce("jobs", f"batch:{batch.pk}")
        call_after_commit([batch.kind] if stopping else [])
    return stopping


def _permitted(by: Actor, number: int, *acts_of_it: str) -> Batch | Refused:
    if not all(may(by, act) for act in acts_of_it):
        return forbidden("ask an administrator, or an operator")
    return find(number) or absent("batch")


def _in_chunks(
    by: Actor,
    act: str,
    batch: Batch,
    states: tuple[str, ...],
    change: Callable[[Any, Sequence[int], datetime], list[int]],
) -> int:
    """Do it in short transactions. What fails in the middle is done, and on record, for the first ones."""
    chosen = table.in_state(reading(), batch.pk, *states)
    done = 0
    for start in range(0, max(len(chosen), 1), acts.CHUNK):
        with transaction.atomic():
            jobs = change(in_transaction(), chosen[start : start + acts.CHUNK], timezone.now())
            audit.record(by, act, f"batch:{batch.pk}", title=batch.kind, after={"jobs": len(jobs)})
            announce("jobs", "queues", f"batch:{batch.pk}")
            ring_after_commit([batch.kind])
        done += len(jobs)
    return done
