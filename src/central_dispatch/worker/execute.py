"""Runs a queue worker until it is told to stop, or until nothing is due."""

import logging
import math
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from central_dispatch import __version__
from central_dispatch.jobs.job import Claim, NewJob, Progress
from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.ports import Broker, Parent, Store, StoreDown
from central_dispatch.platforms.pid_space import pid_space
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker import process_tree
from central_dispatch.worker.beats import Beats, Ears
from central_dispatch.worker.children import Broken, Children
from central_dispatch.worker.clerk import Claimed, Clerk
from central_dispatch.worker.executions import Rules
from central_dispatch.worker.leftovers import MARK, WorkDirectory, end_leftovers, own_mark
from central_dispatch.worker.messages import Rules as ChildRules
from central_dispatch.worker.messages import Start
from central_dispatch.worker.parent import ParentLoop, Wishes
from central_dispatch.worker.timing import Recycling, Timing
from central_dispatch.worker.vitals import Parts, Vitals
from central_dispatch.worker.watchdog import Watchdog

_log = logging.getLogger(__name__)
Reason = Literal["stopped", "empty", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a queue worker is started with. `prepare`: modules, or `module:function`, loaded before the first fork.

    `drain_s` bounds the grace time that running jobs get when the worker is told to stop. `assignment`: its name where
    the worker follows one; queues and slots then are what it says. `vitals` tells those who watch how the worker is;
    `alive` is called every few seconds while it is not stuck.
    """

    directory: Path
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    prepare: tuple[str, ...] = ()
    drain_s: float = float("inf")
    timing: Timing = field(default_factory=Timing)
    recycling: Recycling = field(default_factory=Recycling)
    assignment: str = ""
    vitals: Vitals = field(default_factory=Vitals)
    alive: Callable[[], None] = lambda: None
    echo: Callable[[bytes], None] | None = None
    on_progress: Callable[[Claim, Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a queue worker ended, and how many executions it had."""

    reason: Reason
    executions: int
    problem: Problem | None = None


def run(
    store: Store, broker: Broker, queues: tuple[str, ...], slots: int, wishes: Wishes, setup: Setup,
    *, until_empty: bool = False,
) -> Ended:  # fmt: skip
    """Run a queue worker in this process. Its thread must be the main one if signals are to wake it at once."""
    process_tree.become_subreaper()
    directory = WorkDirectory(setup.directory)
    end_leftovers(setup.directory)
    directory.take()
    executions = 0
    setup.vitals.draining = wishes.stop.is_set
    try:
        while True:
            worker = _Incarnation(store, broker, queues, slots, wishes, setup)
            ended = worker.run(until_empty=until_empty)
            executions += ended.executions
            if ended.reason != "lost":
                return Ended(ended.reason, executions, ended.problem)
            _log.error("this queue worker's rows were taken back: everything it ran is ended; it begins anew")
    finally:
        directory.release()


def run_one(store: Store, broker: Broker, job: NewJob, wishes: Wishes, setup: Setup) -> tuple[int, Ended]:
    """Enqueue a job and run it here, in the foreground; returns its number. It is recorded as any other."""
    process_tree.become_subreaper()
    directory = WorkDirectory(setup.directory)
    end_leftovers(setup.directory)
    directory.take()
    try:
        worker = _Incarnation(store, broker, (job.kind,), 1, wishes, setup)
        return worker.run_one(job)
    finally:
        directory.release()


@dataclass(frozen=True, slots=True)
class _End:
    reason: Literal["stopped", "empty", "lost", "broken"]
    executions: int
    problem: Problem | None = None


class _Incarnation:
    """One registered parent, from its registration to its leaving."""

    def __init__(
        self, store: Store, broker: Broker, queues: tuple[str, ...], slots: int, wishes: Wishes, setup: Setup
    ) -> None:
        self._store = store
        self._broker = broker
        self._setup = setup
        self._wishes = wishes
        about = (queues, slots, setup.assignment, __version__)
        self._parent = Parent(secrets.token_hex(16), socket.gethostname(), os.getpid(), *about, pid_space())

    def run(self, *, until_empty: bool) -> _End:
        """Register, work, leave."""
        patience_s = self._setup.timing.store_wait_s if until_empty else math.inf
        if (problem := self._register(patience_s)) is not None:
            return _End("broken", 0, problem)
        if self._wishes.stop.is_set():
            self._store.leave(self._parent.id)
            return _End("stopped", 0)
        loop, clerk, children = self._parts(until_empty=until_empty)
        clerk.listen()
        return self._work(loop, clerk, children)

    def run_one(self, job: NewJob) -> tuple[int, Ended]:
        """Register, enqueue and claim one job, run it, leave."""
        now = datetime.now(UTC)
        self._store.register(self._parent, now)
        try:
            [number] = self._store.enqueue([job], now)
            claim = self._store.claim_job(number, self._parent.id, now) if number is not None else None
            if number is None or claim is None:
                self._leave()
                what = f"A job of “{job.kind}” with this key is there already" if number is None else "Another took it"
                return number or 0, Ended("stopped", 0, Problem(what, mend="See: central-dispatch job list"))
            loop, clerk, children = self._parts(until_empty=True)
            clerk.hold([claim])
        except BaseException:
            self._leave()
            raise
        loop.post(Claimed([claim]))
        end = self._work(loop, clerk, children)
        return number, Ended("stopped" if end.reason == "lost" else end.reason, end.executions, end.problem)

    def _register(self, patience_s: float) -> Problem | None:
        """Register, waiting for an absent database or for the wish to stop; a problem when patience is at its end."""
        told, begun = False, time.monotonic()
        while True:
            try:
                if (problem := self._read_assignment()) is not None:
                    return problem
                freed = self._store.register(self._parent, datetime.now(UTC))
            except StoreDown as error:
                if not told:
                    _log.warning("the database is away: %s; the worker starts when it answers", error)
                told = True
                self._setup.vitals.waits_for = f"the database is away: {error}"
                self._setup.alive()
                if time.monotonic() - begun > patience_s or self._wishes.stop.wait(self._setup.timing.store_down_s):
                    return Problem("The job database is away", str(error))
                continue
            if freed:
                _log.warning("%d jobs of a queue worker that was here before are free again", len(freed))
            return None

    def _read_assignment(self) -> Problem | None:
        name = self._setup.assignment
        if not name:
            return None
        found = self._store.assignment(name)
        if found is None:
            mend = f"Make it: central-dispatch worker assignment set {name}"
            return Problem(f"There is no assignment “{name}”", mend=mend, field="assignment")
        queues = found.served(self._setup.kinds)
        self._parent = replace(self._parent, queues=queues, slots=found.slots)
        _log.info("assignment %s: %d at a time, queues: %s", name, found.slots, ", ".join(queues) or "none")
        return None

    def _parts(self, *, until_empty: bool) -> tuple[ParentLoop, Clerk, Children]:
        setup = self._setup
        rules = Rules(
            directory=setup.directory, kinds=setup.kinds, until_empty=until_empty, drain_s=setup.drain_s,
            newer_s=setup.timing.newer_s, echo=setup.echo, on_progress=setup.on_progress,
        )  # fmt: skip
        loop = ParentLoop(rules, self._wishes)
        clerk = Clerk(
            self._store, self._broker, self._parent, setup.timing, loop.post, tuple(setup.kinds), setup.vitals.settled
        )
        child = ChildRules(setup.recycling.jobs, setup.recycling.resident_bytes, setup.recycling.limit_bytes)
        start = Start(-1, setup.timing.stopped_s, setup.prepare, child)
        environment = {**os.environ, MARK: own_mark(setup.directory)}
        return loop, clerk, Children(self._parent.slots, start, environment, setup.directory, loop.selector)

    def _work(self, loop: ParentLoop, clerk: Clerk, children: Children) -> _End:
        vitals, alive = self._setup.vitals, self._setup.alive
        ears = Ears(lost=loop.lose, sweeping=self._before_sweeping, alive=alive, beaten=vitals.beat)
        beats = Beats(self._store, self._parent, self._setup.timing, ears)
        vitals.beat()  # it has just registered
        vitals.parts = Parts(loop, children, clerk)
        beats.start()
        clerk.start()
        watched = {
            "the main loop": lambda: loop.turned, "the clerk": lambda: clerk.turned, "the beat": lambda: beats.turned,
        }  # fmt: skip
        self._watchdog = Watchdog(watched, self._setup.timing.stuck_s)
        self._watchdog.start()
        try:
            with _woken_by_signals(loop.wake_descriptor):
                reason = loop.run(clerk, children)
        except Broken as error:
            problem = Problem("No job can be run", str(error).strip().splitlines()[-1], "Its traceback is in the log.")
            _log.critical("the children cannot be prepared:\n%s", error)
            return self._close(loop, clerk, children, beats, _End("broken", loop.settled, problem))
        except BaseException:
            self._close(loop, clerk, children, beats, _End("broken", loop.settled))
            raise
        return self._close(loop, clerk, children, beats, _End(reason, loop.settled))

    def _close(self, loop: ParentLoop, clerk: Clerk, children: Children, beats: Beats, end: _End) -> _End:
        self._setup.vitals.parts, self._setup.vitals.waits_for = None, "it begins anew, or ends"
        self._watchdog.watch_closing()
        # Children first: nothing runs any more when its row is given back.
        children.close()
        if end.reason == "lost":
            clerk.abandon()
        elif not clerk.finish(self._setup.timing.store_wait_s):
            _log.error("the database did not come back: what is not settled runs again, and counts an attempt")
        beats.stop()
        self._leave()
        loop.close()
        self._watchdog.stop()
        return end

    def _leave(self) -> None:
        try:
            self._store.leave(self._parent.id)
        except StoreDown as error:
            _log.warning("cannot take leave of the database: %s", error)

    def _before_sweeping(self, space: str) -> None:
        if space == self._parent.pid_space:
            end_leftovers(self._setup.directory)


@contextmanager
def _woken_by_signals(descriptor: int) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
