"""Handlers' wishes for locks, on their way to the store and back. A handler waits for its answer meanwhile."""

import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.job import Claim
from central_dispatch.jobs.lock import Lock, why
from central_dispatch.jobs.outcome import Deferred
from central_dispatch.jobs.ports import Settled, Store, StoreDown
from central_dispatch.worker.log_fields import about

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """One call of `attempt.lock`; `number` tells it from others of its execution."""

    claim: Claim
    number: int
    locks: list[Lock]
    asked: float  # monotonic


@dataclass(frozen=True, slots=True)
class Locked:
    """The answer: None where all is taken, else what the handler is to return."""

    claim: Claim
    number: int
    refused: Deferred | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Who asked has lost its fence: it is to be ended."""

    job: int


class LockRequests:
    """One parent's. `add` may be called from any thread, the rest by the clerk's."""

    def __init__(self, store: Store, post: Callable[[Any], None], patience_s: float) -> None:
        """`patience_s`: how long a handler waits for an absent database before it is told to come back later."""
        self._store = store
        self._post = post
        self._patience_s = patience_s
        self._wishes: deque[Wish] = deque()
        self._taken: dict[tuple[int, int], set[str]] = {}

    def __len__(self) -> int:
        return len(self._wishes)

    def add(self, wish: Wish) -> None:
        """Ask for this soon."""
        self._wishes.append(wish)

    def answer(self, held: Collection[int]) -> None:
        """Ask the store for what was wished; of jobs that are not `held` any more, nothing."""
        while self._wishes:
            wish = self._wishes[0]
            if wish.claim.job in held:
                self._post(self._ask(wish))
            self._wishes.popleft()

    def give_up(self, why_away: str) -> None:
        """Send back whoever has waited long enough for the database, which is away."""
        now = time.monotonic()
        while self._wishes and now - self._wishes[0].asked >= self._patience_s:
            wish = self._wishes.popleft()
            self._post(Locked(wish.claim, wish.number, Deferred(f"locks cannot be taken: {why_away}")))

    def ended(self, settled: Collection[Settled], now: datetime) -> list[str]:
        """Forget the locks of executions that are settled; returns the queues in which that made something due."""
        freed: set[str] = set()
        for one in settled:
            freed |= self._taken.pop((one.claim.job, one.claim.fence), set())
        return self._store.woken(freed, now) if freed else []

    def _ask(self, wish: Wish) -> Locked | Lost:
        claim = wish.claim
        try:
            holders = self._store.lock(claim.job, claim.fence, wish.locks, datetime.now(UTC))
        except LookupError:
            return Lost(claim.job)
        except StoreDown:
            raise
        except Exception:  # noqa: BLE001 the others wait for their answers, and this handler does, too
            _log.exception("job %d cannot take its locks", claim.job, extra=about(claim))
            return Locked(claim, wish.number, Deferred("locks cannot be taken; the queue worker's log says why"))
        if holders:
            return Locked(claim, wish.number, Deferred(why(holders), waits_on=holders[0].resource))
        self._taken.setdefault((claim.job, claim.fence), set()).update(lock.resource for lock in wish.locks)
        return Locked(claim, wish.number, None)
