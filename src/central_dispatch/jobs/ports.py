"""What the engine asks of a store and of a broker. One contract suite each, which every adapter passes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from central_dispatch.jobs.job import Claim, NewJob, Progress, Settlement
from central_dispatch.jobs.queue_settings import QueueSettings


class StoreDown(Exception):
    """The database cannot be reached. Nothing is lost and no attempt is burnt: ask again."""


@dataclass(frozen=True, slots=True)
class Parent:
    """One incarnation of a queue worker. `id` is new at every start (32 hex digits)."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A parent's beat counter as a sweeper read it."""

    parent: str
    host: str
    count: int


@dataclass(frozen=True, slots=True)
class Settled:
    """One execution that has ended, for `Store.settle`. `output` is its captured output, bounded."""

    claim: Claim
    settlement: Settlement
    child_pid: int
    started_at: datetime
    ended_at: datetime
    outcome: str  # the outcome's name, for the history: "done", "failed", "crashed" …
    output: bytes = b""


class Store(Protocol):
    """The job table. Every method is one transaction; all raise `StoreDown` where the database is away."""

    def enqueue(self, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
        """Insert rows; None where a unique key is held or a batch's number was taken before.

        `ValueError` for a payload that is too large, or a priority out of bounds. Many rows are written in several
        transactions: an expansion that was cut off is repeated, and its batch's numbers keep it from doubling.
        """

    def claim(self, queue: str, parent: str, limit: int, now: datetime) -> list[Claim]:
        """Take due rows, highest priority first, then oldest; raises each fence. Empty for a paused queue.

        Heeds the queue's concurrency limit over all parents. Empty, too, for a parent that is not registered or
        was struck off: nobody would free its rows.
        """

    def claim_job(self, job: int, parent: str, now: datetime) -> Claim | None:
        """Take this one waiting job, due or not, whatever its queue's settings say; None where it does not wait."""

    def settle(self, settled: Sequence[Settled]) -> list[bool]:
        """Write outcomes and history, each only if its fence still holds; False where it does not any more.

        A job whose interrupt was asked for ends as *interrupted* where it would wait for another attempt.
        """

    def progress(self, reports: Mapping[tuple[int, int], Progress]) -> None:
        """Note progress by (job, fence); one with an older fence is passed over."""

    def interruptions(self, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """Return (job, by whom) of those (job, fence) pairs that are to be interrupted; by "" for a lost fence."""

    def next_due(self, queues: Collection[str], now: datetime) -> datetime | None:
        """Return when the next waiting row of these queues is due (may be past); None where none waits.

        Queues that are paused or at their concurrency limit are left out: what waits there is nobody's to take.
        """

    def register(self, parent: Parent, now: datetime) -> list[int]:
        """Add a parent, and free at once the rows of earlier parents of the same host whose process is gone.

        Returns the jobs that were freed. An interrupted execution counts an attempt; a job with attempts left is
        due at once, without the delay of a failure. A process whose number is the new parent's own is gone.
        """

    def beat(self, parent: str) -> bool:
        """Raise the parent's counter; False where a sweeper has taken its rows: it must kill its children."""

    def beats(self) -> list[Beat]:
        """Return the counters of all parents that hold rows or may claim."""

    def sweep(self, parent: str, count: int, now: datetime) -> list[int]:
        """Free the rows of a parent whose counter still is `count`, and strike it off; returns the jobs."""

    def leave(self, parent: str) -> None:
        """Strike a parent off that has settled or released all it held; one that has not stays until it is swept."""

    def settings(self, queue: str) -> QueueSettings:
        """Return the queue's settings as they are now."""

    def change_settings(self, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some of a queue's settings; they hold from the next look on. `ValueError` says what is wrong."""

    def enqueue_scheduled(self, periods: Mapping[str, float], now: datetime) -> list[str]:
        """Enqueue a job, unique in its queue, for each queue whose period in seconds is over; returns these queues.

        A turn is left out while the one before waits or runs.
        """

    def prune(self, now: datetime, ended_keep: timedelta, limit: int) -> dict[str, int]:
        """Remove up to `limit` expired dead letters, and of other jobs that ended before `now - ended_keep`.

        With history and output; a batch's jobs only once none of it is open. Returns counts by name; call again
        until all are 0.
        """

    def output(self, job: int, fence: int) -> bytes:
        """Return the captured output of one execution; empty where there is none, or it could not be kept."""

    def raise_epoch(self, now: datetime) -> list[int]:
        """Make every fence given so far worthless and put running jobs back: after a backup was restored."""

    def close(self) -> None:
        """Close files and connections. Idempotent."""


class Broker(Protocol):
    """Carries bells. A bell that is lost costs a second, a surplus one nothing."""

    def ring(self, queues: Collection[str]) -> None:
        """Tell every listening parent that rows of these queues may be due. Never blocks and never raises."""

    def listen(self, queues: Collection[str], heard: Callable[[str], None]) -> None:
        """Call `heard(queue)`, from a thread of the broker's own, for each bell of these queues until `close`."""

    def close(self) -> None:
        """Stop listening and ringing. Idempotent."""
