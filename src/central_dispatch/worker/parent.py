"""The parent of a queue worker: one loop over children, their output, and what the clerk brings. Runs no job code."""

import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from central_dispatch.jobs.job import Claim, Progress
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.outcome import Crashed, Deferred, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker import answers, frames, stops
from central_dispatch.worker.children import Child, Children, Gone
from central_dispatch.worker.clerk import Claimed, Clerk, Ended, Interrupted, Quiet, Resized
from central_dispatch.worker.output import Output
from central_dispatch.worker.timing import Timing

_log = logging.getLogger(__name__)
Why = Literal["stopped", "empty", "lost"]
#: How often time limits and grace times are looked at while something runs, and how long a flood is left unread.
_TICK_S = 0.05
_FLOOD_S = 0.01
#: Executions shorter than this, on average, have the next ones claimed ahead: about so much work, in seconds, and
#: never more than so many for each slot. How long such a job waits for its slot before it goes back, uncounted.
_SHORT_S = 0.02
_MOST_AHEAD = 10
_PATIENCE_S = 1.0
#: Reads of a child's socket after its end, each of which takes 256 KiB: its last words are among them.
_LAST_WORDS = 64
#: A payload that this worker is too old for waits for a newer worker, so long each time, in seconds.
_NEWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever runs the worker asks of it: to drain (SIGTERM), and to hurry with it (a second one)."""

    stop: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class Running:
    """One execution under way."""

    claim: Claim
    child: Child
    started_at: datetime
    started: float
    output: Output = field(default_factory=Output)
    stop: stops.Stop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How this parent works. `drain_s` bounds the grace time of a drain; `echo` hears what jobs print."""

    directory: Path
    kinds: Mapping[str, Kind]
    timing: Timing
    until_empty: bool = False
    drain_s: float = float("inf")
    echo: Callable[[bytes], None] | None = None
    on_progress: Callable[[Claim, Progress], None] | None = None


