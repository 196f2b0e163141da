"""What a parent claims and holds: a fair share of each queue for its free slots. Used by the clerk's thread."""

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.ports import Broker, Parent, Store
from central_dispatch.worker.known_settings import KnownSettings


@dataclass(frozen=True, slots=True)
class Claimed:
    """Jobs are ours now."""

    claims: list[Claim]


class Claims:
    """`hot` queues may have something due; `held` is claimed and not settled. `post` hands claims to the main loop."""

    def __init__(
        self, store: Store, broker: Broker, parent: Parent, settings: KnownSettings, post: Callable[[Any], None]
    ) -> None:
        self._store = store
        self._broker = broker
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
        self._rung: set[str] = set()  # rung since one began to look there
        self._looked: list[str] = []  # in this round
        self._more: set[str] = set()  # likewise; these gave as many jobs as were asked for
        self._rang_on = False  # since the slots were filled

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

    def bell(self, queue: str) -> None:
        """Note a bell; the broker hears of it when one has looked after it."""
        self._rung.add(queue)
        self.heat([queue])

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
        self._looked.clear()
        self._more.clear()
        while hot and self.room > 0:
            share = math.ceil(self.room / len(hot))
            hot = [queue for queue in hot if self._claim_of(queue, share)]
        self._tell_broker()

    def _tell_broker(self) -> None:
        """Ring on when the slots are full and more is there, once until they are not; acknowledge what was heard.

        Ringing comes first: a broker that brings a bell to one parent must not bring this one back to us.
        """
        if self.room > 0:
            self._rang_on = False
        elif self._more and not self._rang_on:
            self._rang_on = True
            self._broker.ring(self._more)
        for queue in self._looked:
            if queue not in self._rung:  # it rang while we looked: that bell wants another look
                self._broker.looked(queue)

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
        self._rung.discard(queue)
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
        self._looked.append(queue)
        if len(claims) == limit:
            self.hot.add(queue)
            self._more.add(queue)
            return True
        self._more.discard(queue)
        return False
