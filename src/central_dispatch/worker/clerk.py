"""The parent's dealings with the store, in one thread: settle what ended, claim what is due, look for interrupts.

The main loop never waits for the database, and the database never waits for a job. With the database away
nothing is lost: what has ended is kept here and settled later, jobs go on, and none is begun.
"""

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.job import Claim, Progress
from central_dispatch.jobs.outcome import Crashed, Outcome, Released
from central_dispatch.jobs.ports import Broker, Parent, Settled, Store, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import settle
from central_dispatch.worker import answers
from central_dispatch.worker.timing import Timing

_log = logging.getLogger(__name__)
Post = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that is over, for the store."""

    claim: Claim
    outcome: Outcome
    child_pid: int
    started_at: datetime
    ended_at: datetime
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs are ours now."""

    claims: list[Claim]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody wants these jobs to end: (job, by whom); by nobody: the fence is gone."""

    jobs: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing is due and nothing of ours runs."""


class Clerk:
    """One parent's clerk. `post` is called from its thread and must return at once."""

    def __init__(self, store: Store, broker: Broker, parent: Parent, timing: Timing, post: Post) -> None:
        self._store = store
        self._broker = broker
        self._parent = parent
        self._timing = timing
        self._post = post
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._wanted = parent.slots
        self._ahead = 0
        self._ended: deque[Ended] = deque()
        self._held: dict[int, Claim] = {}
        self._reports: dict[tuple[int, int], Progress] = {}
        self._hot: set[str] = set(parent.queues)
        self._turn = 0
        self._settings: dict[str, tuple[float, QueueSettings]] = {}
        self._next_look = self._next_interrupts = self._next_progress = 0.0
        self._due = math.inf
        self._down = False
        self._draining = self._finishing = False
        self._give_up = math.inf
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)

    # What the main loop and the broker call.

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def bell(self, queue: str) -> None:
        """Rows of this queue may be due, or one of its running jobs is to be interrupted."""
        self._hot.add(queue)
        if self._held:
            self._next_interrupts = min(self._next_interrupts, self._earliest_interrupts)
        self._wake.set()

    def ended(self, ended: Ended) -> None:
        """Settle an execution, and claim another job for its slot."""
        self._ended.append(ended)
        self._wake.set()

    def report(self, claim: Claim, progress: Progress) -> None:
        """Write down what a handler reported, with the next lot."""
        self._reports[claim.job, claim.fence] = progress
        if len(self._reports) == 1:
            self._wake.set()

    def hold(self, claims: list[Claim]) -> None:
        """Take over jobs that were claimed otherwise, before `start`; nothing else is claimed then."""
        self._held.update((claim.job, claim) for claim in claims)
        for claim in claims:
            self._read_settings(claim.kind)
        self._draining = True

    def claim_ahead(self, jobs: int) -> None:
        """Claim so many jobs more than there are free slots, so that short ones follow each other without a pause."""
        self._ahead = jobs

    def drain(self) -> None:
        """Claim nothing any more."""
        self._draining = True
        self._wake.set()

    def finish(self, patience_s: float) -> bool:
        """Settle what is left, give back what never began, and end; False where the database took too long."""
        self._give_up = time.monotonic() + patience_s
        self._draining = self._finishing = True
        self._wake.set()
        self._thread.join(patience_s + 10)
        return not self._held

    def abandon(self) -> None:
        """End without settling: the rows are somebody else's."""
        self._held.clear()
        self._ended.clear()
        self.finish(0)

    def known_settings(self, queue: str) -> QueueSettings:
        """Return a queue's settings as last read, at most a second ago while one of its jobs is held."""
        return self._settings[queue][1]

    # The thread.

    def _run(self) -> None:
        while not (self._finishing and (not self._held or time.monotonic() > self._give_up)):
            self._wake.wait(self._pause())
            self._wake.clear()
            try:
                self._round()
                if self._down:
                    _log.info("the database answers again")
                self._down = False
            except StoreDown as error:
                self._stumble(str(error))
            except Exception:  # noqa: BLE001 whatever it is, what has ended is kept and tried again
                _log.exception("the queue worker's clerk stumbled; it tries again")
                self._stumble("")

    def _stumble(self, why: str) -> None:
        if why and not self._down:
            _log.warning("the database is away: %s; running jobs go on and are settled later", why)
        self._down = bool(why)
        self._wake.clear()
        time.sleep(min(self._timing.store_down_s, max(0.0, self._give_up - time.monotonic())))
        self._wake.set()

    def _pause(self) -> float:
        now = time.monotonic()
        until = self._next_look
        if self._room > 0 and not self._draining:
            until = min(until, self._due)
        if self._held:
            until = min(until, self._next_interrupts)
        if self._reports:
            until = min(until, self._next_progress)
        return max(0.0, until - now)

    def _round(self) -> None:
        if self._finishing:
            self._release_what_never_began()
        if self._ended:
            self._settle()
        now = time.monotonic()
        if now >= self._next_look:
            self._look(now)
        if self._reports and now >= self._next_progress:
            self._write_progress(now)
        if self._held and now >= self._next_interrupts:
            self._look_for_interrupts(now)
        if self._draining:
            if not self._held:
                self._post(Quiet())
        else:
            if now >= self._due:
                self._hot.update(self._parent.queues)
                self._due = math.inf
            self._claim()

    def _release_what_never_began(self) -> None:
        """Give back what was claimed while the main loop ended: nobody runs it any more."""
        at = datetime.now(UTC)
        over = {ended.claim.job for ended in self._ended}
        self._ended.extend(
            Ended(claim, Released(), 0, at, at) for claim in self._held.values() if claim.job not in over
        )

    def _look(self, now: float) -> None:
        """Look without a bell, once a second: settings, schedules, rows, and when the next one is due."""
        at = datetime.now(UTC)
        periods: dict[str, float] = {}
        for queue in self._parent.queues:
            period_s = self._read_settings(queue).period_s
            if period_s is not None:
                periods[queue] = period_s
        if not self._draining:
            if periods and (begun := self._store.enqueue_scheduled(periods, at)):
                self._broker.ring(begun)
            due = self._store.next_due(self._parent.queues, at)
            if due is not None:
                self._due = min(self._due, now + (due - at).total_seconds())
            self._hot.update(self._parent.queues)
        self._next_look = now + self._timing.look_s

    def _read_settings(self, queue: str) -> QueueSettings:
        now = time.monotonic()
        known = self._settings.get(queue)
        if known is None or now - known[0] > self._timing.settings_s:
            known = self._settings[queue] = (now, self._store.settings(queue))
        return known[1]

    # Settling.

    def _settle(self) -> None:
        if len(self._held) > len(self._ended):
            time.sleep(self._timing.group_s)
        batch = list(self._ended)
        settled = [self._decide(ended) for ended in batch]
        try:
            kept = self._store.settle(settled)
        except StoreDown:
            raise
        except Exception:  # noqa: BLE001 one that cannot be stored must not keep the others from it
            _log.exception("cannot settle %d jobs at once; trying each by itself", len(batch))
            kept = [self._settle_alone(ended, one) for ended, one in zip(batch, settled, strict=True)]
        for _ in batch:
            with suppress(IndexError):  # abandoned meanwhile
                self._ended.popleft()
        for one, is_kept in zip(settled, kept, strict=True):
            self._held.pop(one.claim.job, None)
            self._reports.pop((one.claim.job, one.claim.fence), None)
            _tell(one, is_kept=is_kept)
        with self._lock:
            self._wanted += len(batch)
        self._ring_after(settled)

    def _decide(self, ended: Ended) -> Settled:
        settings = self._read_settings(ended.claim.kind)
        settlement = settle(ended.claim, ended.outcome, settings, datetime.now(UTC), random.random())  # noqa: S311 spreads retries
        name = answers.name_of(ended.outcome)
        return Settled(ended.claim, settlement, ended.child_pid, ended.started_at, ended.ended_at, name, ended.output)

    def _settle_alone(self, ended: Ended, settled: Settled) -> bool:
        """Settle one that the store may not be able to write; then as a crash that says so."""
        crash = Crashed("its outcome cannot be stored; the queue worker's log says why")
        broken = Ended(ended.claim, crash, ended.child_pid, ended.started_at, ended.ended_at)
        for attempt in (settled, self._decide(broken)):
            try:
                return self._store.settle([attempt])[0]
            except StoreDown:
                raise
            except Exception:  # noqa: BLE001 likewise
                _log.exception("job %d cannot be settled as %s", ended.claim.job, attempt.outcome)
        return False

    def _ring_after(self, settled: list[Settled]) -> None:
        """Ring where a row is due again at once, or where room under a limit became free."""
        at, now = datetime.now(UTC), time.monotonic()
        rung = set()
        for one in settled:
            queue, due_at = one.claim.kind, one.settlement.due_at
            if one.settlement.state == "waiting" and due_at is not None:
                self._due = min(self._due, now + (due_at - at).total_seconds())
                if due_at <= at:
                    rung.add(queue)
            if self._read_settings(queue).concurrency is not None:
                rung.add(queue)
        if rung:
            self._hot |= rung
            self._broker.ring(rung)

    # Progress and interrupts.

    def _write_progress(self, now: float) -> None:
        reports = dict(self._reports)
        self._store.progress(reports)
        for key, progress in reports.items():
            if self._reports.get(key) is progress:
                del self._reports[key]
        self._next_progress = now + self._timing.progress_s

    def _look_for_interrupts(self, now: float) -> None:
        pairs = [(claim.job, claim.fence) for claim in list(self._held.values())]
        self._next_interrupts = now + self._timing.look_s
        self._earliest_interrupts = now + self._timing.interrupts_s
        if wanted := self._store.interruptions(pairs):
            self._post(Interrupted(wanted))

    _earliest_interrupts = 0.0

    # Claiming.

    def _claim(self) -> None:
        """Fill the free slots: a fair share for each queue that may have something, another one first each time."""
        queues = self._parent.queues
        self._turn += 1
        order = [queues[(self._turn + index) % len(queues)] for index in range(len(queues))]
        hot = [queue for queue in order if queue in self._hot]
        while hot and self._room > 0:
            share = math.ceil(self._room / len(hot))
            hot = [queue for queue in hot if self._claim_of(queue, share)]
        if not self._hot and not self._held and not self._ended and self._due > time.monotonic():
            self._post(Quiet())

    @property
    def _room(self) -> int:
        return self._wanted + self._ahead

    def _claim_of(self, queue: str, share: int) -> bool:
        """Claim up to a share of one queue; true where it may have more."""
        limit = min(share, self._room)
        if limit <= 0:
            return False
        # First forgotten, then asked: a bell that rings meanwhile is not lost.
        self._hot.discard(queue)
        try:
            self._read_settings(queue)
            claims = self._store.claim(queue, self._parent.id, limit, datetime.now(UTC))
        except BaseException:
            self._hot.add(queue)
            raise
        if claims:
            with self._lock:
                self._wanted -= len(claims)
            self._held.update((claim.job, claim) for claim in claims)
            self._post(Claimed(claims))
        if len(claims) == limit:
            self._hot.add(queue)
            return True
        return False


def _tell(settled: Settled, *, is_kept: bool) -> None:
    job, kind, fence = settled.claim.job, settled.claim.kind, settled.claim.fence
    settlement = settled.settlement
    if not is_kept:
        _log.warning("job %d (%s): fence %d is gone, its outcome %s is dropped", job, kind, fence, settled.outcome)
    elif settlement.state == "in_error":
        _log.error("job %d (%s) is in error after %d attempts: %s", job, kind, settlement.attempts, settlement.error)
    elif settlement.state == "interrupted":
        _log.info("job %d (%s) is interrupted by %s: %s", job, kind, settlement.by, settlement.error)
    elif settlement.state == "waiting":
        _log.info(
            "job %d (%s) %s, waits for %s: %s", job, kind, settled.outcome, settlement.waiting_for, settlement.error
        )
    else:
        _log.debug("job %d (%s) is finished", job, kind)
