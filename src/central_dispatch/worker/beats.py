"""Beating and sweeping, in a thread of their own: a claim that waits for the database never stops the beat."""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from central_dispatch.jobs.ports import Beat, Parent, Store, StoreDown
from central_dispatch.worker.timing import Timing

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Still:
    count: int
    since: float


class Watch:
    """Which counters stood still, as one sweeper has seen it on its own monotonic clock. Pure: time is an argument.

    A counter counts as standing still only while the sweeper itself looked all the time and reached the
    database each time: after a gap, its own or the database's, it begins anew.
    """

    def __init__(self, lease_s: float, gap_s: float) -> None:
        self._lease_s = lease_s
        self._gap_s = gap_s
        self._seen: dict[str, _Still] = {}
        self._looked_at: float | None = None

    def look(self, beats: Collection[Beat], now: float) -> list[Beat]:
        """Take what was read now; returns those whose counter stood still for the whole lease."""
        if self._looked_at is not None and now - self._looked_at > self._gap_s:
            self.forget()
        self._looked_at = now
        before, self._seen = self._seen, {}
        for beat in beats:
            known = before.get(beat.parent)
            same = known is not None and known.count == beat.count
            self._seen[beat.parent] = known if known is not None and same else _Still(beat.count, now)
        return [beat for beat in beats if now - self._seen[beat.parent].since >= self._lease_s]

    def forget(self) -> None:
        """Begin anew: the database could not be reached."""
        self._seen.clear()
        self._looked_at = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """What is called from the beats' thread."""

    lost: Callable[[], None]  # our rows were taken
    sweeping: Callable[[str], None]  # a parent of that `pid_space` is about to lose its rows
    alive: Callable[[], None] = lambda: None  # as often as this beats, whether the database answers or not
    beaten: Callable[[], None] = lambda: None  # a beat went through


class Beats:
    """Beats for one parent and sweeps the others. Calls back from its own thread."""

    def __init__(self, store: Store, parent: Parent, timing: Timing, ears: Ears) -> None:
        self._store = store
        self._parent = parent
        self._timing = timing
        self._ears = ears
        self._turned = time.monotonic()
        self._watch = Watch(timing.lease_s, 3 * timing.beat_s)
        self._is_lost = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    @property
    def turned(self) -> float:
        """Return when it turned last, for the watchdog; it is over, too, once our rows were taken."""
        return self._turned if self._thread.is_alive() or self._is_lost else -math.inf

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop beating. Not waited for long: the database may keep the thread."""
        self._over.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._over.wait(self._timing.beat_s):
            self._turned = time.monotonic()
            try:
                self._ears.alive()
                if not self._store.beat(self._parent.id):
                    self._is_lost = True
                    self._ears.lost()
                    return
                self._ears.beaten()
                self._sweep()
            except StoreDown:
                self._watch.forget()
            except Exception:  # noqa: BLE001 a thread that ends would end the lease, whatever the cause
                _log.exception("cannot beat; the next try follows")
                self._watch.forget()

    def _sweep(self) -> None:
        others = [beat for beat in self._store.beats() if beat.parent != self._parent.id]
        for beat in self._watch.look(others, time.monotonic()):
            self._ears.sweeping(beat.pid_space)
            jobs = self._store.sweep(beat.parent, beat.count, datetime.now(UTC))
            _log.warning(
                "queue worker %s on %s has not beaten for %g s: %d jobs are free again",
                beat.parent[:8], beat.host, self._timing.lease_s, len(jobs),
            )  # fmt: skip
