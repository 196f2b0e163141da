"""The parent's dealings with the store, in one thread: settle what ended, claim what is due, look for interrupts.

The main loop never waits for the database, and the database never waits for a job. With the database away
nothing is lost: what has ended is kept here and settled later, jobs go on, and none is begun.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from central_dispatch.jobs.job import Claim, Progress
from central_dispatch.jobs.ports import Broker, Parent, Settled, Store, StoreDown
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker.claims import Claimed, Claims
from central_dispatch.worker.following import Following, Resized
from central_dispatch.worker.known_settings import KnownSettings
from central_dispatch.worker.lock_requests import Locked, LockRequests, Lost, Wish
from central_dispatch.worker.recovery import Recovery
from central_dispatch.worker.reports import Reports
from central_dispatch.worker.schedules import Schedules
from central_dispatch.worker.settlements import Ended, Settlements
from central_dispatch.worker.timing import Timing

__all__ = ["Claimed", "Clerk", "Ended", "Interrupted", "Locked", "Quiet", "Resized"]
_log = logging.getLogger(__name__)
Post = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody wants these jobs to end: (job, by whom); by nobody: the fence is gone."""

    jobs: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing is due and nothing of ours runs."""


class Clerk:
    """One parent's clerk. `post` is called from its thread and must return at once."""

    def __init__(
        self, store: Store, broker: Broker, parent: Parent, timing: Timing, post: Post,
        known: Collection[str] = (), settled: Callable[[Sequence[Settled]], None] = lambda _settled: None,
    ) -> None:  # fmt: skip
        """`known`: the queues that an assignment may name; `settled` hears, in this thread, what was settled."""
        self._store = store
        self._broker = broker
        self._timing = timing
        self._post = post
        self._schedules = Schedules(store, broker)
        self._wake = threading.Event()
        self._settings = KnownSettings(store, timing.settings_s)
        self._claims = Claims(store, broker, parent, self._settings, post)
        self._following = Following(store, broker, parent, self._claims, post, self.bell, known)
        self._locks = LockRequests(store, self._answer, timing.lock_wait_s)
        self._settlements = Settlements(store, broker, self._settings, self._claims, self._locks)
        self._recovery = Recovery(store, parent.id, self._claims, self._settlements, timing.recover_s)
        self._reports = Reports(store, timing.progress_s, timing.output_s)
        self._next_look = self._next_interrupts = self._earliest_interrupts = self._next_settings = 0.0
        self._settled = settled
        self._down = ""
        self._draining = self._finishing = False
        self._give_up = math.inf
        self._turned = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)

    # What the main loop and the broker call.

    def listen(self) -> None:
        """Hear the bells of the queues that are served, from now on."""
        self._following.listen()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    @property
    def turned(self) -> float:
        """Return when it turned last, for the watchdog: at least once a second or two, whatever the database does."""
        return self._turned if self._thread.is_alive() else -math.inf

    def bell(self, queue: str) -> None:
        """Rows of this queue may be due, or one of its running jobs is to be interrupted."""
        self._claims.bell(queue)
        if self._claims.held:
            self._next_interrupts = min(self._next_interrupts, self._earliest_interrupts)
        self._wake.set()

    def pass_on(self, act: Literal["ring", "call"], queues: list[str]) -> None:
        """Ring, or call all parents, for job code that enqueued or interrupted something."""
        (self._broker.ring if act == "ring" else self._broker.call)(queues)

    def ended(self, ended: Ended) -> None:
        """Settle an execution, and claim another job for its slot."""
        self._settlements.add(ended)
        self._wake.set()

    def report(self, claim: Claim, progress: Progress) -> None:
        """Write down what a handler reported, with the next lot."""
        if self._reports.report(claim, progress):
            self._wake.set()

    def printed(self, claim: Claim, so_far: Callable[[], bytes]) -> None:
        """Write down what a job printed, with the next lot; `so_far` returns all of it, from any thread."""
        if self._reports.printed(claim, so_far):
            self._wake.set()

    def lock(self, wish: Wish) -> None:
        """Take locks for a handler that waits; `Locked` is posted, or `Interrupted` where its fence is gone."""
        self._locks.add(wish)
        self._wake.set()

    def hold(self, claims: list[Claim]) -> None:
        """Take over jobs that were claimed otherwise, before `start`; nothing else is claimed then."""
        self._claims.hold(claims)
        for claim in claims:
            self._settings.read(claim.kind)
        self._draining = True

    def claim_ahead(self, jobs: int) -> None:
        """Claim so many jobs more than there are free slots, so that short ones follow each other without a pause."""
        self._claims.ahead = jobs

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
        return not self._is_open

    @property
    def _is_open(self) -> bool:
        """Something is held, or may be."""
        return bool(self._claims.held) or self._recovery.in_doubt

    def abandon(self) -> None:
        """End without settling: the rows are somebody else's."""
        self._claims.held.clear()
        self._settlements.forget()
        self._recovery.in_doubt = False
        self.finish(0)

    def known_settings(self, queue: str) -> QueueSettings:
        """Return a queue's settings as last read, at most a second ago while one of its jobs is held."""
        return self._settings.last(queue)

    @property
    def down(self) -> str:
        """Return why the database is away; empty while it answers. From any thread."""
        return self._down

    @property
    def queues(self) -> tuple[str, ...]:
        """Return what is served now. From any thread."""
        return self._following.parent.queues

    # The thread.

    def _run(self) -> None:
        while not self._finishing or (self._is_open and time.monotonic() <= self._give_up):
            self._wake.wait(self._pause())
            self._wake.clear()
            self._turned = time.monotonic()
            try:
                self._round()
                if self._down:
                    _log.info("the database answers again")
                self._down = ""
            except StoreDown as error:
                self._recovery.doubt()
                self._locks.give_up(str(error))
                self._stumble(str(error))
            except Exception:  # noqa: BLE001 whatever it is, what has ended is kept and tried again
                _log.exception("the queue worker's clerk stumbled; it tries again")
                self._stumble("")

    def _stumble(self, why: str) -> None:
        if why and not self._down:
            _log.warning("the database is away: %s; running jobs go on and are settled later", why)
        self._down = why
        self._wake.clear()
        time.sleep(min(self._timing.store_down_s, max(0.0, self._give_up - time.monotonic())))
        self._wake.set()

    def _pause(self) -> float:
        now = time.monotonic()
        until = min(self._next_look, self._reports.due)
        if self._claims.room > 0 and not self._draining:
            until = min(until, self._claims.due)
        if self._claims.held:
            until = min(until, self._next_interrupts, self._next_settings)
        return max(0.0, until - now)

    def _round(self) -> None:
        self._locks.answer(self._claims.held)  # first, as handlers wait for it
        if self._finishing:
            self._settlements.release_what_never_began()
        if self._settlements:
            settled = self._settlements.settle(self._timing.group_s)
            self._reports.settled(settled)
            self._settled(settled)
            if self._settlements:
                self._wake.set()  # a round settles so many at most
        now = time.monotonic()
        self._recovery.look(now)
        if now >= self._next_look:
            self._look(now)
        self._reports.write()
        if self._claims.held and now >= self._next_settings:
            self._read_settings_of_what_runs(now)
        if self._claims.held and now >= self._next_interrupts:
            self._look_for_interrupts(now)
        if not self._draining:
            self._claims.claim()
        if not self._settlements and (not self._claims.held if self._draining else self._claims.is_quiet):
            self._post(Quiet())

    def _look(self, now: float) -> None:
        """Look without a bell, once a second: settings, schedules, rows, and when the next one is due."""
        at = datetime.now(UTC)
        if not self._draining:
            self._following.look()
        queues = self._following.parent.queues
        periods: dict[str, float] = {}
        for queue in queues:
            period_s = self._settings.read(queue).period_s
            if period_s is not None:
                periods[queue] = period_s
        if not self._draining:
            if periods and (begun := self._store.enqueue_scheduled(periods, at)):
                self._broker.ring(begun)
            self._schedules.look(at)
            due = self._store.next_due(queues, at)
            if due is not None:
                self._claims.expect(now + (due - at).total_seconds())
            self._claims.heat(queues)
        self._next_look = now + self._timing.look_s

    def _read_settings_of_what_runs(self, now: float) -> None:
        """Their time limits may have changed; the queue may be one that is served no more."""
        for queue in {claim.kind for claim in self._claims.held.values()}:
            self._settings.read(queue)
        self._next_settings = now + 2 * self._timing.settings_s

    def _look_for_interrupts(self, now: float) -> None:
        pairs = [(claim.job, claim.fence) for claim in list(self._claims.held.values())]
        self._next_interrupts = now + self._timing.look_s
        self._earliest_interrupts = now + self._timing.interrupts_s
        if wanted := self._store.interruptions(pairs):
            self._post(Interrupted(wanted))

    def _answer(self, answer: Locked | Lost) -> None:
        self._post(Interrupted([(answer.job, "")]) if isinstance(answer, Lost) else answer)
