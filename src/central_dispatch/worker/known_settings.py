"""Queues' settings as a parent last read them: fresh enough for what it decides, without asking for each job."""

import time

from central_dispatch.jobs.ports import Store
from central_dispatch.jobs.queue_settings import QueueSettings


class KnownSettings:
    """Written by the clerk's thread; the main loop reads what is there."""

    def __init__(self, store: Store, fresh_s: float) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._known: dict[str, tuple[float, QueueSettings]] = {}

    def read(self, queue: str) -> QueueSettings:
        """Return a queue's settings, asked for where what is known is old."""
        now = time.monotonic()
        known = self._known.get(queue)
        if known is None or now - known[0] > self._fresh_s:
            known = self._known[queue] = (now, self._store.settings(queue))
        return known[1]

    def last(self, queue: str) -> QueueSettings:
        """Return them as last read, however long ago. They were read before a job of the queue was claimed."""
        return self._known[queue][1]