def ahead(slots: int, mean_s: float) -> int:
    """Return how many jobs to claim beside those for free slots, so that a transaction carries many short ones."""
    return int(slots * min(_MOST_AHEAD, _SHORT_S / max(mean_s, 1e-6))) if mean_s < _SHORT_S else 0


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
        self._mean_s = _SHORT_S
        self._running: dict[Child, Running] = {}
        self._muted: dict[Child, float] = {}
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
        self._clerk, self._children = clerk, children
        children.keep()
        while True:
            for key, events in self.selector.select(self._timeout()):
                self._heed(key, events)
            self.turned = now = time.monotonic()
            self._read_inbox(now)
            self._heed_wishes(now)
            self._begin(now)
            if now >= self._next_tick:
                self._tick(now)
            if not self._running and not self._pending:
                if self._lost:
                    return "lost"
                if self._draining:
                    return "stopped"
                if self._quiet and self._rules.until_empty:
                    return "empty"

    def close(self) -> None:
        """Give the loop's descriptors back."""
        self.selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _timeout(self) -> float:
        if self._muted:
            return _FLOOD_S
        return _TICK_S if self._running or self._pending else 0.5

    # What the selector brings.

    def _heed(self, key: selectors.SelectorKey, events: int) -> None:
        if key.data is self:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        elif key.data is self._children:
            for gone in self._children.heed():
                self._bury(gone)
        else:
            child, what = key.data
            if not self._children.has(child):
                # The fork server told of its end in this very turn, and it was buried.
                return
            if what == "output":
                self._read_output(child)
                return
            if events & selectors.EVENT_WRITE:
                child.channel.flush()
                self._children.wants_write(child)
            if events & selectors.EVENT_READ:
                self._hear(child)

    def _read_output(self, child: Child) -> None:
        piece = child.drain()
        if not piece:
            with suppress(KeyError):
                self.selector.unregister(child.output)
            return
        running = self._running.get(child)
        if running is None:
            return
        self._keep_output(running, piece)
        if running.output.is_flooded:
            # Read slowly, so that a job that prints without end waits for us and not we for it.
            self.selector.unregister(child.output)
            self._muted[child] = time.monotonic() + _FLOOD_S

    def _keep_output(self, running: Running, piece: bytes) -> None:
        running.output.add(piece)
        if self._rules.echo:
            self._rules.echo(piece)

    def _hear(self, child: Child) -> None:
        try:
            for message in child.channel.receive():
                self._take_in(child, message)
        except frames.Garbage as garbage:
            _log.warning("the child with pid %d talks nonsense (%s): it is ended", child.pid, garbage)
            child.channel.ended = True
            self._children.kill(child)
        if child.channel.ended:
            with suppress(KeyError):
                self.selector.unregister(child.channel.fileno())

    def _take_in(self, child: Child, message: dict[str, Any]) -> None:
        running = self._running.get(child)
        match message:
            case {"answer": dict(answer), "job": job, "fence": fence, "recycle": bool(recycle)}:
                child.leaving = child.leaving or recycle
                if running and (running.claim.job, running.claim.fence) == (job, fence):
                    self._finish(running, answers.from_json(answer), "")
            case {"percent": int() | float() as percent, "words": str(words)} if running:
                self._clerk.report(running.claim, Progress(float(percent), words))
                if self._rules.on_progress:
                    self._rules.on_progress(running.claim, Progress(float(percent), words))

    def _bury(self, gone: Gone) -> None:
        child = gone.child
        for _ in range(_LAST_WORDS):
            if child.channel.ended:
                break
            self._hear(child)
        running = self._running.get(child)
        if running:
            if gone.parent_stopped:
                running.stop = stops.lost(time.monotonic())
            self._finish(running, None, gone.how)
        self._muted.pop(child, None)
        self._children.forget(child)
        if not self._draining:
            self._children.keep()

    def _finish(self, running: Running, answer: Outcome | None, end: str) -> None:
        child = running.child
        while piece := child.drain():
            self._keep_output(running, piece)
        del self._running[child]
        child.busy = False
        self.settled += 1
        # Only while jobs are short: one that was claimed ahead of a long one could run elsewhere.
        self._mean_s += (time.monotonic() - running.started - self._mean_s) / 10
        self._clerk.claim_ahead(ahead(self._children.slots, self._mean_s))
        outcome = stops.verdict(answer, end, running.stop)
        if not self._lost:
            self._end(running.claim, outcome, child.pid, running.started_at, running.output.kept())

    def _end(self, claim: Claim, outcome: Outcome, pid: int, started_at: datetime, output: bytes = b"") -> None:
        self._clerk.ended(Ended(claim, outcome, pid, started_at, datetime.now(UTC), output))

    # What the clerk brings, and what the administrator wishes.

    def _read_inbox(self, now: float) -> None:
        self._quiet = False
        while self._inbox:
            match self._inbox.popleft():
                case Claimed(claims):
                    self._pending.extend((claim, now) for claim in claims)
                case Interrupted(jobs):
                    wishes = dict(jobs)
                    self._interrupt(wishes, now)
                case Resized(slots):
                    self._children.slots = slots
                case Quiet():
                    self._quiet = True

    def _interrupt(self, wishes: dict[int, str], now: float) -> None:
        for waiting in [waiting for waiting in self._pending if waiting[0].job in wishes]:
            self._pending.remove(waiting)
            claim, by = waiting[0], wishes[waiting[0].job]
            self._end(claim, Stopped(by, "before it began") if by else Released(), 0, datetime.now(UTC))
        for running in self._running.values():
            if running.claim.job in wishes:
                by, grace_s = wishes[running.claim.job], self._settings(running).grace_s
                self._stop(running, stops.interrupt(by, now, grace_s) if by else stops.lost(now))

    def _stop(self, running: Running, stop: stops.Stop) -> None:
        if running.stop is not None and running.stop.reason >= stop.reason:
            return
        if running.stop is None:
            self._children.say(running.child, {"stop": True})
        running.stop = stops.joined(running.stop, stop)
        self._next_tick = 0.0

    def _heed_wishes(self, now: float) -> None:
        if self._lost:
            self._pending.clear()
            for running in self._running.values():
                self._stop(running, stops.lost(now))
        elif self._wishes.stop.is_set() and not self._draining:
            self._draining = True
            self._clerk.drain()
            _log.info("draining: %d jobs are running", len(self._running))
            for running in self._running.values():
                grace_s = min(self._settings(running).grace_s, self._rules.drain_s)
                self._stop(running, stops.drain(now, grace_s))
        if self._draining:
            self._release_pending()
        if self._wishes.hurry.is_set() and not self._hurrying:
            self._hurrying = True
            for running in self._running.values():
                old = running.stop or stops.drain(now, 0.0)
                running.stop = replace(old, kill_at=now, terminate_at=now)
            self._next_tick = 0.0

    def _release_pending(self) -> None:
        while self._pending:
            self._end(self._pending.popleft()[0], Released(), 0, datetime.now(UTC))

    # Beginning jobs, and their times.

    def _begin(self, now: float) -> None:
        if not self._pending or self._lost:
            return
        for child in list(self._children.idle()):
            while self._pending and not child.busy:
                claim, _ = self._pending.popleft()
                if refused := self._refusal(claim):
                    self._end(claim, refused, 0, datetime.now(UTC))
                else:
                    self._give(child, claim, now)
            if not self._pending:
                return

    def _refusal(self, claim: Claim) -> Outcome | None:
        kind = self._rules.kinds.get(claim.kind)
        if kind is None:
            return Failed(f"this worker knows no kind of job “{claim.kind}”", retryable=False)
        if claim.payload_version > kind.payload_version:
            said = f"its payload is of version {claim.payload_version}, this worker knows {kind.payload_version}"
            return Deferred(f"{said}: bring the worker up to date", _NEWER_S)
        return None

    def _give(self, child: Child, claim: Claim, now: float) -> None:
        order = {
            "job": claim.job,
            "fence": claim.fence,
            "number": claim.attempts + 1,
            "handler": self._rules.kinds[claim.kind].handler,
            "payload": claim.payload,
            "directory": str(self._rules.directory / str(claim.job) / str(claim.fence)),
        }
        try:
            self._children.give(child, order)
        except (TypeError, ValueError) as error:
            child.busy = False
            self._end(claim, Crashed(f"its payload cannot be handed on: {error}"), 0, datetime.now(UTC))
            return
        self._running[child] = Running(claim, child, datetime.now(UTC), now)

    def _tick(self, now: float) -> None:
        self._next_tick = now + _TICK_S
        for child, until in list(self._muted.items()):
            if now >= until:
                del self._muted[child]
                self.selector.register(child.output, selectors.EVENT_READ, (child, "output"))
        for running in self._running.values():
            limit_s = self._settings(running).time_limit_s
            if running.stop is None and now - running.started > limit_s:
                self._stop(running, stops.over_time(limit_s, now, self._settings(running).grace_s))
            self._press(running, now)
        if not self._draining:
            self._children.keep()
        if self._pending and self._running and now - self._pending[0][1] > _PATIENCE_S:
            self._clerk.claim_ahead(0)
            self._release_pending()

    def _press(self, running: Running, now: float) -> None:
        """Do what an ending under way has come to."""
        if running.stop is None or not running.child.pid or (act := stops.due(running.stop, now)) is None:
            return
        if act == "terminate":
            self._children.terminate(running.child)
        else:
            self._children.kill(running.child)
        running.stop = replace(running.stop, done=act)

    def _settings(self, running: Running) -> QueueSettings:
        return self._clerk.known_settings(running.claim.kind)
