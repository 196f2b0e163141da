"""The job table on SQLite: `jobs.ports.Store`, each method one short transaction behind the write gate."""

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from central_dispatch.jobs.assignment import Assignment
from central_dispatch.jobs.fence import seconds_of_epoch
from central_dispatch.jobs.job import Claim, NewJob, Progress
from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.lock import Holder, Lock
from central_dispatch.jobs.ports import Beat, Depth, Parent, Settled, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.schedule import Schedule
from central_dispatch.stores.gate import GateClosed
from central_dispatch.stores.presence import process_is_gone
from central_dispatch.stores.sqlite import (
    assignments,
    claiming,
    depths,
    locking,
    parents,
    pruning,
    queues,
    schedules,
    settling,
)
from central_dispatch.stores.sqlite.announcing import Announcer
from central_dispatch.stores.sqlite.connection import Connections
from central_dispatch.stores.sqlite.enqueueing import enqueue
from central_dispatch.stores.sqlite.output import OutputFile
from central_dispatch.stores.sqlite.reports import write_progress
from central_dispatch.stores.sqlite.schema import CHANGES, TABLES
from central_dispatch.stores.sqlite.times import to_text

#: Rows of one transaction: more are written in several, so that none holds the gate for long.
CHUNK = 300
_log = logging.getLogger(__name__)


