"""Ends a queue worker that stands still, so that whoever keeps it starts another.

A worker that is there and does nothing is what nobody notices: its process lives, its queue grows. Each of its
threads turns at least every few seconds, whatever the database and the jobs do; the watchdog has a thread of its
own, which touches nothing else.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping

_log = logging.getLogger(__name__)
#: What the process ends with; no other ending of a worker has this exit code.
EXIT_CODE = 70


def standing(turned: Mapping[str, float], stuck_s: float, now: float) -> list[str]:
    """Return what has not turned for longer than `stuck_s`; `turned` gives when each did last, monotonic."""
    return [name for name, at in turned.items() if now - at > stuck_s]


class Watchdog:
    """Watches what turns, by name. A thread that has died has turned last at minus infinity."""

    def __init__(
        self, watched: Mapping[str, Callable[[], float]], stuck_s: float, end: Callable[[int], None] = os._exit
    ) -> None:
        self._watched = watched
        self._stuck_s = stuck_s
        self._end = end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def watch_closing(self) -> None:
        """Watch from now on only that the end comes: threads end one after the other."""
        begun = time.monotonic()
        self._watched = {"the worker's end": lambda: begun}

    def stop(self) -> None:
        """Stop watching."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        step_s = min(10.0, self._stuck_s / 4)
        looked_at = time.monotonic()
        while not self._over.wait(step_s):
            now = time.monotonic()
            # Where we ourselves stood still (a stopped process, a suspended machine), so did all: look anew.
            if now - looked_at < 2 * step_s + 1 and (still := self._standing(now)):
                _log.critical("%s has not turned for %g s: this process ends", ", ".join(still), self._stuck_s)
                faulthandler.dump_traceback(sys.__stderr__ or 2, all_threads=True)
                self._end(EXIT_CODE)
                return
            looked_at = now

    def _standing(self, now: float) -> list[str]:
        return standing({name: turned() for name, turned in self._watched.items()}, self._stuck_s, now)
