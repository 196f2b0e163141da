"""What the engine asks of a store and of a broker. One contract suite each, which every adapter passes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
        """Insert rows; None where a unique key is held or a batch's number was taken before."""

    def claim(self, queue: str, parent: str, limit: int, now: datetime) -> list[Claim]:
        """Take due rows, highest priority first, then oldest; raises each fence. Empty for a paused queue.

        Heeds the queue's concurrency limit over all parents.
        """

    def settle(self, settled: Sequence[Settled]) -> list[bool]:
        """Write outcomes and history, each only if its fence still holds; False where it does not any more."""

    def progress(self, reports: Mapping[tuple[int, int], Progress]) -> None:
        """Note progress by (job, fence); one with an older fence is passed over."""

    def interruptions(self, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """Return (job, by whom) of those (job, fence) pairs that are to be interrupted, or lost their fence."""

    def next_due(self, queues: Collection[str], now: datetime) -> datetime | None:
        """Return when the next waiting row of these queues is due; None where none waits."""

    def register(self, parent: Parent, now: datetime) -> list[int]:
        """Add a parent, and free at once the rows of earlier parents of the same host whose process is gone.

        Returns the jobs that were freed. An interrupted execution counts an attempt.
        """

    def beat(self, parent: str) -> bool:
        """Raise the parent's counter; False where a sweeper has taken its rows: it must kill its children."""

    def beats(self) -> list[Beat]:
        """Return the counters of all parents that hold rows or may claim."""

    def sweep(self, parent: str, count: int, now: datetime) -> list[int]:
        """Free the rows of a parent whose counter still is `count`, and strike it off; returns the jobs."""

    def leave(self, parent: str) -> None:
        """Strike a parent off that has settled or released all it held."""

    def settings(self, queue: str) -> QueueSettings:
        """Return the queue's settings as they are now."""

    def change_settings(self, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some of a queue's settings; they hold from the next look on."""


class Broker(Protocol):
    """Carries bells. A bell that is lost costs a second, a surplus one nothing."""

    def ring(self, queues: Collection[str]) -> None:
        """Tell every listening parent that rows of these queues may be due. Never blocks and never raises."""

    def listen(self, queues: Collection[str], heard: Callable[[str], None]) -> None:
        """Call `heard(queue)`, from a thread of the broker's own, for each bell of these queues until `close`."""

    def close(self) -> None:
        """Stop listening and ringing. Idempotent."""
