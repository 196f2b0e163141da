"""What a parent claims and holds: a fair share of each queue for its free slots. Used by the clerk's thread."""

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.ports import Parent, Store
from central_dispatch.worker.known_settings import KnownSettings


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs are ours now."""

    claims: list[Claim]


class Claims:
    """`hot` queues may have something due; `held` is claimed and not settled. `post` hands claims to the main loop."""

    def __init__(self, store: Store, parent: Parent, settings: KnownSettings, post: Callable[[Any], None]) -> None:
        self._store = store
        self._parent = parent
        self._settings = settings
        self._post = post
        self._lock = threading.Lock()
        self._wanted = parent.slots
        self._turn = 0
        self.ahead = 0
        self.held: dict[int, Claim] = {}
        self.hot: set[str] = set(parent.queues)
        self.due = math.inf  # when the next row is due, monotonic

    @property
    def slots(self) -> int:
        """Return how many jobs run at a time."""
        return self._parent.slots

    @property
    def room(self) -> int:
        """Return how many more jobs are wanted."""
        return self._wanted + self.ahead

    def hold(self, claims: Collection[Claim]) -> None:
        """Take over what is ours already."""
        self.held.update((claim.job, claim) for claim in claims)

    def free(self, slots: int) -> None:
        """So many executions are settled: their slots want others."""
        with self._lock:
            self._wanted += slots

    def serve(self, parent: Parent) -> None:
        """Serve other queues, or with other slots, from now on; `room` is below nothing while more runs than slots."""
        self.free(parent.slots - self._parent.slots)
        self._parent = parent
        self.hot = set(parent.queues)

    def heat(self, queues: Collection[str]) -> None:
        """Note that these queues may have something due."""
        self.hot.update(queue for queue in queues if queue in self._parent.queues)

    def expect(self, due: float) -> None:
        """Note when a row is due, by the monotonic clock."""
        self.due = min(self.due, due)

    def claim(self) -> None:
        """Fill the free slots: a fair share for each queue that may have something, another one first each time."""
        if time.monotonic() >= self.due:
            self.hot.update(self._parent.queues)
            self.due = math.inf
        queues = self._parent.queues
        self._turn += 1
        order = [queues[(self._turn + index) % len(queues)] for index in range(len(queues))]
        hot = [queue for queue in order if queue in self.hot]
        while hot and self.room > 0:
            share = math.ceil(self.room / len(hot))
            hot = [queue for queue in hot if self._claim_of(queue, share)]

    @property
    def is_quiet(self) -> bool:
        """Nothing is due and nothing is held, as far as one knows."""
        return not self.hot and not self.held and self.due > time.monotonic()

    def _claim_of(self, queue: str, share: int) -> bool:
        """Claim up to a share of one queue; true where it may have more."""
        limit = min(share, self.room)
        if limit <= 0:
            return False
        # First forgotten, then asked: a bell that rings meanwhile is not lost.
        self.hot.discard(queue)
        try:
            self._settings.read(queue)
            claims = self._store.claim(queue, self._parent.id, limit, datetime.now(UTC))
        except BaseException:
            self.hot.add(queue)
            raise
        if claims:
            self.free(-len(claims))
            self.hold(claims)
            self._post(Claimed(claims))
        if len(claims) == limit:
            self.hot.add(queue)
            return True
        return False
