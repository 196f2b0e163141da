"""The job table on a server: `jobs.ports.Store`, each method one short transaction."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

from central_dispatch.configuration import Database
from central_dispatch.jobs.assignment import Assignment
from central_dispatch.jobs.job import Claim, NewJob, Progress
from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.lock import Holder, Lock
from central_dispatch.jobs.ports import Beat, Depth, Parent, Settled, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.presence import process_is_gone
from central_dispatch.stores.server import (
    assignments,
    claiming,
    depths,
    locking,
    output,
    parents,
    pruning,
    queues,
    schedules,
    settling,
)
from central_dispatch.stores.server.announcing import Announcer
from central_dispatch.stores.server.clock import Clock
from central_dispatch.stores.server.connection import CommitUnknown, Connections, Driver
from central_dispatch.stores.server.enqueueing import enqueue
from central_dispatch.stores.server.reports import write_progress
from central_dispatch.stores.server.session import Session

T = TypeVar("T")
#: Rows of one transaction: more are written in several, so that none holds its locks for long.
CHUNK = 300


class ServerStore:
    """One database on a server. May be used from several threads: each has its own connection."""

    def __init__(
        self,
        driver: Driver | ModuleType,
        database: Database,
        kinds: Mapping[str, Kind] = KINDS,
        is_gone: Callable[[int], bool] = process_is_gone,
    ) -> None:
        """`driver`: the module `postgresql` or `mariadb`. Nothing is opened before the first call."""
        self._connections = Connections(driver, database)
        self._queues = queues.Queues(kinds)
        self._announcer = Announcer()
        self._clock = Clock()
        self._is_gone = is_gone
        # What may be settled without its caller's knowledge, as an answer was lost: by (job, fence), until asked again.
        self._unknown: dict[tuple[int, int], Settled] = {}
        self._lock = threading.Lock()

    def create_tables(self) -> None:
        """Make the tables in an existing, empty database, without a portal: for tests and benches."""
        driver = self._connections.driver
        changes: str = driver.CHANGES_TABLE  # type: ignore[attr-defined] # of both modules

        def make(session: Session) -> None:
            for statement in (*driver.DIALECT.tables, changes):
                session.run(statement)

        self._connections.write(make)

    def close(self) -> None:
        """Close all connections. The store may be used again."""
        self._connections.close()

    def ping(self) -> None:
        """Ask the database for an answer; `StoreDown` says what to do."""
        self._connections.read(lambda session: session.rows("SELECT 1"))

    def enqueue(self, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
        """Insert rows, in chunks; None where a unique key is held or a batch's number was taken before.

        After a `StoreDown` nobody knows whether the chunk at hand was written, if the answer to its commit was lost:
        who asks again without a unique key or a batch's number may make a job twice.
        """
        self._note_clock(now)
        made: list[int | None] = []
        for start in range(0, len(jobs), CHUNK):
            chunk = jobs[start : start + CHUNK]
            made += self._announcing(partial(_enqueued, jobs=chunk, now=now), _numbers)
        return made

    def claim(self, queue: str, parent: str, limit: int, now: datetime) -> list[Claim]:
        """Take due rows, at most 300 at once, highest priority first, then oldest; each fence rises."""
        if limit < 1:
            return []
        self._note_clock(now)
        most = min(limit, CHUNK)
        return self._announcing(
            lambda session: claiming.claim(session, self._queues, queue, parent, most, now), _claimed
        )

    def claim_job(self, job: int, parent: str, now: datetime) -> Claim | None:
        """Take this one waiting job, due or not, paused or not; None where it does not wait."""
        return self._announcing(
            lambda session: claiming.claim_job(session, job, parent, now), lambda claim: [job] if claim else []
        )

    def settle(self, settled: Sequence[Settled]) -> list[bool]:
        """Write outcomes and history, in chunks, each only if its fence still holds.

        True, too, for what an earlier call wrote whose answer was lost.
        """
        written: list[bool] = []
        for start in range(0, len(settled), CHUNK):
            try:
                written += self._settle(settled[start : start + CHUNK])
            except StoreDown:
                # Who asks again asks for all of it.
                self._remember([one for one, holds in zip(settled, written, strict=False) if holds])
                raise
        return written

    def held(self, parent: str) -> list[Claim]:
        """Return what the parent holds, as the rows say."""
        return self._connections.read(lambda session: claiming.held(session, parent))

    def lock(self, job: int, fence: int, locks: Sequence[Lock], now: datetime) -> list[Holder]:
        """Take all of these locks for a running execution, or none; returns who is in the way."""
        return self._connections.write(lambda session: locking.lock(session, job, fence, locks, now))

    def woken(self, resources: Collection[str], now: datetime) -> list[str]:
        """Return the queues in which jobs that wait for these things are due."""
        if not resources:
            return []
        return self._connections.read(lambda session: locking.woken(session, resources, now))

    def progress(self, reports: Mapping[tuple[int, int], Progress]) -> None:
        """Note progress by (job, fence); one with an older fence is passed over."""
        if reports:
            self._connections.write(lambda session: self._announcer.progress(session, write_progress(session, reports)))

    def interruptions(self, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """Return (job, by whom) of those that are to be interrupted; by "" for a lost fence."""
        if not claims:
            return []
        return self._connections.read(lambda session: settling.interruptions(session, claims))

    def next_due(self, queues: Collection[str], now: datetime) -> datetime | None:  # noqa: ARG002 the port gives it
        """Return when the next waiting row is due of those queues that are not paused and have room; may be past."""
        return self._connections.read(lambda session: claiming.next_due(session, self._queues, queues))

    def register(self, parent: Parent, now: datetime) -> list[int]:
        """Add a parent, and free at once the rows of earlier parents of its `pid_space` whose process is gone."""
        return self._announcing(
            lambda session: parents.register(session, self._queues, parent, self._is_gone, now), list, "parents"
        )

    def beat(self, parent: str) -> bool:
        """Raise the parent's counter; False where it was struck off."""
        return self._connections.write(lambda session: parents.beat(session, parent))

    def beats(self) -> list[Beat]:
        """Return the counters of all parents."""
        return self._connections.read(parents.beats)

    def sweep(self, parent: str, count: int, now: datetime) -> list[int]:
        """Free the rows of a parent whose counter still is `count`, and strike it off; returns the jobs."""
        return self._announcing(
            lambda session: parents.sweep(session, self._queues, parent, count, now), list, "parents"
        )

    def leave(self, parent: str) -> None:
        """Strike a parent off; one that still holds rows stays until it is swept."""
        self._announcing(lambda session: parents.leave(session, parent), _nothing, "parents")

    def settings(self, queue: str) -> QueueSettings:
        """Return the queue's settings as they are now."""
        return self._connections.read(lambda session: self._queues.settings(session, queue))

    def change_settings(self, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some of a queue's settings; `ValueError` says what is wrong with them."""
        return self._announcing(lambda session: self._queues.change(session, queue, changes), _nothing)

    def enqueue_scheduled(self, periods: Mapping[str, float], now: datetime) -> list[str]:
        """Enqueue a job for each queue whose period (in seconds) is over; returns these queues."""
        if not self._connections.read(lambda session: queues.due_periods(session, periods, now)):
            return []
        return self._announcing(lambda session: queues.enqueue_due(session, self._queues, periods, now), _nothing)

    def schedules(self) -> list[Schedule]:
        """Return the named schedules, those that are switched off, too."""
        return self._connections.read(schedules.schedules)

    def put_schedule(self, schedule: Schedule) -> None:
        """Write a named schedule, new or changed; `last_run_at` and `last_job` of one that is there stay."""
        self._announcing(lambda session: schedules.put(session, schedule), _nothing)

    def remove_schedule(self, name: str) -> bool:
        """Remove a named schedule; False where there is none."""
        return self._announcing(lambda session: schedules.remove(session, name), _nothing)

    def run_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None, now: datetime) -> int | None:
        """Enqueue a schedule's job if its next run still is `seen`, and write the one after."""
        return self._announcing(
            lambda session: schedules.run(session, name, seen, next_run_at, now),
            lambda job: [] if job is None else [job],
        )

    def move_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None) -> bool:
        """Write another next run if it still is `seen`, and run nothing."""
        return self._announcing(lambda session: schedules.move(session, name, seen, next_run_at), _nothing)

    def assignment(self, name: str) -> Assignment | None:
        """Return what a queue worker of that name is to do."""
        return self._connections.read(lambda session: assignments.find(session, name))

    def put_assignment(self, assignment: Assignment, now: datetime) -> None:
        """Write what a queue worker of that name is to do, new or changed."""
        self._announcing(lambda session: assignments.put(session, assignment, now), _nothing, "parents")

    def follow(self, parent: str, queues: Collection[str], slots: int) -> bool:
        """Write what a registered parent serves from now on; False where it is not registered."""
        return self._announcing(lambda session: assignments.follow(session, parent, queues, slots), _nothing, "parents")

    def depths(self, queues: Collection[str], now: datetime) -> list[Depth]:
        """Return how much is in each of these queues, in their order."""
        return self._connections.read(lambda session: depths.depths(session, self._queues, queues, now))

    def keep_output(self, outputs: Mapping[tuple[int, int], bytes]) -> None:
        """Keep what running executions printed so far."""
        if outputs:
            self._connections.write(lambda session: output.keep_output(session, outputs))

    def prune(self, now: datetime, ended_keep: timedelta, limit: int) -> dict[str, int]:
        """Remove up to `limit` expired dead letters, and of other ended jobs, with history and output.

        Returns the counts as {"dead_letters": …, "ended": …}: call again until both are 0.
        """
        return self._announcing(
            lambda session: pruning.prune(session, now, ended_keep, min(limit, CHUNK)),
            lambda counts: [] if any(counts.values()) else None,
        )

    def output(self, job: int, fence: int) -> bytes:
        """Return the captured output of one execution; empty where there is none."""
        return self._connections.read(lambda session: output.read_output(session, job, fence))

    def raise_epoch(self, now: datetime) -> list[int]:
        """Make every fence given so far worthless and put all running jobs back: after a backup was restored."""
        return self._announcing(lambda session: parents.raise_epoch(session, now), list, "parents")

    def _settle(self, chunk: Sequence[Settled]) -> list[bool]:
        keys = [(one.claim.job, one.claim.fence) for one in chunk]
        try:
            held = self._announcing(
                lambda session: settling.settle(session, chunk),
                lambda held: [key[0] for key, holds in zip(keys, held, strict=True) if holds] or None,
            )
        except CommitUnknown:
            self._remember(chunk)
            raise
        return self._with_unknown(keys, held)

    def _remember(self, settled: Sequence[Settled]) -> None:
        with self._lock:
            self._unknown |= {(one.claim.job, one.claim.fence): one for one in settled}

    def _with_unknown(self, keys: Sequence[tuple[int, int]], held: list[bool]) -> list[bool]:
        """Count what an earlier call wrote as written, though its answer was lost."""
        with self._lock:
            asked = {
                key: self._unknown[key]
                for key, holds in zip(keys, held, strict=True)
                if not holds and key in self._unknown
            }
        written: set[tuple[int, int]] = set()
        if asked:
            written = self._connections.read(lambda session: settling.are_written(session, asked.values()))
        with self._lock:
            for key in keys:
                self._unknown.pop(key, None)
        answers = []
        for key, holds in zip(keys, held, strict=True):
            answers.append(holds or key in written)
            written.discard(key)
        return answers

    def _note_clock(self, now: datetime) -> None:
        if self._clock.is_due(now):
            self._connections.write(lambda session: self._clock.note(session, now))
            self._clock.noted(now)

    def _announcing(self, work: Callable[[Session], T], jobs: Callable[[T], Iterable[int] | None], *more: str) -> T:
        """Run a transaction, and announce what it changed in it: `jobs` of its result (None: nothing), and `more`."""

        def announced(session: Session) -> T:
            result = work(session)
            changed = jobs(result)
            if changed is not None:
                self._announcer.announce(session, list(changed), *more)
            return result

        return self._connections.write(announced)


def _enqueued(session: Session, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
    return enqueue(session, jobs, now)


def _numbers(made: Iterable[int | None]) -> list[int] | None:
    return [job for job in made if job is not None] or None


def _claimed(claims: Iterable[Claim]) -> list[int] | None:
    return [claim.job for claim in claims] or None


def _nothing(_result: object) -> list[int]:
    return []
