"""What the engine asks of a store and of a broker. One contract suite each, which every adapter passes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.jobs.job import Claim, NewJob, Progress, Settlement
from central_dispatch.jobs.lock import Holder, Lock
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.schedule import Schedule


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
    assignment: str = ""  # the name it was started with, if any
    version: str = ""  # of the product
    pid_space: str = ""  # where `pid` is this process and no other: a machine, or one container; "": the host


@dataclass(frozen=True, slots=True)
class Beat:
    """A parent's beat counter as a sweeper read it."""

    parent: str
    host: str
    count: int
    pid_space: str = ""


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


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is in a queue. `oldest_due_s`: how long its first due row has waited, in seconds; None: none is due."""

    queue: str
    waiting: int
    running: int
    in_error: int
    oldest_due_s: float | None
    paused: bool


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

        A job whose interrupt was asked for ends as *interrupted* where it would wait for another attempt. The
        execution's locks end in the same transaction, as they do wherever rows are freed.
        """

    def held(self, parent: str) -> list[Claim]:
        """Return what the parent holds, as the rows say: more than it knows of where a commit's answer was lost."""

    def lock(self, job: int, fence: int, locks: Sequence[Lock], now: datetime) -> list[Holder]:
        """Take all of these locks for a running execution, or none; returns who is in the way (empty: all taken).

        A lock holds as long as its execution does: it ends when the row is settled or freed, and jobs that wait for
        it (`Settlement.waits_on`) and can have it now are due at once. Taking again what one holds is no conflict, and
        an exclusive lock over one's own shared one is an upgrade. Who is refused, and then waits for it, keeps a place
        in line before later ones (`jobs.lock`). `LookupError` where the fence is gone.
        """

    def woken(self, resources: Collection[str], now: datetime) -> list[str]:
        """Return the queues in which jobs that wait for these things are due: to be rung, after their locks ended."""

    def progress(self, reports: Mapping[tuple[int, int], Progress]) -> None:
        """Note progress by (job, fence); one with an older fence is passed over."""

    def interruptions(self, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """Return (job, by whom) of those (job, fence) pairs that are to be interrupted; by "" for a lost fence."""

    def next_due(self, queues: Collection[str], now: datetime) -> datetime | None:
        """Return when the next waiting row of these queues is due (may be past); None where none waits.

        Queues that are paused or at their concurrency limit are left out: what waits there is nobody's to take.
        """

    def register(self, parent: Parent, now: datetime) -> list[int]:
        """Add a parent, and free at once the rows of earlier parents of its `pid_space` whose process is gone.

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

    def schedules(self) -> list[Schedule]:
        """Return the named schedules, those that are switched off, too."""

    def put_schedule(self, schedule: Schedule) -> None:
        """Write a named schedule, new or changed; `last_run_at` and `last_job` of one that is there stay."""

    def remove_schedule(self, name: str) -> bool:
        """Remove a named schedule; False where there is none. Its last job goes on."""

    def run_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None, now: datetime) -> int | None:
        """Enqueue a schedule's job if its next run still is `seen`, and write the one after; None where it was not.

        One of several parents that see it due wins. A turn is left out while the one before waits or runs: then, too,
        the next run is written, and None returned.
        """

    def move_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None) -> bool:
        """Write another next run if it still is `seen`, and run nothing: after the clock was set back."""

    def assignment(self, name: str) -> Assignment | None:
        """Return what a queue worker of that name is to do."""

    def put_assignment(self, assignment: Assignment, now: datetime) -> None:
        """Write what a queue worker of that name is to do, new or changed; it follows within a second."""

    def follow(self, parent: str, queues: Collection[str], slots: int) -> bool:
        """Write what a registered parent serves from now on; False where it is not registered."""

    def depths(self, queues: Collection[str], now: datetime) -> list[Depth]:
        """Return how much is in each of these queues, in their order. It counts rows: for a look now and then."""

    def keep_output(self, outputs: Mapping[tuple[int, int], bytes]) -> None:
        """Keep what running executions printed so far, by (job, fence): the whole each time, bounded by the caller.

        Best effort: `output` returns it, and the settlement replaces it.
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


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A copy of a job in error for the broker's operators; the row is the truth."""

    job: int
    queue: str
    payload: Mapping[str, Any]
    error: str
    attempts: int
    expires_at: datetime


class Broker(Protocol):
    """Carries bells. A bell that is lost costs a second, a surplus one nothing. Thread-safe."""

    def ring(self, queues: Collection[str]) -> None:
        """Tell listening parents that rows of these queues may be due. Never blocks and never raises.

        At least one parent that listens to the queue hears it, or all do: whoever cannot take all that is due rings on.
        """

    def call(self, queues: Collection[str]) -> None:
        """Tell *all* listening parents of these queues to look after what they run: something is to be interrupted.

        Heard as a bell is. Never blocks and never raises.
        """

    def listen(self, queues: Collection[str], heard: Callable[[str], None]) -> None:
        """Call `heard(queue)`, from a thread of the broker's own, for each bell of these queues until `close`.

        Called again, it listens to these queues instead, from now on: a worker's assignment has changed.
        """

    def looked(self, queue: str) -> None:
        """Note that the parent has looked at the queue since it heard its bells: only now they are acknowledged.

        A bell that was heard and never looked after comes to another parent. Never blocks and never raises.
        """

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Leave copies of dead letters where the broker's operators look. Never blocks and never raises."""

    def problem(self) -> str:
        """Return why bells do not ring now, in one line; empty while they do."""

    def close(self) -> None:
        """Send what is rung and not sent, for a second at most, and stop. Idempotent."""