class SqliteStore:
    """One database file. May be used from several threads: each has its own connection."""

    def __init__(
        self, path: Path, kinds: Mapping[str, Kind] = KINDS, is_gone: Callable[[int], bool] = process_is_gone
    ) -> None:
        """`path` is the dispatcher's database, migrated. Nothing is opened before the first call."""
        self._connections = Connections(path)
        self._output = OutputFile(path.with_name("output.sqlite3"))
        self._queues = queues.Queues(kinds)
        self._announcer = Announcer()
        self._is_gone = is_gone

    def create_tables(self) -> None:
        """Make the tables in an existing, empty file, without a portal: for tests and benches."""
        with self._connections.writing() as connection:
            for statement in (*TABLES, CHANGES):
                connection.execute(statement)

    def close(self) -> None:
        """Close all files. The store may be used again."""
        self._connections.close()
        self._output.close()

    def enqueue(self, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
        """Insert rows, in chunks; None where a unique key is held or a batch's number was taken before."""
        made: list[int | None] = []
        for start in range(0, len(jobs), CHUNK):
            with self._connections.writing() as connection:
                chunk = enqueue(connection, jobs[start : start + CHUNK], now)
                if new := [job for job in chunk if job is not None]:
                    self._announce(connection, new)
            made += chunk
        return made

    def claim(self, queue: str, parent: str, limit: int, now: datetime) -> list[Claim]:
        """Take due rows, at most 300 at once, highest priority first, then oldest; each fence rises."""
        if limit < 1:
            return []
        with self._connections.reading() as connection:
            if not claiming.may_claim(connection, self._queues, queue, now):
                return []
        with self._connections.writing() as connection:
            claims = claiming.claim(connection, self._queues, queue, parent, min(limit, CHUNK), now)
            if claims:
                self._announce(connection, [claim.job for claim in claims])
        return claims

    def claim_job(self, job: int, parent: str, now: datetime) -> Claim | None:
        """Take this one waiting job, due or not, paused or not; None where it does not wait."""
        with self._connections.writing() as connection:
            claim = claiming.claim_job(connection, job, parent, now)
            if claim:
                self._announce(connection, [job])
        return claim

    def settle(self, settled: Sequence[Settled]) -> list[bool]:
        """Write outcomes and history, in chunks, each only if its fence still holds."""
        written: list[bool] = []
        for start in range(0, len(settled), CHUNK):
            chunk = settled[start : start + CHUNK]
            self._keep_output(chunk)
            with self._connections.writing() as connection:
                held = settling.settle(connection, chunk)
                if any(held):
                    self._announce(connection, [one.claim.job for one, holds in zip(chunk, held, strict=True) if holds])
            written += held
        return written

    def progress(self, reports: Mapping[tuple[int, int], Progress]) -> None:
        """Note progress by (job, fence); one with an older fence is passed over."""
        if not reports:
            return
        with self._connections.writing() as connection:
            self._announcer.progress(connection, write_progress(connection, reports))

    def interruptions(self, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
        """Return (job, by whom) of those that are to be interrupted; by "" for a lost fence."""
        if not claims:
            return []
        with self._connections.reading() as connection:
            return settling.interruptions(connection, claims)

    def next_due(self, queues: Collection[str], now: datetime) -> datetime | None:  # noqa: ARG002 the port gives it
        """Return when the next waiting row is due of those queues that are not paused and have room; may be past."""
        with self._connections.reading() as connection:
            return claiming.next_due(connection, self._queues, queues)

    def register(self, parent: Parent, now: datetime) -> list[int]:
        """Add a parent, and free at once the rows of earlier parents of its `pid_space` whose process is gone."""
        with self._connections.writing() as connection:
            freed = parents.register(connection, self._queues, parent, self._is_gone, now)
            self._announce(connection, freed, "parents")
        return freed

    def beat(self, parent: str) -> bool:
        """Raise the parent's counter; False where it was struck off."""
        with self._connections.writing() as connection:
            return parents.beat(connection, parent)

    def beats(self) -> list[Beat]:
        """Return the counters of all parents."""
        with self._connections.reading() as connection:
            return parents.beats(connection)

    def sweep(self, parent: str, count: int, now: datetime) -> list[int]:
        """Free the rows of a parent whose counter still is `count`, and strike it off; returns the jobs."""
        with self._connections.writing() as connection:
            freed = parents.sweep(connection, self._queues, parent, count, now)
            self._announce(connection, freed, "parents")
        return freed

    def leave(self, parent: str) -> None:
        """Strike a parent off; one that still holds rows stays until it is swept."""
        with self._connections.writing() as connection:
            parents.leave(connection, parent)
            self._announce(connection, [], "parents")

    def settings(self, queue: str) -> QueueSettings:
        """Return the queue's settings as they are now."""
        with self._connections.reading() as connection:
            return self._queues.settings(connection, queue)

    def change_settings(self, queue: str, changes: Mapping[str, Any]) -> QueueSettings:
        """Change some of a queue's settings; `ValueError` says what is wrong with them."""
        with self._connections.writing() as connection:
            changed = self._queues.change(connection, queue, changes)
            self._announce(connection, [])
        return changed

    def enqueue_scheduled(self, periods: Mapping[str, float], now: datetime) -> list[str]:
        """Enqueue a job for each queue whose period (in seconds) is over; returns these queues."""
        with self._connections.reading() as connection:
            if not queues.due_schedules(connection, periods, now):
                return []
        with self._connections.writing() as connection:
            made = queues.enqueue_due(connection, self._queues, periods, now)
            self._announce(connection, [])
        return made

    def held(self, parent: str) -> list[Claim]:
        """Return what the parent holds, as the rows say."""
        with self._connections.reading() as connection:
            return claiming.held(connection, parent)

    def lock(self, job: int, fence: int, locks: Sequence[Lock], now: datetime) -> list[Holder]:
        """Take all of these locks for a running execution, or none; returns who is in the way."""
        with self._connections.writing() as connection:
            return locking.lock(connection, job, fence, locks, now)

    def woken(self, resources: Collection[str], now: datetime) -> list[str]:
        """Return the queues in which jobs that wait for these things are due."""
        with self._connections.reading() as connection:
            return locking.woken(connection, resources, now)

    def schedules(self) -> list[Schedule]:
        """Return the named schedules."""
        with self._connections.reading() as connection:
            return schedules.schedules(connection)

    def put_schedule(self, schedule: Schedule) -> None:
        """Write a named schedule, new or changed."""
        with self._connections.writing() as connection:
            schedules.put(connection, schedule)
            self._announce(connection, [])

    def remove_schedule(self, name: str) -> bool:
        """Remove a named schedule; False where there is none."""
        with self._connections.writing() as connection:
            removed = schedules.remove(connection, name)
            self._announce(connection, [])
        return removed

    def move_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None) -> bool:
        """Write another next run if it still is `seen`, and run nothing."""
        with self._connections.writing() as connection:
            moved = schedules.move(connection, name, seen, next_run_at)
            self._announce(connection, [])
        return moved

    def run_schedule(self, name: str, seen: datetime | None, next_run_at: datetime | None, now: datetime) -> int | None:
        """Enqueue a schedule's job if its next run still is `seen`, and write the one after."""
        with self._connections.writing() as connection:
            job = schedules.run(connection, name, seen, next_run_at, now)
            self._announce(connection, [job] if job is not None else [])
        return job

    def assignment(self, name: str) -> Assignment | None:
        """Return what a queue worker of that name is to do."""
        with self._connections.reading() as connection:
            return assignments.find(connection, name)

    def put_assignment(self, assignment: Assignment, now: datetime) -> None:
        """Write what a queue worker of that name is to do, new or changed."""
        with self._connections.writing() as connection:
            assignments.put(connection, assignment, now)
            self._announce(connection, [], "parents")

    def follow(self, parent: str, queues: Collection[str], slots: int) -> bool:
        """Write what a registered parent serves from now on; False where it is not registered."""
        with self._connections.writing() as connection:
            known = assignments.follow(connection, parent, tuple(queues), slots)
            self._announce(connection, [], "parents")
        return known

    def depths(self, queues: Collection[str], now: datetime) -> list[Depth]:
        """Return how much is in each of these queues, in their order."""
        with self._connections.reading() as connection:
            return depths.depths(connection, self._queues, queues, now)

    def keep_output(self, outputs: Mapping[tuple[int, int], bytes]) -> None:
        """Keep what running executions printed so far, and tell live pages; a file that has a fault is done without."""
        if not outputs:
            return
        self._guarded(lambda: self._output.write([(job, fence, text) for (job, fence), text in outputs.items()]))
        with self._connections.writing() as connection:
            self._announcer.progress(connection, [job for job, _fence in outputs])

    def prune(self, now: datetime, ended_keep: timedelta, limit: int) -> dict[str, int]:
        """Remove up to `limit` expired dead letters, and of other ended jobs, with history and output.

        Returns the counts as {"dead_letters": …, "ended": …}: call again until both are 0.
        """
        with self._connections.writing() as connection:
            removed = pruning.prune(connection, now, ended_keep, min(limit, CHUNK))
            if any(removed.values()):
                self._announce(connection, [])
        self._guarded(lambda: self._output.remove([job for jobs in removed.values() for job in jobs]))
        return {str(name): len(jobs) for name, jobs in removed.items()}

    def output(self, job: int, fence: int) -> bytes:
        """Return the captured output of one execution; empty where there is none, or it could not be kept."""
        try:
            return self._output.read(job, fence)
        except sqlite3.Error as error:
            raise StoreDown(f"the captured output cannot be read: {error}") from error

    def raise_epoch(self, now: datetime) -> list[int]:
        """Make every fence given so far worthless and put all running jobs back: after a backup was restored."""
        with self._connections.writing() as connection:
            raised = "UPDATE job_epoch SET epoch = max(epoch + 1, ?), clock_at = ?"
            connection.execute(raised, (seconds_of_epoch(now), to_text(now)))
            freed = settling.free_all(connection, now)
            self._announce(connection, freed, "parents")
        return freed

    def _announce(self, connection: sqlite3.Connection, jobs: Collection[int], *more: str) -> None:
        self._announcer.announce(connection, jobs, *more)

    def _keep_output(self, settled: Sequence[Settled]) -> None:
        outputs = [(one.claim.job, one.claim.fence, one.output) for one in settled if one.output]
        if outputs:
            self._guarded(lambda: self._output.write(outputs))

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do without captured output where its file has a fault: a settlement is worth more."""
        try:
            act()
        except (sqlite3.Error, GateClosed, OSError) as error:
            self._output.close()
            _log.warning("captured output was not kept: %s", error)
