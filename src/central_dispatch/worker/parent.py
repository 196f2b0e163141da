"""The parent of a queue worker: one loop over children, their output, and what the clerk brings. Runs no job code."""

import logging
import os
import selectors
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.outcome import Deferred, Failed, Outcome, Released, Stopped
from central_dispatch.worker import stops
from central_dispatch.worker.children import Children
from central_dispatch.worker.clerk import Claimed, Clerk, Ended, Interrupted, Locked, Quiet, Resized
from central_dispatch.worker.executions import Executions, Rules

_log = logging.getLogger(__name__)
Why = Literal["stopped", "empty", "lost"]
#: How often time limits and grace times are looked at while something runs, in seconds.
_TICK_S = 0.05
#: How long a job that was claimed waits for its slot before it goes back, uncounted; in seconds. It was claimed ahead,
#: or no process can be made for it here.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever runs the worker asks of it: to drain (SIGTERM), and to hurry with it (a second one)."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)


class ParentLoop:
    """The loop. Everything happens in the thread that calls `run`, except `post` and `lose`."""

    def __init__(self, rules: Rules, wishes: Wishes) -> None:
        self._rules = rules
        self._wishes = wishes
        self.selector = selectors.DefaultSelector()
        self._inbox: deque[Any] = deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.selector.register(self._wake_read, selectors.EVENT_READ, self)
        self._pending: deque[tuple[Claim, float]] = deque()  # with the time when they came
        self._draining = self._hurrying = self._lost = self._quiet = False
        self._next_tick = 0.0
        self.turned = time.monotonic()
        self.settled = 0

    @property
    def wake_descriptor(self) -> int:
        """Return what a byte may be written to to wake the loop, for `signal.set_wakeup_fd`."""
        return self._wake_write

    def post(self, event: object) -> None:
        """Bring something to the loop, from any thread."""
        self._inbox.append(event)
        with suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    def lose(self) -> None:
        """Our rows were taken: end everything, settle nothing. From any thread."""
        self._lost = True
        self.post(None)

    def run(self, clerk: Clerk, children: Children) -> Why:
        """Run jobs until told to stop, until nothing is due, or until our rows were taken."""
        self._attach(clerk, children)
        children.keep()
        while True:
            for key, events in self.selector.select(self._timeout()):
                self._heed(key, events)
            self.turned = now = time.monotonic()
            self._read_inbox(now)
            self._heed_wishes(now)
            self._begin(now)
            if now >= self._next_tick or self._executions.pressing:
                self._tick(now)
            self.settled = self._executions.ended
            if (why := self._over()) is not None:
                return why

    def close(self) -> None:
        """Give the loop's descriptors back."""
        self.selector.close()
        read, write = self._wake_read, self._wake_write
        # First forgotten: another thread may post still, and the numbers may be other files' by then.
        self._wake_read = self._wake_write = -1
        os.close(read)
        os.close(write)

    def _attach(self, clerk: Clerk, children: Children) -> None:
        self._clerk, self._children = clerk, children
        self._executions = Executions(self._rules, self.selector, clerk, children)

    def _timeout(self) -> float:
        return _TICK_S if self._executions or self._executions.has_muted or self._pending else 0.5

    def _over(self) -> Why | None:
        if self._executions or self._pending:
            return None
        if self._lost:
            return "lost"
        if self._draining:
            return "stopped"
        return "empty" if self._quiet and self._rules.until_empty else None

    # What the selector brings.

    def _heed(self, key: selectors.SelectorKey, events: int) -> None:
        if key.data is self:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        elif key.data is self._children:
            for gone in self._children.heed():
                self._executions.bury(gone)
                if not self._draining:
                    self._children.keep()
        else:
            child, what = key.data
            if not self._children.has(child):
                # The fork server told of its end in this very turn, and it was buried.
                return
            if what == "output":
                self._executions.read_output(child)
                return
            if events & selectors.EVENT_WRITE:
                child.channel.flush()
                self._children.wants_write(child)
            if events & selectors.EVENT_READ:
                self._executions.hear(child)

    # What the clerk brings, and what the administrator wishes.

    def _read_inbox(self, now: float) -> None:
        self._quiet = False
        while self._inbox:
            match self._inbox.popleft():
                case Claimed(claims):
                    self._pending.extend((claim, now) for claim in claims)
                case Locked() as answer:
                    self._executions.locked(answer)
                case Interrupted(jobs):
                    wishes = dict(jobs)
                    self._interrupt_pending(wishes)
                    self._executions.interrupt(wishes, now)
                case Resized(slots):
                    self._children.slots = slots
                case Quiet():
                    self._quiet = True

    def _interrupt_pending(self, wishes: dict[int, str]) -> None:
        for waiting in [waiting for waiting in self._pending if waiting[0].job in wishes]:
            self._pending.remove(waiting)
            by = wishes[waiting[0].job]
            self._end_unbegun(waiting[0], Stopped(by, "before it began") if by else Released())

    def _heed_wishes(self, now: float) -> None:
        if self._lost:
            self._executions.abandoned = True
            self._pending.clear()
            for running in self._executions:
                self._executions.stop(running, stops.lost(now))
        elif self._wishes.stop.is_set() and not self._draining:
            self._draining = True
            self._clerk.drain()
            _log.info("draining: %d jobs are running", len(self._executions))
            self._executions.drain(now)
        if self._draining:
            self._release_pending()
        if self._wishes.hurry.is_set() and not self._hurrying:
            self._hurrying = True
            self._executions.hurry(now)

    def _release_pending(self) -> None:
        while self._pending:
            self._end_unbegun(self._pending.popleft()[0], Released())

    def _end_unbegun(self, claim: Claim, outcome: Outcome) -> None:
        at = datetime.now(UTC)
        self._clerk.ended(Ended(claim, outcome, 0, at, at))

    # Beginning jobs.

    def _begin(self, now: float) -> None:
        if not self._pending or self._lost:
            return
        for child in list(self._children.idle()):
            while self._pending and not child.busy:
                claim, _ = self._pending.popleft()
                if refused := self._refusal(claim):
                    self._end_unbegun(claim, refused)
                else:
                    self._executions.begin(child, claim, now)
            if not self._pending:
                return

    def _refusal(self, claim: Claim) -> Outcome | None:
        kind = self._rules.kinds.get(claim.kind)
        if kind is None:
            return Failed(f"this worker knows no kind of job “{claim.kind}”", retryable=False)
        if claim.payload_version > kind.payload_version:
            said = f"its payload is of version {claim.payload_version}, this worker knows {kind.payload_version}"
            return Deferred(f"{said}: bring the worker up to date", self._rules.newer_s)
        return None

    def _tick(self, now: float) -> None:
        self._next_tick = now + _TICK_S
        self._executions.tick(now)
        if not self._draining:
            self._children.keep()
        if self._pending and now - self._pending[0][1] > _PATIENCE_S:
            self._clerk.claim_ahead(0)
            self._release_pending()
