"""The runs of this host that have not ended: which go on, wait or are stuck; four at a time, one an instance."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from central_dispatch.host.carrier import Carried, Carrier
from central_dispatch.host.journals import Unreadable
from central_dispatch.host.orders import Orders, Surroundings, unexpected
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Order, Wish

_log = logging.getLogger(__name__)
#: How many runs change the host at once, and how many orders that only look are answered beside them.
RUNS_AT_ONCE = 4
LOOKS_AT_ONCE = 2
_LOOKS = frozenset({"plan", "inventory"})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 15.0


@dataclass(slots=True)
class _Held:
    """One run. `act` is what its next thread does."""

    run: str
    instance: str
    title: str
    is_look: bool
    standing: Literal["due", "running", "waiting", "stuck"]
    act: Callable[[], Carried | None]
    is_new: bool = False
    recovering: bool = False
    why: str = ""
    stuck_at: int = 0
    due_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    wish: Problem | None = None
    carrier: Carrier | None = None


class Runs:
    """All runs under way. Its methods may be called from any thread; each run has at most one thread."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._orders = Orders(surroundings)
        self._changed = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._unreadable: list[Unreadable] = []
        self._version = self._seen = 0

    # What a former process left.

    def load(self) -> None:
        """Take up every journal whose run has not ended; `tick` starts them, before any new order."""
        for run in self._with.journals.runs():
            if self._with.journals.reported(run).ended:
                continue
            state = self._with.journals.look(run)
            if isinstance(state, Unreadable):
                _log.error("run %s is left alone: %s", run, state.why)
                self._unreadable.append(state)
            elif not state.ended:
                title = f"{state.plan.kind} {state.plan.name}"
                self._add(self._resumed(run, state.plan.instance, title))

    def _resumed(self, run: str, instance: str, title: str) -> _Held:
        held = _Held(run, instance, title, is_look=False, standing="due", act=lambda: None, recovering=True)
        held.carrier = self._carrier(held)
        held.act = self._recovery(held)
        return held

    def _recovery(self, held: _Held) -> Callable[[], Carried]:
        carrier = held.carrier or self._carrier(held)
        return lambda: carrier.recover(held.run, held.instance)

    def _carrier(self, held: _Held) -> Carrier:
        given = self._with
        return Carrier(given.journals, given.machine.host, given.machine_id, lambda: held.wish)

    def _first(self, held: _Held, order: Order) -> Carried | None:
        """Do what a new order asks for; None where nothing of it is left to carry on."""
        if held.is_look:
            self._orders.look(order)
            return None
        if not self._orders.begin(order, lambda: held.wish):
            return None
        return _of(held).carry_on(order.run, order.spec.id)

    # What the dispatcher wants.

    def accept(self, order: Order) -> bool:
        """Take an order up, once: one that is known already changes nothing. Say whether it was new."""
        if order.run in self.known() or self._with.journals.has(order.run):
            return False
        held = _Held(
            order.run,
            order.spec.id,
            f"{order.kind} {order.spec.name}",
            is_look=order.kind in _LOOKS,
            standing="due",
            act=lambda: None,
            is_new=True,
        )
        held.carrier = self._carrier(held)
        held.act = lambda: self._first(held, order)
        self._add(held)
        return True

    def heed(self, wish: Wish, seen: Mapping[str, int]) -> None:
        """Follow a wish. `seen` says which stuck lines the dispatcher knew of when it was asked (see `stuck`)."""
        with self._changed:
            held = self._held.get(wish.run)
            if held is None:
                return
            match wish.verb:
                case "back_out":
                    self._back_out(held, wish)
                case "retry" if held.standing == "stuck":
                    self._due(held, lambda: _of(held).retry(held.run, held.instance))
                # A repeated wish must not take over an item that nobody has seen yet.
                case "acknowledge" if held.standing == "stuck" and seen.get(wish.run) == held.stuck_at:
                    self._due(held, lambda: _of(held).acknowledge(held.run, held.instance, wish.by))
                case _:
                    pass

    def _back_out(self, held: _Held, wish: Wish) -> None:
        held.wish = Problem(f"{wish.by} had the run backed out", "", "Deploy again when it is wanted.")
        if held.is_new and held.standing == "due":
            del self._held[held.run]
            self._orders.refuse(held.run, [held.wish])

    def _due(self, held: _Held, act: Callable[[], Carried]) -> None:
        held.act, held.standing, held.due_at = act, "due", 0.0
        self._tell()

    def stuck(self) -> dict[str, int]:
        """Return the stuck runs, each with its stuck line's sequence, as far as the dispatcher has heard of it."""
        with self._changed:
            held = [one for one in self._held.values() if one.standing == "stuck"]
            return {one.run: one.stuck_at for one in held if self._with.reporter.through(one.run) >= one.stuck_at}

    # What is under way.

    def known(self) -> tuple[str, ...]:
        """Return the runs that a claim lists."""
        with self._changed:
            return tuple(sorted({*self._held, *self._with.reporter.known()}))

    def tick(self, *, may_begin: bool) -> None:
        """Start what is due, the unfinished runs first. `may_begin`: new orders may start."""
        with self._changed:
            now = self._with.clock()
            for held in list(self._held.values()):
                if not held.is_new and held.standing in {"due", "waiting"} and held.due_at <= now:
                    self._start(held)
            if not may_begin or any(held.recovering for held in self._held.values()):
                return
            for held in list(self._held.values()):
                if held.is_new and held.standing == "due":
                    self._start(held)

    def _start(self, held: _Held) -> None:
        running = [one for one in self._held.values() if one.standing == "running" and one.is_look == held.is_look]
        if len(running) >= (LOOKS_AT_ONCE if held.is_look else RUNS_AT_ONCE):
            return
        if not held.is_look and any(one.instance == held.instance for one in running):
            return
        others = [one for one in self._held.values() if one.instance == held.instance and one is not held]
        others = [one for one in others if not one.is_look and not (one.is_new and one.standing == "due")]
        if held.is_new and not held.is_look and others:
            self._wait_for(held, others[0])
            return
        held.standing = "running"
        threading.Thread(target=self._carry, args=(held,), name=f"run-{held.run[:12]}", daemon=True).start()

    def _wait_for(self, held: _Held, other: _Held) -> None:
        """Leave a new order until the instance's other run has ended; one that is stuck may take for ever."""
        if other.standing == "stuck":
            problem = Problem(
                "Another run of this instance is stuck on the host",
                f"{other.title}: {other.why}",
                "Retry or acknowledge it.",
            )
            del self._held[held.run]
            self._orders.refuse(held.run, [problem])

    def _carry(self, held: _Held) -> None:
        """Run one act to its end; the body of a run's thread."""
        try:
            carried = held.act()
        except Exception as error:  # noqa: BLE001 a run must never vanish with its thread
            _log.exception("%s (run %s): unexpected error", held.title, held.run)
            carried = Carried("waiting", f"{type(error).__name__}: {error}")
            if held.is_new and not self._with.journals.has(held.run):
                self._orders.refuse(held.run, [unexpected(error)])
        with self._changed:
            self._settle(held, carried)
            self._tell()

    def _settle(self, held: _Held, carried: Carried | None) -> None:
        began = not held.is_new or self._with.journals.has(held.run)
        if carried is None or carried.standing in {"committed", "backed_out"} or not began:
            self._held.pop(held.run, None)
            return
        if carried.standing == "waiting" and held.why != carried.why:
            _log.warning("%s waits: %s", held.title, carried.why)
        held.standing = "stuck" if carried.standing == "stuck" else "waiting"
        held.why, held.stuck_at = carried.why, carried.sequence
        held.is_new = held.recovering = False
        held.act = self._recovery(held)
        held.due_at = self._with.clock() + held.pause_s
        held.pause_s = min(held.pause_s * 1.5, _LONGEST_PAUSE_S)

    def wait(self, timeout_s: float) -> None:
        """Return when something changed since the last `wait` (at once, if it did before), or after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != self._seen, timeout_s)
            self._seen = self._version

    def wake(self) -> None:
        """End a `wait`."""
        with self._changed:
            self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def running(self) -> int:
        """Return how many threads are under way."""
        with self._changed:
            return sum(held.standing == "running" for held in self._held.values())

    def doing(self) -> str:
        """Say in one line what is under way."""
        with self._changed:
            return "; ".join(_doing(held) for held in self._held.values() if not held.is_look)

    def troubles(self) -> list[str]:
        """Return what an administrator should know: journals that are left alone, runs that wait or are stuck."""
        with self._changed:
            held = [one for one in self._held.values() if one.standing in {"waiting", "stuck"} and one.why]
            return [*(f"run {one.run}: {one.why}" for one in self._unreadable), *map(_doing, held)]

    def _add(self, held: _Held) -> None:
        with self._changed:
            self._held.setdefault(held.run, held)
            self._tell()


def _of(held: _Held) -> Carrier:
    if held.carrier is None:
        raise ValueError(f"run {held.run} has no carrier")
    return held.carrier


def _doing(held: _Held) -> str:
    step = held.carrier.doing() if held.carrier else ""
    match held.standing:
        case "running":
            return f"{held.title}: {step}" if step else held.title
        case "due":
            return f"{held.title}: next"
        case standing:
            return f"{held.title} {'waits' if standing == 'waiting' else 'is stuck'}: {held.why}"
